import { ModelError } from '../errors.ts';
import type { RuntimeInfo, RuntimeOptions } from '../runtime.ts';
import { type EngineHandle, openEngine } from '../thread.ts';
import { type SpeechWindow, WindowPacker } from '../vad/windows.ts';
import type { WhisperEngine } from './engine.ts';
import { believable } from './guards.ts';

/** One transcribed piece of speech. Times in milliseconds from the start of the audio given in. */
export interface Segment {
  startMs: number;
  endMs: number;
  text: string;
  /** Mean log-probability of its tokens. */
  avgLogprob: number;
}
export interface TranscribeOptions {
  /** ISO 639-1; detected from the first speech when left out. */
  language?: string;
  /** Gets the milliseconds of audio finished. */
  onProgress?: (doneMs: number) => void;
}
/** A Whisper open in a worker thread. */
export interface WhisperModel {
  readonly id: string;
  /** ISO 639-1 codes of the languages it knows; empty for an English-only model. */
  readonly languages: string[];
  /** What it runs on, and why not on something better. */
  readonly runtime: RuntimeInfo;
  /**
   * Transcribes 16 kHz mono PCM of any length, given in pieces. Audio is cut at silence into windows no longer than the model's (30 s);
   * silence is not transcribed. Segments come in order, never overlap and lie inside the audio. Memory does not grow with the length:
   * audio is pulled only as windows are consumed.
   */
  transcribe(
    pcm: AsyncIterable<Float32Array>,
    options?: TranscribeOptions,
    signal?: AbortSignal,
  ): AsyncGenerator<Segment>;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Windows decoded together, and audio after which fewer go out: what is in a batch depends on the audio, never on timing. */
const batchWindows = 4;
const batchMs = 120_000;

/** Opens a folder in the hub's layout. Throws ModelError. */
export async function openWhisper(
  folder: string,
  { id, device, threads }: RuntimeOptions & { id: string },
): Promise<WhisperModel> {
  const engine = await openEngine<WhisperEngine>({ kind: 'whisper', folder, runtime: { device, threads } });
  const { languages, sampleRate: _rate, windowSamples: _window, ...runtime } = engine.info;
  return {
    id,
    languages,
    runtime,
    transcribe: (pcm, options = {}, signal) => transcribe(engine, pcm, options, signal),
    close: () => engine.close(),
    [Symbol.asyncDispose]: () => engine.close(),
  };
}

async function* transcribe(
  engine: EngineHandle<WhisperEngine>,
  pcm: AsyncIterable<Float32Array>,
  { language: asked, onProgress }: TranscribeOptions,
  signal?: AbortSignal,
): AsyncGenerator<Segment> {
  const { sampleRate, windowSamples, languages } = engine.info;
  if (asked !== undefined && languages.length > 0 && !languages.includes(asked)) {
    throw new ModelError('language_unsupported', `This model does not know "${asked}", only ${languages.join(', ')}.`);
  }
  let language = asked;
  const stop = new AbortController();
  const packer = new WindowPacker(sampleRate, windowSamples);
  const batches = windowBatches(untilAborted(pcm, stop.signal, signal), packer, sampleRate);
  // One batch is gathered (the source decodes) while the one before it is transcribed.
  let next = batches.next();
  try {
    for (let current = await next; !current.done; current = await next) {
      const { windows, doneMs } = current.value;
      next = batches.next();
      next.catch(() => {}); // seen when it is awaited
      if (windows.length > 0) {
        const ends = windows.map((window) => window.startMs + Math.floor((window.pcm.length / sampleRate) * 1000));
        const samples = windows.map((window) => window.pcm);
        const transfer = samples.map(({ buffer }) => buffer as ArrayBuffer);
        const result = await engine.call('transcribe', { windows: samples, language }, { transfer, signal });
        language = result.language;
        for (const [i, window] of windows.entries()) {
          const text = result.texts[i];
          if (text) yield* believable(window, text, ends[i] as number);
        }
      }
      onProgress?.(doneMs);
    }
  } finally {
    stop.abort();
    await batches.return(undefined).catch(() => {});
  }
}

interface WindowBatch {
  windows: SpeechWindow[];
  /** All audio before this is in this batch or an earlier one. */
  doneMs: number;
}

async function* windowBatches(
  pcm: AsyncIterable<Float32Array>,
  packer: WindowPacker,
  sampleRate: number,
): AsyncGenerator<WindowBatch> {
  let windows: SpeechWindow[] = [];
  let sentMs = 0;
  const take = function* (): Generator<WindowBatch> {
    while (windows.length >= batchWindows || packer.doneMs - sentMs >= batchMs) {
      const batch = windows.slice(0, batchWindows);
      windows = windows.slice(batchWindows);
      sentMs = windows[0]?.startMs ?? packer.doneMs;
      yield { windows: batch, doneMs: sentMs };
    }
  };
  for await (const piece of pcm) {
    // Looked at on whole seconds of the audio only, so that batches are the same for pieces of any size.
    let from = 0;
    while (from < piece.length) {
      const to = Math.min(piece.length, from + sampleRate - (packer.totalSamples % sampleRate));
      windows.push(...packer.push(piece.subarray(from, to)));
      from = to;
      if (packer.totalSamples % sampleRate === 0) yield* take();
    }
  }
  windows.push(...packer.flush());
  yield* take();
  yield { windows, doneMs: Math.floor((packer.totalSamples / sampleRate) * 1000) };
}

/**
 * Passes the source on until `stop`, which ends it, or `abort`, which rejects, even while the source is silent. The source is told to end
 * and waited for; after an abort only told, for it may never answer and has its own signal to end by.
 */
async function* untilAborted<T>(source: AsyncIterable<T>, stop: AbortSignal, abort?: AbortSignal): AsyncGenerator<T> {
  abort?.throwIfAborted();
  const { promise: stopped, resolve, reject } = Promise.withResolvers<{ done: true; value: undefined }>();
  stopped.catch(() => {});
  const onStop = () => resolve({ done: true, value: undefined });
  const onAbort = () => reject(abort?.reason);
  stop.addEventListener('abort', onStop, { once: true });
  abort?.addEventListener('abort', onAbort, { once: true });
  const iterator = source[Symbol.asyncIterator]();
  try {
    for (;;) {
      const result = await Promise.race([iterator.next(), stopped]);
      if (result.done) return;
      yield result.value;
    }
  } finally {
    abort?.removeEventListener('abort', onAbort);
    const ended = Promise.resolve(iterator.return?.()).catch(() => {});
    if (!abort?.aborted) await ended;
  }
}
