import type { SpeechDetector } from '../vad/detector.ts';
import { type SpeechWindow, WindowPacker } from '../vad/windows.ts';
import type { TimedSegment } from './guards.ts';
import type { DecodeOptions } from './prompt.ts';
import type { Transcriber } from './transcriber.ts';

/** Audio after which fewer windows than a batch go out: what is in a batch depends on the audio, never on timing. */
const batchMs = 240_000;

/** What a piece of audio has brought. */
export interface Heard {
  segments: TimedSegment[];
  /** Spoken, once it is known. */
  language: string | undefined;
  /** All audio before this is transcribed. */
  doneMs: number;
}

/** One recording on its way through detector, windows and transcriber. Holds a batch of windows and what the detector looks ahead, however long it is. */
export class AudioStream {
  readonly #packer: WindowPacker;
  readonly #transcriber: Transcriber;
  readonly #options: DecodeOptions;
  readonly #sampleRate: number;
  readonly #batch: number;
  #windows: SpeechWindow[] = [];
  #sentMs = 0;

  constructor(
    transcriber: Transcriber,
    detector: SpeechDetector,
    { sampleRate, windowSamples }: { sampleRate: number; windowSamples: number },
    options: DecodeOptions,
    /** Windows decoded together. */
    batch: number,
  ) {
    this.#transcriber = transcriber;
    this.#packer = new WindowPacker(detector, sampleRate, windowSamples);
    this.#sampleRate = sampleRate;
    this.#options = { ...options };
    this.#batch = batch;
  }

  /** Takes the next samples; transcribes the batches that they fill. */
  async push(pcm: Float32Array, signal?: AbortSignal): Promise<Heard> {
    const segments: TimedSegment[] = [];
    // Looked at on whole seconds of the audio only, so that batches are the same for pieces of any size.
    for (let from = 0; from < pcm.length; ) {
      signal?.throwIfAborted();
      const to = Math.min(pcm.length, from + this.#sampleRate - (this.#packer.totalSamples % this.#sampleRate));
      this.#windows.push(...(await this.#packer.push(finite(pcm.subarray(from, to)))));
      from = to;
      if (this.#packer.totalSamples % this.#sampleRate === 0) segments.push(...(await this.#transcribeFull(signal)));
    }
    return this.#heard(segments, this.#sentMs);
  }

  /** The audio is at its end: transcribes what is left. */
  async finish(signal?: AbortSignal): Promise<Heard> {
    this.#windows.push(...(await this.#packer.flush()));
    const segments = await this.#transcribeFull(signal);
    segments.push(...(await this.#transcribe(this.#windows, signal)));
    this.#windows = [];
    return this.#heard(segments, Math.floor((this.#packer.totalSamples / this.#sampleRate) * 1000));
  }

  async #transcribeFull(signal?: AbortSignal): Promise<TimedSegment[]> {
    const segments: TimedSegment[] = [];
    while (this.#windows.length >= this.#batch || this.#packer.doneMs - this.#sentMs >= batchMs) {
      const batch = this.#windows.splice(0, this.#batch);
      segments.push(...(await this.#transcribe(batch, signal)));
      this.#sentMs = this.#windows[0]?.startMs ?? this.#packer.doneMs;
    }
    return segments;
  }

  async #transcribe(windows: SpeechWindow[], signal?: AbortSignal): Promise<TimedSegment[]> {
    if (windows.length === 0) return [];
    const { segments, language } = await this.#transcriber.transcribe(windows, this.#options, signal);
    this.#options.language = language; // the first speech decides for the whole recording
    return segments.flat();
  }

  #heard(segments: TimedSegment[], doneMs: number): Heard {
    return { segments, language: this.#options.language, doneMs };
  }
}

/** Broken decoders give NaN, which would never leave a filter again: silence instead. */
function finite(pcm: Float32Array): Float32Array {
  let sum = 0;
  for (let i = 0; i < pcm.length; i++) sum += (pcm[i] as number) * 0; // NaN and infinity make it NaN
  return sum === 0 ? pcm : pcm.map((sample) => (Number.isFinite(sample) ? sample : 0));
}
