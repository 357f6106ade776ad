import { ModelError } from '../errors.ts';
import type { RuntimeInfo, RuntimeOptions } from '../runtime.ts';
import { type EngineHandle, openEngine } from '../thread.ts';
import type { WhisperEngine } from './engine.ts';
import type { Task } from './prompt.ts';
import type { Heard } from './stream.ts';

/** One transcribed piece of speech. Times in milliseconds from the start of the audio given in. */
export interface Segment {
  startMs: number;
  endMs: number;
  text: string;
  /** ISO 639-1 code of the text's language, given or detected; undefined where the model knows one language and does not say which. */
  language: string | undefined;
  /** The same of what was said: another one where it is translated. */
  spoken: string | undefined;
  /** Mean log-probability of its tokens. */
  avgLogprob: number;
}
export interface TranscribeOptions {
  /** ISO 639-1 code of what is spoken, which an English-only model knows as `en` alone; detected from the first speech when left out. */
  language?: string;
  /** `translate`: into English. */
  task?: Task;
  /** Text that shows names and spelling, as if it had been said just before each window. */
  prompt?: string;
  /** Gets the milliseconds of audio finished. */
  onProgress?: (doneMs: number) => void;
}
/** A Whisper open in a worker thread. */
export interface WhisperModel {
  readonly id: string;
  /** ISO 639-1 codes of the languages it knows; empty for an English-only model. */
  readonly languages: string[];
  /** What tells speech from silence, noise and music. */
  readonly vad: 'silero' | 'energy';
  /** What it runs on, and why not on something better. */
  readonly runtime: RuntimeInfo;
  /**
   * Transcribes 16 kHz mono PCM of any length, given in pieces. Audio is cut at silence into windows no longer than the model's (30 s);
   * silence is not transcribed. Segments come in order, never overlap and lie inside the audio. Memory does not grow with the length:
   * audio is pulled only as it is consumed. Throws ModelError, `language_unsupported` for a language or task that the model does not know.
   */
  transcribe(
    pcm: AsyncIterable<Float32Array>,
    options?: TranscribeOptions,
    signal?: AbortSignal,
  ): AsyncGenerator<Segment>;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface WhisperOptions extends RuntimeOptions {
  id: string;
  /** ONNX file of a Silero VAD 5 or 6; left out, speech is told by loudness alone, which takes some music for speech. */
  vadFile?: string;
}

/** Opens a folder in the hub's layout. Throws ModelError. */
export async function openWhisper(
  folder: string,
  { id, vadFile, device, threads, precision }: WhisperOptions,
): Promise<WhisperModel> {
  const runtimeOptions = { device, threads, precision };
  const engine = await openEngine<WhisperEngine>({ kind: 'whisper', folder, runtime: runtimeOptions, vadFile });
  const { languages, vad, sampleRate: _rate, tasks: _tasks, ...runtime } = engine.info;
  return {
    id,
    languages,
    vad,
    runtime,
    transcribe: (pcm, options = {}, signal) => transcribe(engine, pcm, options, signal),
    close: () => engine.close(),
    [Symbol.asyncDispose]: () => engine.close(),
  };
}

let streams = 0;

async function* transcribe(
  engine: EngineHandle<WhisperEngine>,
  pcm: AsyncIterable<Float32Array>,
  { language, task = 'transcribe', prompt, onProgress }: TranscribeOptions,
  signal?: AbortSignal,
): AsyncGenerator<Segment> {
  const { languages, tasks } = engine.info;
  const known = languages.length > 0 ? languages : ['en'];
  if (language !== undefined && !known.includes(language)) {
    throw new ModelError('language_unsupported', `This model does not know "${language}", only ${known.join(', ')}.`);
  }
  if (!tasks.includes(task)) {
    throw new ModelError('language_unsupported', `This model can't ${task}: it knows ${known.join(', ')} only.`);
  }
  const stream = streams++;
  const stop = new AbortController();
  const audio = untilAborted(pcm, stop.signal, signal);
  const segments = function* (heard: Heard): Generator<Segment> {
    const spoken = heard.language ?? language;
    const written = task === 'translate' ? 'en' : spoken;
    for (const segment of heard.segments) yield { ...segment, language: written, spoken };
    onProgress?.(heard.doneMs);
  };
  const ended = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  await engine.call('begin', { stream, language, task, prompt }, { signal });
  // One piece is on its way (the source decodes) while the one before it is worked on.
  let working: Promise<Heard> | undefined;
  try {
    for await (const piece of audio) {
      const next = engine.call('push', { stream, pcm: piece }, { signal: ended });
      next.catch(() => {}); // seen when it is awaited
      if (working) yield* segments(await working);
      working = next;
    }
    if (working) yield* segments(await working);
    yield* segments(await engine.call('finish', { stream }, { signal }));
  } finally {
    stop.abort();
    await audio.return(undefined).catch(() => {});
    engine.call('drop', { stream }).catch(() => {}); // not waited for: the thread may be in a long run, or gone
  }
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
