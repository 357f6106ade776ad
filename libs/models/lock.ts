import { randomUUID } from 'node:crypto';
import { link, mkdir, open, readFile, rename, stat, unlink, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const beatMs = 2000;
/** A lock whose owner has not touched it for so long belongs to nobody: its process was killed, perhaps on another machine. */
const staleMs = 15_000;
const pollMs = 150;

interface Owner {
  pid: number;
  host: string;
  /** Tells this holding of the lock from any other. */
  token: string;
}

/**
 * Runs `work` while holding a lock file, one holder at a time between processes that share the folder; waits for others to finish.
 * An owner that sleeps past `staleMs` (a closed laptop, SIGSTOP) loses the lock and wakes beside the next one: what is done under it must
 * stand that.
 */
export async function withLockFile<T>(path: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  await mkdir(dirname(path), { recursive: true });
  const token = randomUUID();
  while (!(await take(path, token))) {
    const dead = await deadOwner(path);
    if (dead) await takeAway(path, dead);
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
    // Not one that somebody took over meanwhile.
    if ((await readOwner(path))?.token === token) await unlink(path).catch(() => {});
  }
}

async function take(path: string, token: string): Promise<boolean> {
  try {
    await using file = await open(path, 'wx');
    await file.writeFile(JSON.stringify({ pid: process.pid, host: hostname(), token } satisfies Owner));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** The inode of a lock file whose owner is gone. */
async function deadOwner(path: string): Promise<number | undefined> {
  const info = await stat(path).catch(() => undefined);
  if (!info) return undefined; // just given back: try to take it
  if (Date.now() - info.mtimeMs > staleMs) return info.ino;
  const owner = await readOwner(path);
  if (owner?.host !== hostname()) return undefined; // being written, or another machine's
  try {
    process.kill(owner.pid, 0);
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH' ? info.ino : undefined; // else another user's
  }
}

/** Removes a dead owner's lock, and no other: of several that found it dead one may have a lock of its own there by now. */
async function takeAway(path: string, inode: number): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch {
    return; // another was first
  }
  if ((await stat(aside)).ino !== inode) await link(aside, path).catch(() => {});
  await unlink(aside);
}

async function readOwner(path: string): Promise<Owner | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Owner;
  } catch {
    return undefined;
  }
}
