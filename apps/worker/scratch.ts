import { readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PREFIX = 'cuepoint-scratch-';
/** Thumbnails on their way to the blob store. One folder a process, so that what a killed one leaves can be told from what is in use. */
export const SCRATCH_DIR = join(tmpdir(), `${PREFIX}${process.pid}`);

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Removes the scratch folders of workers that are no more. A folder with our own pid is of an earlier life (pid 1 of a container). */
export async function sweepScratch(): Promise<void> {
  const names = await readdir(tmpdir()).catch(() => []);
  for (const name of names) {
    if (!name.startsWith(PREFIX)) continue;
    const pid = Number(name.slice(PREFIX.length));
    if (!Number.isSafeInteger(pid) || pid <= 0) continue; // not one of ours
    if (pid === process.pid || !alive(pid)) await rm(join(tmpdir(), name), { recursive: true, force: true });
  }
}

export const removeScratch = (): Promise<void> => rm(SCRATCH_DIR, { recursive: true, force: true });
