import { stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { contentId } from './checksum.ts';
import { CLIP_FILES } from './clip/config.ts';
import { ModelError } from './errors.ts';
import { checkFolder, fileProblem, remedy } from './folder.ts';
import {
  cachedModel,
  chooseFiles,
  defaultHubUrl,
  type FileChoice,
  type PullProgress,
  pullModel,
  snapshots,
} from './hub.ts';
import type { Device } from './runtime.ts';
import { TEXT_FILES } from './text/config.ts';
import { acceptedFiles } from './variants.ts';
import { WHISPER_FILES } from './whisper/config.ts';

export type ProfileName = 'tiny' | 'base' | 'large';
/** What a profile is made of. Without an optional part, what needs it is done in a simpler way. */
export type Part = 'clip' | 'whisper' | OptionalPart;
/**
 * `vad`: speech detection; without it, pauses are found by their loudness. `text`: passages by their meaning; without it, they are found by
 * their words.
 */
export type OptionalPart = 'vad' | 'text';

/** Hub ids of a profile; `tiny` is in the repository, under models/tiny. */
export const PROFILES: Record<ProfileName, { clip: string; whisper: string } & Partial<Record<OptionalPart, string>>> =
  {
    tiny: { clip: 'cuepoint/tiny-clip', whisper: 'cuepoint/tiny-whisper' },
    base: {
      clip: 'Xenova/clip-vit-base-patch32',
      whisper: 'onnx-community/whisper-base',
      vad: 'onnx-community/silero-vad',
      text: 'Xenova/multilingual-e5-small',
    },
    large: {
      clip: 'Xenova/clip-vit-large-patch14',
      whisper: 'onnx-community/whisper-large-v3-turbo',
      vad: 'onnx-community/silero-vad',
      text: 'Xenova/multilingual-e5-small',
    },
  };

interface PartFiles {
  optional: boolean;
  /** Every file a device opens, each with what else will do in its place. */
  files(device: Device): FileChoice[];
  /** The file whose content stands for the model's: for what must agree, one that is there whatever precision a device takes. */
  identity(device: Device): FileChoice;
}
const onnx = (file: string) => (device: Device) => acceptedFiles(file, device);
const partFiles: Record<Part, PartFiles> = {
  clip: {
    optional: false,
    files: (device) => [
      ...CLIP_FILES.json,
      onnx(CLIP_FILES.image)(device),
      CLIP_FILES.text,
      onnx(CLIP_FILES.text)(device),
    ],
    identity: () => CLIP_FILES.text,
  },
  whisper: {
    optional: false,
    files: (device) => [
      ...WHISPER_FILES.json,
      onnx(WHISPER_FILES.encoder)(device),
      onnx(WHISPER_FILES.decoder)(device),
    ],
    identity: onnx(WHISPER_FILES.encoder),
  },
  vad: { optional: true, files: () => ['onnx/model.onnx'], identity: () => 'onnx/model.onnx' },
  // One precision for all: a question and what answers it are encoded on different machines and compared.
  text: { optional: true, files: () => [...TEXT_FILES.json, TEXT_FILES.model], identity: () => TEXT_FILES.model },
};
export const PARTS = Object.keys(partFiles) as Part[];

/** A model that is on this machine, whole as far as its files' names, sizes and first bytes tell. */
export interface ModelFolder {
  /** Carries the content: `Xenova/clip-vit-base-patch32@1a2b3c4d`. */
  id: string;
  folder: string;
  /** Its files in `folder` that this machine's device opens. */
  files: string[];
}
type RequiredPart = Exclude<Part, OptionalPart>;
export type ModelFolders<P extends Part = Part> = { [K in P & RequiredPart]: ModelFolder } & {
  [K in P & OptionalPart]?: ModelFolder;
};
export type ResolvedProfile<P extends Part = Part> = ModelFolders<P> & {
  profile: ProfileName;
  /** Set when `profile` is not the one asked for: a sentence for logs, /health/ready, CLI and UI. */
  fallbackReason?: string;
  /** Optional parts that could not be had, and why, in sentences. */
  notes: string[];
};
export interface ResolveOptions<P extends Part = Part> {
  profile: ProfileName;
  /** Only these parts; default: all. */
  parts?: readonly P[];
  /** CLIP_MODEL and so on: hub id or folder (for an optional part also its one file, or `none`), in place of the profile's. */
  clip?: string;
  whisper?: string;
  vad?: string;
  text?: string;
  /** DEVICE: which precision is looked for and fetched. */
  device?: Device;
  modelsDir?: string;
  hubUrl?: string;
  /** HF_HUB_CACHE / HF_HOME; default: the shared Hugging Face cache folder. */
  cacheDir?: string;
  /** HF_TOKEN, for private and gated repositories. */
  accessToken?: string;
  /** Asks no network: what is not on this machine is an error. */
  offline?: boolean;
  allowFallback: boolean;
  /** Given through as it is: the caller's caller has fallen back already (`cuepoint up` for api and worker). */
  fallbackReason?: string;
  onProgress?: (progress: PullProgress) => void;
  signal?: AbortSignal;
}

/** With something simpler to start on, a machine with no network should not wait long to find that out. */
const impatientConnectMs = 3000;

/**
 * Folders of a profile's models: from `modelsDir` (a folder per hub id), else the hub cache, else pulled from the hub with `onProgress`.
 * When the hub can't be reached (or turns away a request for the profile's own, public models) and nothing is cached, gives `tiny` with a
 * `fallbackReason` (only where `allowFallback`). A model named by its folder stays what it is. An optional part that can't be had is left
 * out with a note, unless it was asked for by name. Throws ModelError.
 */
export async function resolveProfile<P extends Part = Part>(options: ResolveOptions<P>): Promise<ResolvedProfile<P>> {
  const parts = options.parts ?? (PARTS as P[]);
  const found: Partial<Record<Part, ModelFolder>> = {};
  try {
    for (const part of parts) {
      if (!partFiles[part].optional) found[part] = await find(part, nameOf(part, options) as string, options);
    }
  } catch (error) {
    if (!options.allowFallback || !outOfReach(error, options)) throw error;
    const fallbackReason =
      `The models of profile "${options.profile}" are not on this machine and could not be fetched (${error.message.replace(/\.$/, '')}), ` +
      'so the small bundled "tiny" models are in use: good for trying things out, not for real videos. ' +
      'Connect to the hub, or set MODELS_DIR to a folder that has the models, and start again.';
    const own = async (name: string | undefined) => (name && (await ownPath(name)) ? name : undefined);
    const [clip, whisper] = [await own(options.clip), await own(options.whisper)];
    const [vad, text] = [await own(options.vad), await own(options.text)];
    const names = { clip, whisper, vad, text };
    return resolveProfile({ ...options, ...names, profile: 'tiny', allowFallback: false, fallbackReason });
  }
  const { notes, ...optional } = await findOptional(parts, options);
  const { profile, fallbackReason } = options;
  return { ...found, ...optional, profile, fallbackReason, notes } as ResolvedProfile<P>;
}

/** What is asked for as a part: hub id, folder or file. */
function nameOf(part: Part, options: ResolveOptions): string | undefined {
  const name = options[part] ?? PROFILES[options.profile][part];
  return partFiles[part].optional && name === 'none' ? undefined : name;
}

async function findOptional(parts: readonly Part[], options: ResolveOptions) {
  const found: Partial<Record<Part, ModelFolder>> = {};
  const notes: string[] = [];
  let hubIsDown = false;
  for (const part of parts) {
    const name = nameOf(part, options);
    if (!partFiles[part].optional || name === undefined) continue;
    try {
      // Each would wait for a hub that has just not answered.
      const reach = hubIsDown ? { ...options, offline: true } : { ...options, impatient: true };
      found[part] = await find(part, name, reach);
    } catch (error) {
      if (!(error instanceof ModelError) || (options[part] && !error.retryable && !options.offline)) throw error;
      hubIsDown ||= error.code === 'hub_unreachable';
      notes.push(`The optional model ${name} (${part}) could not be had and is left out: ${error.message}`);
    }
  }
  return { ...found, notes };
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

async function find(part: Part, name: string, options: ResolveOptions & { impatient?: boolean }): Promise<ModelFolder> {
  const { files, identity } = partFiles[part];
  const device = options.device ?? 'auto';
  const own = await ownPath(name);
  if (own?.kind === 'file') {
    const [folder, file] = [dirname(own.path), basename(own.path)];
    await checkFolder(folder, [file]);
    return { id: `${file}@${await contentId(own.path)}`, folder, files: [file] };
  }
  const folder = own?.path ?? (await findFolder(part, name, options));
  const chosen = (await chooseFiles(folder, files(device))) ?? (await nameMissing(folder, files(device)));
  const [standing] = (await chooseFiles(folder, [identity(device)])) ?? [];
  const label = own ? basename(folder) : name;
  return { id: `${label}@${await contentId(join(folder, standing as string))}`, folder, files: chosen };
}

/** Where the parts of a profile are on this machine, whole or not, with the files of each that its device opens. Asks no network. */
export async function locateParts(options: ResolveOptions) {
  const located: { part: Part; name: string; optional: boolean; folder: string | undefined; files: string[] }[] = [];
  for (const part of options.parts ?? PARTS) {
    const name = nameOf(part, options);
    if (name === undefined) continue;
    const { optional } = partFiles[part];
    const own = await ownPath(name);
    if (own?.kind === 'file') {
      located.push({ part, name, optional, folder: dirname(own.path), files: [basename(own.path)] });
      continue;
    }
    const needed = partFiles[part].files(options.device ?? 'auto');
    const folder =
      own?.path ?? (await localFolder(part, name, options)) ?? (await snapshots(name, options.cacheDir))[0];
    const files = new Set<string>();
    for (const choice of needed) {
      const [file] = (folder && (await chooseFiles(folder, [choice]))) || [[choice].flat().at(-1) as string];
      files.add(file as string);
      const weights = `${file}_data`;
      if (folder && (await isFile(join(folder, weights)))) files.add(weights);
    }
    located.push({ part, name, optional, folder, files: [...files] });
  }
  return located;
}

/** Throws for the first file that is not there in any of its variants, with what is wrong with the last of them: the plain one. */
async function nameMissing(folder: string, files: FileChoice[]): Promise<never> {
  await checkFolder(folder, []);
  for (const choice of files) {
    if (await chooseFiles(folder, [choice])) continue;
    const file = [choice].flat().at(-1) as string;
    throw new ModelError('model_incomplete', `${file} in ${folder} ${await fileProblem(folder, file)}. ${remedy}`);
  }
  throw new ModelError('model_incomplete', `The files of ${folder} change while they are looked at.`, true);
}

async function findFolder(
  part: Part,
  name: string,
  options: ResolveOptions & { impatient?: boolean },
): Promise<string> {
  const here = await localFolder(part, name, options);
  if (here) return here;
  const { hubUrl = defaultHubUrl, cacheDir, accessToken, onProgress, signal } = options;
  const files = partFiles[part].files(options.device ?? 'auto');
  if (options.offline) {
    const [partly] = await snapshots(name, cacheDir);
    if (partly) await nameMissing(partly, files);
    throw new ModelError('model_not_found', `${name} is not on this machine: \`cuepoint models pull\` fetches it.`);
  }
  const connectTimeoutMs = options.impatient || options.allowFallback ? impatientConnectMs : undefined;
  return pullModel({ repo: name, files, hubUrl, cacheDir, accessToken, connectTimeoutMs, onProgress, signal });
}

/** The folder of a hub id on this machine: bundled, in `modelsDir`, or whole in the hub's cache. */
async function localFolder(part: Part, name: string, options: ResolveOptions): Promise<string | undefined> {
  const { cacheDir, modelsDir, device = 'auto' } = options;
  if (name === PROFILES.tiny[part]) return bundledFolder(part);
  if (modelsDir && !(await isFolder(modelsDir)))
    throw new ModelError('model_not_found', `MODELS_DIR names ${modelsDir}, and there is no such folder.`);
  const local = modelsDir && join(modelsDir, ...name.split('/'));
  if (local && (await isFolder(local))) return local;
  return cachedModel(name, partFiles[part].files(device), cacheDir);
}

/** A model given by its path: one that says so, or that is there. */
async function ownPath(name: string): Promise<{ kind: 'folder' | 'file'; path: string } | undefined> {
  const path = resolve(name);
  if (await isFolder(path)) return { kind: 'folder', path };
  if (!isAbsolute(name) && !name.startsWith('.')) return undefined;
  return { kind: name.endsWith('.onnx') ? 'file' : 'folder', path };
}

/** models/tiny is at the package's root, some levels above this file, built or not. */
async function bundledFolder(part: Part): Promise<string> {
  for (let dir = import.meta.dirname; dir !== dirname(dir); dir = dirname(dir)) {
    const folder = join(dir, 'models', 'tiny', part);
    if (await isFolder(folder)) return folder;
  }
  throw new ModelError('model_not_found', `The bundled model models/tiny/${part} is not in this installation.`);
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() ?? false;
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
}
