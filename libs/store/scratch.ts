import { mkdirSync, mkdtempSync, rmSync, utimesSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** `cuepoint-scratch-<pid>-<random>`: so what a killed process left can be told from what is in use. */
const FOLDER = /^cuepoint-scratch-(\d+)-/;
/** Systems that clear their temporary folder leave what was touched in the last days. */
const TOUCH_MS = 3600_000;

/**
 * Points TMPDIR at a folder of this process, which goes when it exits, and removes those of processes that were killed. All that is temporary lies there:
 * thumbnails, copies of what is in a bucket, and the folders that LanceDB makes for each connection and never removes.
 */
export async function useScratchFolder(): Promise<void> {
  const parent = tmpdir();
  await sweep(parent);
  const path = mkdtempSync(join(parent, `cuepoint-scratch-${process.pid}-`));
  // biome-ignore lint/style/noProcessEnv: it is the only way to tell LanceDB.
  process.env.TMPDIR = path;
  process.once('exit', () => {
    try {
      rmSync(path, { recursive: true, force: true });
    } catch {
      // A child that is being ended still writes: the next process removes it.
    }
  });
  setInterval(() => {
    try {
      mkdirSync(path, { recursive: true, mode: 0o700 });
      utimesSync(path, new Date(), new Date());
    } catch {
      // Whoever needs it will say what is wrong.
    }
  }, TOUCH_MS).unref();
}

/** A folder with our own pid is of an earlier life (pid 1 of a container). */
async function sweep(parent: string): Promise<void> {
  for (const name of await readdir(parent).catch(() => [])) {
    const pid = Number(FOLDER.exec(name)?.[1]);
    if (!pid || (pid !== process.pid && isAlive(pid))) continue;
    // One of another user cannot be removed, and is in nobody's way.
    await rm(join(parent, name), { recursive: true, force: true }).catch(() => {});
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
