import { createHash, randomUUID } from 'node:crypto';
import {
  copyFile,
  mkdir,
  open,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { downloadFile, HubApiError, modelInfo, type PathInfo, pathsInfo } from '@huggingface/hub';
import { ModelError } from './errors.ts';
import { missingFile } from './folder.ts';
import { withLockFile } from './lock.ts';

export interface PullProgress {
  repo: string;
  file: string;
  loadedBytes: number;
  totalBytes: number;
}
export interface PullOptions {
  repo: string;
  /** Paths in the repository; each is checked against the hub's checksum. */
  files: string[];
  /** Taken too where the repository has them: weights too large for one ONNX file are in a second. */
  optionalFiles?: string[];
  hubUrl?: string;
  /** Default: the shared Hugging Face cache folder. */
  cacheDir?: string;
  /** For private and gated repositories. */
  accessToken?: string;
  /** How long the hub may take to answer at all. */
  connectTimeoutMs?: number;
  onProgress?: (progress: PullProgress) => void;
  signal?: AbortSignal;
}

export const defaultHubUrl = 'https://huggingface.co';
const revision = 'main';
const progressMs = 100;
/** Once the hub has answered, the longest it may take to answer again or to send the next bytes. */
const stallMs = 30_000;

/** The shared cache's place where no setting moves it (HF_HUB_CACHE and HF_HOME are read by the configuration). */
export const defaultCacheDir = () => join(homedir(), '.cache', 'huggingface', 'hub');
const repoDir = (repo: string, cacheDir = defaultCacheDir()) => join(cacheDir, `models--${repo.replaceAll('/', '--')}`);

/** The snapshot of a repository in the cache that has all of `files`, if there is one. Asks no network. */
export async function cachedModel(repo: string, files: string[], cacheDir?: string): Promise<string | undefined> {
  const dir = repoDir(repo, cacheDir);
  const current = await readFile(join(dir, 'refs', revision), 'utf8').catch(() => undefined);
  const others = await readdir(join(dir, 'snapshots')).catch(() => []);
  for (const commit of new Set([...(current ? [current.trim()] : []), ...others.sort()])) {
    const snapshot = join(dir, 'snapshots', commit);
    if ((await missingFile(snapshot, files)) === undefined) return snapshot;
  }
  return undefined;
}

/**
 * Brings files of a hub repository into the cache, in the layout that all Hugging Face tools share: written aside, checked, renamed, one
 * downloader at a time. Returns the snapshot folder. Throws ModelError: `hub_unreachable`, `hub_refused`, `model_not_found` for a file
 * that the repository lacks, `model_incomplete` for one that does not match its checksum.
 */
export async function pullModel(options: PullOptions): Promise<string> {
  const {
    repo,
    files,
    optionalFiles = [],
    hubUrl = defaultHubUrl,
    cacheDir = defaultCacheDir(),
    accessToken,
  } = options;
  const { connectTimeoutMs = 10_000, signal } = options;
  const dir = repoDir(repo, cacheDir);
  const lock = join(cacheDir, '.locks', `${basename(dir)}.cuepoint.lock`);
  const pull = async () => {
    const access = accessToken ? { accessToken } : {};
    const first = { hubUrl, ...access, fetch: timedFetch(connectTimeoutMs, signal) };
    const { sha } = await modelInfo({ ...first, name: repo, revision, additionalFields: ['sha'] });
    const hub = { hubUrl, ...access, repo: { type: 'model', name: repo } as const, revision: sha };
    const fetch = timedFetch(stallMs, signal);
    const infos = await pathsInfo({ ...hub, fetch, paths: [...files, ...optionalFiles] });
    const lacking = files.find((file) => !infos.some(({ path, type }) => path === file && type === 'file'));
    if (lacking) throw new ModelError('model_not_found', `${repo} on ${hubUrl} has no file ${lacking}.`);

    const blobs = join(dir, 'blobs');
    await mkdir(blobs, { recursive: true });
    await removeLeftovers(blobs);
    const snapshot = join(dir, 'snapshots', hexName(sha, 'its revision'));
    for (const info of infos) {
      if (![...files, ...optionalFiles].includes(info.path)) continue;
      const pointer = join(snapshot, info.path);
      if ((await sizeOf(pointer)) === info.size) continue;
      const blob = join(blobs, hexName(info.lfs?.oid ?? info.oid, info.path));
      if ((await sizeOf(blob)) !== info.size) {
        const content = await downloadFile({ ...hub, fetch, path: info.path, xet: false });
        if (!content) throw new ModelError('model_not_found', `${repo} on ${hubUrl} has no file ${info.path}.`);
        await saveChecked(content.stream(), info, blob, options);
      }
      await link(blob, pointer);
    }
    await replaceFile(join(dir, 'refs', revision), sha);
    return snapshot;
  };
  try {
    return await withLockFile(lock, pull, signal);
  } catch (error) {
    signal?.throwIfAborted();
    throw toModelError(error, repo, hubUrl);
  }
}

/** Writes a stream beside `blob`, compares size and checksum with what the hub states, and only then gives it its name. */
async function saveChecked(stream: ReadableStream<Uint8Array>, info: PathInfo, blob: string, options: PullOptions) {
  const { repo, onProgress, signal } = options;
  // Large files go by their SHA-256; small ones by git's blob id: SHA-1 over a header and the content.
  const hash = info.lfs ? createHash('sha256') : createHash('sha1').update(`blob ${info.size}\0`);
  const aside = `${blob}.${randomUUID()}${leftover}`;
  const progress = (loadedBytes: number) => onProgress?.({ repo, file: info.path, loadedBytes, totalBytes: info.size });
  let loaded = 0;
  let reportedAt = 0;
  try {
    {
      await using file = await open(aside, 'w');
      for await (const chunk of untilStalled(stream, signal)) {
        hash.update(chunk);
        await file.writeFile(chunk);
        loaded += chunk.length;
        if (loaded < info.size && Date.now() - reportedAt >= progressMs) {
          reportedAt = Date.now();
          progress(loaded);
        }
      }
      await file.sync();
    }
    if (loaded !== info.size || hash.digest('hex') !== (info.lfs?.oid ?? info.oid)) {
      const reason = loaded === info.size ? 'it does not match its checksum' : `${loaded} of ${info.size} bytes came`;
      throw new ModelError(
        'model_incomplete',
        `${info.path} of ${repo} did not arrive whole: ${reason}. Try again.`,
        true,
      );
    }
    await rename(aside, blob);
    progress(loaded);
  } finally {
    await rm(aside, { force: true });
  }
}

/** Checksums become file names, so nothing else may come as one. */
function hexName(checksum: string | undefined, what: string): string {
  if (checksum && /^[0-9a-f]{40,64}$/.test(checksum)) return checksum;
  throw new ModelError('hub_refused', `The hub gives no checksum for ${what}.`);
}

const leftover = '.cuepoint-incomplete';
/** What a killed download left; nobody else is writing while the lock is held. */
async function removeLeftovers(blobs: string): Promise<void> {
  for (const name of await readdir(blobs)) {
    if (name.endsWith(leftover)) await rm(join(blobs, name), { force: true });
  }
}

/** Points a snapshot's file at its blob; copies where the file system has no symbolic links. */
async function link(blob: string, pointer: string): Promise<void> {
  await mkdir(dirname(pointer), { recursive: true });
  await rm(pointer, { force: true });
  const target = relative(await realpath(dirname(pointer)), await realpath(blob));
  await symlink(target, pointer).catch(async () => {
    const aside = `${pointer}.${randomUUID()}`;
    await copyFile(blob, aside);
    await rename(aside, pointer);
  });
}

async function replaceFile(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const aside = `${path}.${randomUUID()}`;
  await writeFile(aside, text);
  await rename(aside, path);
}

async function sizeOf(path: string): Promise<number | undefined> {
  return (await stat(path).catch(() => undefined))?.size;
}

/** fetch that gives up when no answer begins in time. The body may take as long as it moves (`untilStalled`). */
function timedFetch(timeoutMs: number, signal?: AbortSignal): typeof fetch {
  return async (input, init) => {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    try {
      const signals = [late.signal, signal, init?.signal].filter((one) => one != null);
      return await fetch(input, { ...init, signal: AbortSignal.any(signals) });
    } finally {
      clearTimeout(timer);
    }
  };
}

async function* untilStalled(stream: ReadableStream<Uint8Array>, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  const { promise: ended, reject } = Promise.withResolvers<never>();
  ended.catch(() => {});
  const onAbort = () => reject(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  let timer: NodeJS.Timeout | undefined;
  try {
    for (;;) {
      timer = setTimeout(() => reject(new Error(`no data for ${stallMs} ms`)), stallMs);
      const { done, value } = await Promise.race([reader.read(), ended]);
      clearTimeout(timer);
      if (done) return;
      yield value;
    }
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
    await reader.cancel().catch(() => {});
  }
}

function toModelError(error: unknown, repo: string, hubUrl: string): unknown {
  if (error instanceof ModelError) return error;
  if (error instanceof HubApiError) {
    const status = error.statusCode;
    if (status >= 500) {
      return new ModelError('hub_unreachable', `${hubUrl} answered ${status} for ${repo}. Try again later.`, true);
    }
    const why: Record<number, string> = {
      401: 'there is no such model, or it needs an access token (HF_TOKEN)',
      403: 'the access token may not read it, or its terms were not accepted on the hub',
      404: 'there is no such model',
      429: 'too many requests; try again later',
    };
    const reason = why[status] ?? error.message;
    return new ModelError('hub_refused', `${hubUrl} refused ${repo} (${status}): ${reason}.`, status === 429);
  }
  // The disk's errors carry a system call; what is left is the network's (WebBlob passes only the message on).
  if ((error as NodeJS.ErrnoException | undefined)?.syscall && (error as NodeJS.ErrnoException).path) return error;
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  const reason = cause instanceof Error ? cause.message || (cause as NodeJS.ErrnoException).code : String(cause);
  return new ModelError('hub_unreachable', `${hubUrl} can't be reached for ${repo}: ${reason}.`, true);
}
