import { randomUUID } from 'node:crypto';
import {
  copyFile,
  mkdir,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  statfs,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { modelInfo, type PathInfo, pathsInfo } from '@huggingface/hub';
import { hasChecksum, isChecksum, knownChecksum } from './checksum.ts';
import { download, incomplete } from './download.ts';
import { ModelError } from './errors.ts';
import { missingFile } from './folder.ts';
import { hubFetch, toModelError } from './http.ts';
import { withLockFile } from './lock.ts';

export interface PullProgress {
  repo: string;
  file: string;
  loadedBytes: number;
  totalBytes: number;
}
/** A path in a repository, or several of which any one will do, best first. */
export type FileChoice = string | readonly string[];
export interface PullOptions {
  repo: string;
  /** Each is checked against the hub's checksum. Of an ONNX file, weights too large for it are in `<file>_data`, taken too where it is there. */
  files: readonly FileChoice[];
  hubUrl?: string;
  /** Default: the shared Hugging Face cache folder. */
  cacheDir?: string;
  /** For private and gated repositories. */
  accessToken?: string;
  /** How long the hub may take to answer a question. */
  connectTimeoutMs?: number;
  /** How long it may take to begin to send a file, or to send the next bytes. */
  stallMs?: number;
  onProgress?: (progress: PullProgress) => void;
  signal?: AbortSignal;
}

export const defaultHubUrl = 'https://huggingface.co';
const revision = 'main';

/** The shared cache's place where no setting moves it (HF_HUB_CACHE and HF_HOME are read by the configuration). */
export const defaultCacheDir = () => join(homedir(), '.cache', 'huggingface', 'hub');
const repoDir = (repo: string, cacheDir = defaultCacheDir()) => join(cacheDir, `models--${repo.replaceAll('/', '--')}`);
const dataOf = (file: string) => `${file}_data`;
const choices = (files: readonly FileChoice[]) => files.map((file) => (typeof file === 'string' ? [file] : file));

/** The first of each choice that a folder has; undefined when there is none for one of them. */
export async function chooseFiles(folder: string, files: readonly FileChoice[]): Promise<string[] | undefined> {
  const chosen = new Set<string>();
  for (const choice of choices(files)) {
    const found = await firstThere(folder, choice);
    if (!found) return undefined;
    chosen.add(found);
  }
  return [...chosen];
}
async function firstThere(folder: string, choice: readonly string[]): Promise<string | undefined> {
  for (const file of choice) if ((await missingFile(folder, [file])) === undefined) return file;
  return undefined;
}

/** The snapshot of a repository in the cache that has all of `files`, if there is one. Asks no network. */
export async function cachedModel(
  repo: string,
  files: readonly FileChoice[],
  cacheDir?: string,
): Promise<string | undefined> {
  for (const snapshot of await snapshots(repo, cacheDir)) if (await chooseFiles(snapshot, files)) return snapshot;
  return undefined;
}

/** Snapshots of a repository in the cache, whole or not, the current one first. */
export async function snapshots(repo: string, cacheDir?: string): Promise<string[]> {
  const dir = repoDir(repo, cacheDir);
  const current = await readFile(join(dir, 'refs', revision), 'utf8').catch(() => undefined);
  const others: string[] = await readdir(join(dir, 'snapshots')).catch(() => []);
  const commits = new Set([...(current ? [current.trim()] : []), ...others.sort()]);
  return [...commits].filter((commit) => others.includes(commit)).map((commit) => join(dir, 'snapshots', commit));
}

/** Bytes of a repository that an interrupted pull has left to go on from. */
export async function begunBytes(repo: string, cacheDir?: string): Promise<number> {
  const blobs = join(repoDir(repo, cacheDir), 'blobs');
  const names = (await readdir(blobs).catch(() => [])).filter((name) => name.endsWith(incomplete));
  const sizes = await Promise.all(names.map((name) => sizeOf(join(blobs, name))));
  return sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
}

/**
 * Removes files of a repository's snapshots whose content is not what their name in the cache says, so that the next pull fetches them.
 * Gives their paths.
 */
export async function removeBroken(repo: string, cacheDir?: string, signal?: AbortSignal): Promise<string[]> {
  const removed: string[] = [];
  for (const snapshot of await snapshots(repo, cacheDir)) {
    for (const entry of await readdir(snapshot, { recursive: true, withFileTypes: true })) {
      if (entry.isDirectory()) continue;
      const path = join(entry.parentPath, entry.name);
      const checksum = await knownChecksum(path).catch(() => undefined);
      if (!checksum || (await hasChecksum(path, checksum, signal))) continue;
      await rm(await realpath(path), { force: true });
      await rm(path, { force: true });
      removed.push(relative(snapshot, path));
    }
  }
  return removed;
}

/**
 * Brings files of a hub repository into the cache, in the layout that all Hugging Face tools share: written aside, checked, renamed, one
 * downloader at a time; what an earlier one began is gone on with. Returns the snapshot folder. Throws ModelError: `hub_unreachable`,
 * `hub_refused`, `model_not_found` for a file that the repository lacks, `model_incomplete` for one that does not match its checksum,
 * `disk_full`, `cache_unwritable`.
 */
export async function pullModel(options: PullOptions): Promise<string> {
  const { repo, hubUrl = defaultHubUrl, cacheDir = defaultCacheDir(), signal } = options;
  const lock = join(cacheDir, '.locks', `${basename(repoDir(repo))}.cuepoint.lock`);
  try {
    return await withLockFile(lock, () => pull({ ...options, hubUrl, cacheDir }), signal);
  } catch (error) {
    signal?.throwIfAborted();
    throw toModelError(error, { repo, hubUrl }, cacheDir);
  }
}

async function pull(options: PullOptions & { hubUrl: string; cacheDir: string }): Promise<string> {
  const { repo, hubUrl, cacheDir, accessToken, connectTimeoutMs = 10_000, stallMs = 10_000, signal } = options;
  const dir = repoDir(repo, cacheDir);
  const blobs = join(dir, 'blobs');
  await mkdir(blobs, { recursive: true });

  const within = (ms: number) => {
    const limit = () => AbortSignal.any([AbortSignal.timeout(ms), ...(signal ? [signal] : [])]);
    return { hubUrl, ...(accessToken && { accessToken }), fetch: hubFetch({ repo, hubUrl }, limit, signal) };
  };
  const { sha } = await modelInfo({ ...within(connectTimeoutMs), name: repo, revision, additionalFields: ['sha'] });
  const snapshot = join(dir, 'snapshots', checksumOf(sha, 'its revision'));
  const groups = choices(options.files);
  const all = new Set(groups.flat());
  const paths = [...all].flatMap((file) => (file.endsWith('.onnx') ? [file, dataOf(file)] : [file]));
  const stated = await pathsInfo({
    ...within(connectTimeoutMs),
    repo: { type: 'model', name: repo },
    revision: sha,
    paths,
  });
  const infos = new Map(stated.filter(({ type }) => type === 'file').map((info) => [info.path, info]));
  const chosen = new Set<string>();
  for (const choice of groups) {
    const file = choice.find((path) => infos.has(path));
    if (!file) throw new ModelError('model_not_found', `${repo} on ${hubUrl} has no file ${choice.join(' or ')}.`);
    chosen.add(file);
  }
  const wanted: { info: PathInfo; blob: string; checksum: string }[] = [];
  // Weights first: a model whose file is there counts as there.
  for (const path of [...chosen].flatMap((file) => [dataOf(file), file])) {
    const info = infos.get(path);
    if (!info) continue;
    const checksum = checksumOf(info.lfs?.oid ?? info.oid, path);
    wanted.push({ info, checksum, blob: join(blobs, checksum) });
  }

  await checkRoom(wanted, options);
  for (const { info, blob, checksum } of wanted) {
    if ((await sizeOf(blob)) === info.size) continue;
    const url = `${hubUrl}/${repo}/resolve/${sha}/${info.path.split('/').map(encodeURIComponent).join('/')}`;
    const onProgress = (loadedBytes: number) =>
      options.onProgress?.({ repo, file: info.path, loadedBytes, totalBytes: info.size });
    const file = { repo, hubUrl, url, path: info.path, sizeBytes: info.size, checksum };
    await download(file, blob, { accessToken, stallMs, onProgress, signal });
  }
  for (const { info, blob } of wanted) await link(blob, join(snapshot, info.path));
  await replaceFile(join(dir, 'refs', revision), sha as string);
  return snapshot;
}

/** Says that there is no room before hours of fetching, not after. */
async function checkRoom(
  wanted: { info: PathInfo; blob: string }[],
  { repo, cacheDir }: { repo: string; cacheDir: string },
): Promise<void> {
  let needed = 0;
  for (const { info, blob } of wanted) {
    if (!Number.isSafeInteger(info.size) || info.size < 0)
      throw new ModelError('hub_refused', `The hub gives no size for ${info.path} of ${repo}.`);
    if ((await sizeOf(blob)) !== info.size) needed += info.size - ((await sizeOf(`${blob}${incomplete}`)) ?? 0);
  }
  const { bavail, bsize } = await statfs(cacheDir);
  if (needed <= bavail * bsize) return;
  const megabytes = (bytes: number) => `${Math.ceil(bytes / 1e6)} MB`;
  throw new ModelError(
    'disk_full',
    `${repo} takes ${megabytes(needed)} more and ${cacheDir} has ${megabytes(bavail * bsize)} free: make room, or name another folder with HF_HUB_CACHE.`,
    true,
  );
}

/** Checksums become file names, so nothing else may come as one. */
function checksumOf(checksum: string | undefined, what: string): string {
  if (isChecksum(checksum)) return checksum;
  throw new ModelError('hub_refused', `The hub gives no checksum for ${what}.`);
}

/** Points a snapshot's file at its blob; copies where the file system has no symbolic links. */
async function link(blob: string, pointer: string): Promise<void> {
  await mkdir(dirname(pointer), { recursive: true });
  const aside = `${pointer}.${randomUUID()}`;
  const target = relative(await realpath(dirname(pointer)), await realpath(blob));
  await symlink(target, aside).catch(() => copyFile(blob, aside));
  await rename(aside, pointer);
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
