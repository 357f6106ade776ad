/** What of a profile is on this machine, and whether it is whole. Asks no network. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { hasChecksum, knownChecksum } from './checksum.ts';
import { openClip } from './clip/index.ts';
import { ModelError, type ModelErrorCode } from './errors.ts';
import { fileProblem, remedy } from './folder.ts';
import { begunBytes } from './hub.ts';
import { locateParts, type Part, type ResolvedProfile, type ResolveOptions, resolveProfile } from './profiles.ts';
import type { RuntimeOptions } from './runtime.ts';
import { openPassageEncoder } from './text/index.ts';
import { openWhisper } from './whisper/index.ts';

export interface FileState {
  file: string;
  sizeBytes: number;
  /** `unknown`: nothing on this machine says what it should be. */
  checksum?: 'right' | 'wrong' | 'unknown';
  /** What is wrong with it, and what to do. */
  problem?: string;
}
export interface PartState {
  part: Part;
  /** Hub id, folder or file, as asked for. */
  name: string;
  optional: boolean;
  /** `partly`: a file is missing or broken. */
  state: 'here' | 'partly' | 'not here';
  folder?: string;
  /** The files that this machine's device opens. */
  files: FileState[];
  sizeBytes: number;
  /** What an interrupted download has left to go on from. */
  begunBytes: number;
}

/**
 * The parts of a profile as they are on this machine. Looks at names, sizes and first bytes; `thoroughly` also at every byte: the checksum
 * where one is known (in the hub's cache), and whether JSON can be read.
 */
export async function inspectProfile(
  options: ResolveOptions,
  { thoroughly = false }: { thoroughly?: boolean } = {},
): Promise<PartState[]> {
  const states: PartState[] = [];
  for (const { part, name, optional, folder, files } of await locateParts(options)) {
    const looked: FileState[] = [];
    for (const file of folder === undefined ? [] : files) {
      looked.push(await look(folder as string, file, thoroughly, options.signal));
    }
    states.push({
      part,
      name,
      optional,
      state: folder === undefined ? 'not here' : looked.some(({ problem }) => problem) ? 'partly' : 'here',
      folder,
      files: looked,
      sizeBytes: looked.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      begunBytes: await begunBytes(name, options.cacheDir),
    });
  }
  return states;
}

async function look(folder: string, file: string, thoroughly: boolean, signal?: AbortSignal): Promise<FileState> {
  const path = join(folder, file);
  const sizeBytes = (await stat(path).catch(() => undefined))?.size ?? 0;
  const problem = await fileProblem(folder, file);
  if (problem || !thoroughly) return { file, sizeBytes, ...(problem && { problem: `${problem}. ${remedy}` }) };
  try {
    const known = await knownChecksum(path);
    const checksum = known === undefined ? 'unknown' : (await hasChecksum(path, known, signal)) ? 'right' : 'wrong';
    if (checksum === 'wrong')
      return { file, sizeBytes, checksum, problem: `is not what was fetched: its checksum differs. ${remedy}` };
    if (file.endsWith('.json')) JSON.parse(await readFile(path, 'utf8'));
    return { file, sizeBytes, checksum };
  } catch (error) {
    signal?.throwIfAborted();
    const reason = error instanceof SyntaxError ? 'is not whole JSON' : `can't be read (${(error as Error).message})`;
    return { file, sizeBytes, problem: `${reason}. ${remedy}` };
  }
}

export interface TrialResult {
  part: Part;
  /** Names the file where one is to blame. */
  problem?: { code: ModelErrorCode; message: string };
  tookMs: number;
}

/** Opens each model of a profile that is whole on this machine and runs it once: files that do not belong together, or give no numbers, show here. */
export async function tryModels(options: ResolveOptions, runtime: RuntimeOptions): Promise<TrialResult[]> {
  const results: TrialResult[] = [];
  const present = new Set((await locateParts(options)).map(({ part }) => part));
  const attempt = async (part: Part, trial: () => Promise<void>) => {
    if (!present.has(part)) return;
    const begin = performance.now();
    let problem: TrialResult['problem'];
    try {
      await trial();
    } catch (error) {
      if (!(error instanceof ModelError)) throw error;
      problem = { code: error.code, message: error.message };
    }
    results.push({ part, problem, tookMs: Math.round(performance.now() - begin) });
  };
  const only = async <P extends Part>(parts: P[]): Promise<ResolvedProfile<P>> =>
    resolveProfile({ ...options, parts, offline: true, allowFallback: false });

  await attempt('clip', async () => {
    const { clip } = await only(['clip']);
    await using model = await openClip(clip.folder, { id: clip.id, towers: 'both', ...runtime });
    const grey = new Uint8Array(model.imageSize ** 2 * 3).fill(128);
    const embeddings = [...(await model.encodeImages(grey, 1)), ...(await model.encodeTexts(['a red car']))];
    if (!embeddings.every(isUnit)) {
      throw new ModelError('model_invalid', `${clip.folder} gives no numbers: its weights are damaged. ${remedy}`);
    }
  });
  await attempt('whisper', async () => {
    const { whisper } = await only(['whisper']);
    await using model = await openWhisper(whisper.folder, { id: whisper.id, ...runtime });
    const second = Float32Array.from({ length: 16_000 }, (_, i) => 0.3 * Math.sin(i / 8) * Math.sin(i / 700));
    for await (const _ of model.transcribe(once(second)));
  });
  // It runs inside Whisper's thread, and is opened there: where that fails by itself, nothing is known of this one.
  const isWhisperBroken = results.some(({ part, problem }) => part === 'whisper' && problem);
  const tryVad = async () => {
    const { whisper, vad } = await only(['whisper', 'vad']);
    const vadFile = vad && join(vad.folder, vad.files[0] as string);
    await using _model = await openWhisper(whisper.folder, { id: whisper.id, ...runtime, vadFile });
  };
  if (!isWhisperBroken) await attempt('vad', tryVad);
  await attempt('text', async () => {
    const { text } = await only(['text']);
    if (!text) return;
    await using model = await openPassageEncoder(text.folder, { id: text.id, ...runtime });
    if (!(await model.encodePassages(['a red car'])).every(isUnit)) {
      throw new ModelError('model_invalid', `${text.folder} gives no numbers: its weights are damaged. ${remedy}`);
    }
  });
  return results;
}

/** NaN is not within anything. */
const isUnit = (embedding: Float32Array) => Math.abs(Math.hypot(...embedding) - 1) < 0.01;
async function* once<T>(value: T): AsyncGenerator<T> {
  yield value;
}
