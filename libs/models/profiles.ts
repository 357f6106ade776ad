import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { CLIP_FILES } from './clip/config.ts';
import { ModelError } from './errors.ts';
import { checkFolder } from './folder.ts';
import { cachedModel, defaultHubUrl, type PullProgress, pullModel } from './hub.ts';
import { WHISPER_FILES } from './whisper/config.ts';

export type ProfileName = 'tiny' | 'base' | 'large';
/** Hub ids of a profile; `tiny` is in the repository, under models/tiny. */
export const PROFILES: Record<ProfileName, { clip: string; whisper: string }> = {
  tiny: { clip: 'cuepoint/tiny-clip', whisper: 'cuepoint/tiny-whisper' },
  base: { clip: 'Xenova/clip-vit-base-patch32', whisper: 'onnx-community/whisper-base' },
  large: { clip: 'Xenova/clip-vit-large-patch14', whisper: 'onnx-community/whisper-large-v3-turbo' },
};
export interface ModelFolders {
  clip: { id: string; folder: string };
  whisper: { id: string; folder: string };
}
export interface ResolvedProfile extends ModelFolders {
  profile: ProfileName;
  /** Set when `profile` is not the one asked for: a sentence for logs, /health/ready, CLI and UI. */
  fallbackReason?: string;
}
export interface ResolveOptions {
  profile: ProfileName;
  /** CLIP_MODEL / WHISPER_MODEL: hub id or folder, in place of the profile's. */
  clip?: string;
  whisper?: string;
  modelsDir?: string;
  hubUrl?: string;
  /** HF_HUB_CACHE / HF_HOME; default: the shared Hugging Face cache folder. */
  cacheDir?: string;
  /** HF_TOKEN, for private and gated repositories. */
  accessToken?: string;
  allowFallback: boolean;
  /** Given through as it is: the caller's caller has fallen back already (`cuepoint up` for api and worker). */
  fallbackReason?: string;
  onProgress?: (progress: PullProgress) => void;
  signal?: AbortSignal;
}

type Part = 'clip' | 'whisper';
/** `identity`: the file whose content stands for the model's. One that is there whatever precision a device takes: api and workers must agree. */
const parts: Record<Part, { files: string[]; identity: string }> = {
  clip: { files: [...CLIP_FILES.json, CLIP_FILES.image, CLIP_FILES.text], identity: CLIP_FILES.text },
  whisper: {
    files: [...WHISPER_FILES.json, WHISPER_FILES.encoder, WHISPER_FILES.decoder],
    identity: WHISPER_FILES.encoder,
  },
};
/** With `tiny` to start on, a machine with no network should not wait long to find that out. */
const fallbackConnectMs = 3000;

/**
 * Folders of a profile's models: from `modelsDir` (a folder per hub id), else the hub cache, else pulled from the hub with `onProgress`.
 * When the hub can't be reached (or turns away a request for the profile's own, public models) and nothing is cached, gives `tiny` with a `fallbackReason` (only where `allowFallback`).
 * A model named by its folder stays what it is. Ids carry the content: `Xenova/clip-vit-base-patch32@1a2b3c4d`.
 */
export async function resolveProfile(options: ResolveOptions): Promise<ResolvedProfile> {
  const names = { ...PROFILES[options.profile] };
  if (options.clip) names.clip = options.clip;
  if (options.whisper) names.whisper = options.whisper;
  try {
    const clip = await find('clip', names.clip, options);
    const whisper = await find('whisper', names.whisper, options);
    return { profile: options.profile, clip, whisper, fallbackReason: options.fallbackReason };
  } catch (error) {
    if (!options.allowFallback || !outOfReach(error, options)) throw error;
    const tiny = async (part: Part) =>
      find(part, (await ownFolder(names[part])) ? names[part] : PROFILES.tiny[part], options);
    const fallbackReason =
      `The models of profile "${options.profile}" are not on this machine and could not be fetched (${error.message.replace(/\.$/, '')}), ` +
      'so the small bundled "tiny" models are in use: good for trying things out, not for real videos. ' +
      'Connect to the hub, or set MODELS_DIR to a folder that has the models, and start again.';
    return { profile: 'tiny', clip: await tiny('clip'), whisper: await tiny('whisper'), fallbackReason };
  }
}

/**
 * No hub can be had here: it does not answer, or what answers for it (a company's proxy) turns away a request for public models.
 * Whoever named a model or gave a token is told of a refusal instead.
 */
function outOfReach(error: unknown, { clip, whisper, accessToken }: ResolveOptions): error is ModelError {
  if (!(error instanceof ModelError)) return false;
  if (error.code === 'hub_unreachable') return true;
  return error.code === 'hub_refused' && !error.retryable && !clip && !whisper && !accessToken;
}

async function find(part: Part, name: string, options: ResolveOptions): Promise<{ id: string; folder: string }> {
  const { files, identity } = parts[part];
  const folder = await findFolder(part, name, options);
  await checkFolder(folder, files);
  const label = (await ownFolder(name)) ? basename(folder) : name;
  return { id: `${label}@${await contentId(join(folder, identity))}`, folder };
}

async function findFolder(part: Part, name: string, options: ResolveOptions): Promise<string> {
  const own = await ownFolder(name);
  if (own) return own;
  if (name === PROFILES.tiny[part]) return bundledFolder(part);
  const { hubUrl = defaultHubUrl, cacheDir, modelsDir, accessToken, onProgress, signal, allowFallback } = options;
  const { files } = parts[part];
  const local = modelsDir && join(modelsDir, ...name.split('/'));
  if (local && (await isFolder(local))) return local;
  const cached = await cachedModel(name, files, cacheDir);
  if (cached) return cached;
  return pullModel({
    repo: name,
    files,
    optionalFiles: files.filter((file) => file.endsWith('.onnx')).map((file) => `${file}_data`),
    hubUrl,
    cacheDir,
    accessToken,
    connectTimeoutMs: allowFallback ? fallbackConnectMs : undefined,
    onProgress,
    signal,
  });
}

/** A model given as a folder: a path that says so, or one that is there. */
async function ownFolder(name: string): Promise<string | undefined> {
  const isPath = isAbsolute(name) || name.startsWith('.');
  return isPath || (await isFolder(resolve(name))) ? resolve(name) : undefined;
}

/** models/tiny is at the package's root, some levels above this file, built or not. */
async function bundledFolder(part: Part): Promise<string> {
  for (let dir = import.meta.dirname; dir !== dirname(dir); dir = dirname(dir)) {
    const folder = join(dir, 'models', 'tiny', part);
    if (await isFolder(folder)) return folder;
  }
  throw new ModelError('model_not_found', `The bundled model models/tiny/${part} is not in this installation.`);
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
}

/** First 8 hex digits of a file's SHA-256; in the hub's cache that is the name of the blob it points to. */
async function contentId(path: string): Promise<string> {
  const blob = basename(await realpath(path));
  if (/^[0-9a-f]{64}$/.test(blob)) return blob.slice(0, 8);
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex').slice(0, 8);
}
