import { randomUUID } from 'node:crypto';
import {
  access,
  constants,
  copyFile,
  type FileHandle,
  mkdir,
  open,
  opendir,
  readdir,
  rename,
  rm,
  stat,
  statfs,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { BlobInfo, BlobStore, PutOptions } from './blobs.ts';
import { checkKey, checkPrefix, eachOf, isVideoId, Meter, notFound } from './blobs-stream.ts';
import { isFull, StoreAway, StoreError } from './errors.ts';

/** The free space is looked at again each time this much has been written. */
const FREE_CHECK_BYTES = 16 * 1024 ** 2;
/** A living upload touches its file this often, however slowly its bytes come. */
const TOUCH_MS = 10_000;
const ABANDONED_MS = 60_000;
const FILES_AT_ONCE = 16;
/** What is said of a disk that had errors and is read-only since, and of a network folder whose server is away. */
const AWAY = ['EROFS', 'EIO', 'ESTALE', 'ENOTCONN'];

/**
 * Blobs in a folder, any number of processes on it at once. An upload is written to `.incoming` and renamed when it is whole and synced.
 * Left-overs of uploads that a crash cut off are removed when it is opened by the api (`sweep`).
 */
export class DiskBlobs implements BlobStore {
  readonly #incoming: string;
  #wasThere = false;

  constructor(readonly root: string) {
    this.#incoming = join(root, '.incoming');
  }

  async put(key: string, body: Readable, { maxBytes, minFreeBytes = 0, signal }: PutOptions = {}): Promise<BlobInfo> {
    // A stream that breaks before it is read must not end the process; the pipeline sees that it is broken.
    body.on('error', () => {});
    let handle: FileHandle | undefined;
    let temp: string | undefined;
    let touching: NodeJS.Timeout | undefined;
    try {
      const target = this.#path(key);
      signal?.throwIfAborted();
      await this.#makeFolder(this.#incoming);
      await this.#checkFree(minFreeBytes);
      temp = join(this.#incoming, randomUUID());
      const file = await open(temp, 'wx');
      handle = file;
      touching = setInterval(() => file.utimes(new Date(), new Date()).catch(() => {}), TOUCH_MS).unref();
      const meter = new Meter(maxBytes);
      await pipeline(body, meter, this.#freeGuard(minFreeBytes), (bytes) => file.writeFile(bytes), { signal });
      await file.sync();
      clearInterval(touching);
      await file.close();
      handle = undefined;
      const made = await this.#makeFolder(dirname(target));
      signal?.throwIfAborted();
      await rename(temp, target);
      temp = undefined;
      // The rename is durable when its folder is, and a new folder when its parent is.
      for (let folder = dirname(target); ; folder = dirname(folder)) {
        await syncFolder(folder);
        if (!made || folder === dirname(made) || folder === dirname(folder)) break;
      }
      return meter.info;
    } catch (error) {
      body.destroy();
      signal?.throwIfAborted();
      throw translate(error);
    } finally {
      clearInterval(touching);
      await handle?.close().catch(() => {});
      if (temp) await rm(temp, { force: true });
    }
  }
  async putFiles(files: { key: string; path: string }[]): Promise<void> {
    const targets = files.map(({ key, path }) => ({ path, target: this.#path(key) }));
    try {
      for (const folder of new Set(targets.map(({ target }) => dirname(target)))) await this.#makeFolder(folder);
      await eachOf(targets, FILES_AT_ONCE, ({ path, target }) => this.#move(path, target));
    } catch (error) {
      throw translate(error);
    }
  }
  async stat(key: string): Promise<{ sizeBytes: number } | undefined> {
    const found = await stat(this.#path(key)).catch(unlessMissing);
    if (!found) await this.#checkThere(true);
    return found?.isFile() ? { sizeBytes: found.size } : undefined;
  }
  async get(key: string, range?: { start: number; end: number }): Promise<Readable> {
    const handle = await open(this.#path(key)).catch(unlessMissing);
    if (!handle) await this.#checkThere(true);
    if (!handle) throw notFound(key);
    try {
      const found = await handle.stat();
      if (!found.isFile()) throw notFound(key);
      if (range && range.start >= found.size) {
        await handle.close();
        return Readable.from([]);
      }
      return handle.createReadStream(range);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }
  async local(key: string, signal?: AbortSignal): Promise<{ path: string; release: () => Promise<void> }> {
    signal?.throwIfAborted();
    if (!(await this.stat(key))) throw notFound(key);
    return { path: this.#path(key), release: async () => {} };
  }
  async deletePrefix(prefix: string): Promise<void> {
    await this.#checkThere();
    // Retries: a job that does not know yet may write into the folder while it is emptied.
    const options = { recursive: true, force: true, maxRetries: 5, retryDelay: 50 };
    await rm(join(this.root, checkPrefix(prefix)), options).catch((error) => {
      throw translate(error);
    });
  }
  async *videos(): AsyncGenerator<{ tenant: string; videoId: string }> {
    for (const tenant of (await readdir(this.root).catch(unlessMissing)) ?? []) {
      if (tenant.startsWith('.')) continue;
      const folder = await opendir(join(this.root, tenant)).catch(unlessMissing);
      for await (const { name } of folder ?? []) if (isVideoId(name)) yield { tenant, videoId: name };
    }
  }
  async ping(): Promise<void> {
    await this.freeBytes();
    await access(this.root, constants.W_OK).catch((error) => {
      throw translate(error);
    });
  }
  async freeBytes(): Promise<number> {
    await this.#makeFolder(this.root);
    const { bavail, bsize } = await statfs(this.root);
    return bavail * bsize;
  }
  /**
   * Removes files in `.incoming` that nobody has touched for `maxAgeMs`. A living upload touches its file every 10 s, on whatever machine it
   * runs, so age tells the dead ones, which ids of processes in containers would not. What is too young to tell is looked at once more after `maxAgeMs`.
   */
  async sweep(maxAgeMs = ABANDONED_MS): Promise<void> {
    await this.#checkThere();
    if ((await this.#sweepOnce(maxAgeMs)) === 0) return;
    setTimeout(() => this.#sweepOnce(maxAgeMs).catch(() => {}), maxAgeMs + 1000).unref();
  }

  /** Returns how many files were too young. */
  async #sweepOnce(maxAgeMs: number): Promise<number> {
    let young = 0;
    for (const name of (await readdir(this.#incoming).catch(unlessMissing)) ?? []) {
      const path = join(this.#incoming, name);
      const found = await stat(path).catch(unlessMissing);
      if (found && Date.now() - found.mtimeMs < maxAgeMs) young++;
      else await rm(path, { force: true });
    }
    return young;
  }
  #path(key: string): string {
    return join(this.root, checkKey(key));
  }
  /**
   * The store's own folder is made with the first below it, and never again: where it was and is no more, its disk is not mounted. Nothing is lost then, and
   * what was written in its place would be.
   */
  async #checkThere(wasThere = this.#wasThere): Promise<void> {
    if (await stat(this.root).catch(unlessMissing)) this.#wasThere = true;
    else if (wasThere) throw new StoreAway(`The folder ${this.root} is gone: is its disk mounted?`);
  }
  async #makeFolder(path: string): Promise<string | undefined> {
    await this.#checkThere();
    const made = await mkdir(path, { recursive: true }).catch((error: NodeJS.ErrnoException) => {
      // So Node says where the file system is read-only: with `recursive`, nothing else can be missing.
      throw error.code === 'ENOENT' ? new StoreAway(`${path} cannot be made: is its disk read-only?`) : error;
    });
    this.#wasThere = true;
    return made;
  }
  async #move(path: string, target: string): Promise<void> {
    try {
      await rename(path, target);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
      await this.#makeFolder(this.#incoming);
      const temp = join(this.#incoming, randomUUID());
      try {
        await copyFile(path, temp);
        await rename(temp, target);
      } finally {
        await rm(temp, { force: true });
      }
    }
  }
  async #checkFree(minFreeBytes: number): Promise<void> {
    if (minFreeBytes > 0 && (await this.freeBytes()) < minFreeBytes) {
      throw new StoreError('disk_full', `Less than ${minFreeBytes} bytes would be left on the disk`);
    }
  }
  #freeGuard(minFreeBytes: number): Transform {
    let unchecked = 0;
    return new Transform({
      transform: (chunk: Buffer, _encoding, done) => {
        unchecked += chunk.length;
        if (unchecked < FREE_CHECK_BYTES) return done(null, chunk);
        unchecked = 0;
        this.#checkFree(minFreeBytes).then(() => done(null, chunk), done);
      },
    });
  }
}

async function syncFolder(path: string): Promise<void> {
  try {
    const handle = await open(path);
    await handle.sync().finally(() => handle.close());
  } catch (error) {
    // Windows and some network file systems can't sync folders.
    if (!['EISDIR', 'EPERM', 'EINVAL', 'ENOTSUP'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}
function unlessMissing(error: NodeJS.ErrnoException): undefined {
  if (!['ENOENT', 'ENOTDIR', 'EISDIR'].includes(error.code ?? '')) throw translate(error);
}
function translate(error: unknown): unknown {
  const { code = '', message } = error as NodeJS.ErrnoException;
  if (AWAY.includes(code)) return new StoreAway(`Media cannot be kept: ${message}`);
  return isFull(error) ? new StoreError('disk_full', 'The disk is full') : error;
}
