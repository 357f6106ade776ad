import { mkdir, open, readFile, stat, unlink, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const beatMs = 2000;
/** A lock whose owner has not touched it for so long belongs to nobody: its process was killed, perhaps on another machine. */
const staleMs = 15_000;
const pollMs = 150;

/**
 * Runs `work` while holding a lock file, one holder at a time between processes that share the folder; waits for others to finish.
 * Should two ever take over one dead owner's lock at once, both work: what is done under it must stand that (it saves a download, no more).
 */
export async function withLockFile<T>(path: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  await mkdir(dirname(path), { recursive: true });
  while (!(await take(path))) {
    if (await ownerIsGone(path)) await unlink(path).catch(() => {});
    else await sleep(pollMs, undefined, { signal });
  }
  const beat = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => {});
  }, beatMs);
  beat.unref();
  try {
    return await work();
  } finally {
    clearInterval(beat);
    await unlink(path).catch(() => {});
  }
}

async function take(path: string): Promise<boolean> {
  try {
    await using file = await open(path, 'wx');
    await file.writeFile(JSON.stringify({ pid: process.pid, host: hostname() }));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function ownerIsGone(path: string): Promise<boolean> {
  const info = await stat(path).catch(() => undefined);
  if (!info) return false; // just given back: try to take it
  if (Date.now() - info.mtimeMs > staleMs) return true;
  try {
    const owner = JSON.parse(await readFile(path, 'utf8')) as { pid: number; host: string };
    if (owner.host !== hostname()) return false;
    process.kill(owner.pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH'; // anything else: being written, or another user's
  }
}
