/** One file over HTTP: resumed where it was cut off, checked as a whole, and only then given its name. */
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { hasChecksum } from './checksum.ts';
import { ModelError } from './errors.ts';
import { fullDisk, hubFetch, isDiskError, networkReason, type Source } from './http.ts';

export interface RemoteFile extends Source {
  url: string;
  /** In the repository, for messages. */
  path: string;
  sizeBytes: number;
  /** Of the whole content (checksum.ts). It names the blob, so what is begun under a name can only go on as the same content. */
  checksum: string;
}
export interface DownloadOptions {
  accessToken?: string;
  /** The longest the hub may take to begin an answer, or to send the next bytes. */
  stallMs: number;
  onProgress?: (loadedBytes: number) => void;
  signal?: AbortSignal;
}

/** Stands after a blob's name while its content is on the way. Not the ending that other tools use: they have locks of their own. */
export const incomplete = '.cuepoint-incomplete';
const progressMs = 100;
/** A cut connection is taken up again for as long as that brings something; the second try in a row that brings less is the last. */
const worthwhileBytes = 64 * 1024;
const mostVainTries = 2;
const pauseMs = 500;

/**
 * Fetches a file to `blob`. What has come of it stays beside, as `<blob>.cuepoint-incomplete`, and the next call goes on from there.
 * Throws ModelError (`model_incomplete` for content that is not what the hub states), and what the disk throws.
 */
export async function download(file: RemoteFile, blob: string, options: DownloadOptions): Promise<void> {
  const aside = `${blob}${incomplete}`;
  let startedOver = false;
  for (;;) {
    const resumed = (await sizeOf(aside)) > 0;
    await receiveAll(file, aside, options);
    if (await hasChecksum(aside, file.checksum, options.signal)) break;
    await rm(aside, { force: true });
    // Of a file that came in pieces, an older piece may be the wrong one.
    if (!resumed || startedOver) throw notWhole(file, 'it does not match its checksum');
    startedOver = true;
  }
  await rename(aside, blob);
  options.onProgress?.(file.sizeBytes);
}

/** Brings `aside` to the file's full size, over as many connections as that takes. */
async function receiveAll(file: RemoteFile, aside: string, options: DownloadOptions): Promise<void> {
  for (let vainTries = 0; ; ) {
    const before = await sizeOf(aside);
    try {
      await receive(file, aside, options);
      return;
    } catch (error) {
      options.signal?.throwIfAborted();
      const useless = error instanceof ModelError && error.code === 'model_incomplete';
      // A full disk is needed by others more than by half a model.
      if (useless || (isDiskError(error) && fullDisk.includes(error.code ?? ''))) await rm(aside, { force: true });
      if (isDiskError(error) || (error instanceof ModelError && error.code !== 'hub_unreachable')) throw error;
      const kept = await sizeOf(aside);
      vainTries = kept - before >= worthwhileBytes ? 0 : vainTries + 1;
      if (vainTries === mostVainTries) {
        if (kept === 0) throw error;
        const reason = error instanceof ModelError ? error.message.replace(/\.$/, '') : networkReason(error);
        const message =
          `${file.path} of ${file.repo} did not come whole from ${file.hubUrl}: ${reason}. ` +
          `${kept} of ${file.sizeBytes} bytes are kept, and the next try goes on from there.`;
        throw new ModelError('hub_unreachable', message, true);
      }
      if (vainTries > 0) await sleep(pauseMs, undefined, { signal: options.signal });
    }
  }
}

/** One connection's worth. */
async function receive(file: RemoteFile, aside: string, options: DownloadOptions): Promise<void> {
  const { accessToken, stallMs, onProgress, signal } = options;
  const there = await sizeOf(aside);
  if (there === file.sizeBytes && there > 0) return;
  const from = there < file.sizeBytes ? there : 0;

  const headers: Record<string, string> = { 'accept-encoding': 'identity' };
  if (accessToken) headers.authorization = `Bearer ${accessToken}`;
  if (from > 0) headers.range = `bytes=${from}-`;
  const stall = new StallWatch(stallMs, signal);
  try {
    const response = await hubFetch(file, () => stall.begin(), signal)(file.url, { headers });
    if (response.status === 416) throw notWhole(file, `the hub has fewer than ${file.sizeBytes} bytes of it`);
    let position = response.status === 206 ? from : 0; // others send the whole
    if (response.status === 206 && !response.headers.get('content-range')?.startsWith(`bytes ${from}-`)) {
      throw notWhole(file, 'the hub sent another part than the one asked for');
    }
    await using target = await open(aside, position > 0 ? 'r+' : 'w');
    let reportedAt = 0;
    for await (const chunk of response.body ?? []) {
      stall.heard();
      if (position + chunk.length > file.sizeBytes) throw notWhole(file, `more than ${file.sizeBytes} bytes came`);
      await writeAll(target, chunk, position);
      position += chunk.length;
      if (position < file.sizeBytes && Date.now() - reportedAt >= progressMs) {
        reportedAt = Date.now();
        onProgress?.(position);
      }
    }
    if (position < file.sizeBytes) throw new Error(`the connection ended after ${position} bytes`);
    await target.sync();
  } finally {
    stall.end();
  }
}

/** Ends a request whose sender has gone silent. */
class StallWatch {
  #abort = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  readonly #limitMs: number;
  readonly #signal: AbortSignal | undefined;

  constructor(limitMs: number, signal: AbortSignal | undefined) {
    this.#limitMs = limitMs;
    this.#signal = signal;
  }
  /** The signal of a new request. */
  begin(): AbortSignal {
    this.#abort = new AbortController();
    this.heard();
    return this.#signal ? AbortSignal.any([this.#abort.signal, this.#signal]) : this.#abort.signal;
  }
  /** Something came. */
  heard(): void {
    clearTimeout(this.#timer);
    const abort = this.#abort;
    this.#timer = setTimeout(() => abort.abort(new Error(`no data for ${this.#limitMs / 1000} s`)), this.#limitMs);
  }
  end(): void {
    clearTimeout(this.#timer);
    this.#abort.abort();
  }
}

/** A write may take less than it is given. At a position: should two ever write one file, both write the same bytes to the same places. */
async function writeAll(target: FileHandle, chunk: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < chunk.length; ) {
    done += (await target.write(chunk, done, chunk.length - done, position + done)).bytesWritten;
  }
}

function notWhole({ path, repo }: RemoteFile, reason: string): ModelError {
  return new ModelError('model_incomplete', `${path} of ${repo} did not arrive whole: ${reason}. Try again.`, true);
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.size ?? 0;
}
