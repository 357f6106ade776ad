import type { RuntimeOptions } from '../runtime.ts';

/** One transcribed piece of speech. Times in milliseconds from the start of the audio given in. */
export interface Segment {
  startMs: number;
  endMs: number;
  text: string;
  /** Mean log-probability of its tokens. */
  avgLogprob: number;
}
/** A Whisper open in a worker thread. */
export interface WhisperModel {
  readonly id: string;
  /**
   * Transcribes 16 kHz mono PCM of any length, given in pieces. Audio is cut at silence into windows no longer than the model's (30 s);
   * silence is not transcribed. Segments come in order, never overlap and lie inside the audio. Memory does not grow with the length.
   * `onProgress` gets the milliseconds of audio finished. `language`: ISO 639-1, detected when left out.
   */
  transcribe(
    pcm: AsyncIterable<Float32Array>,
    options?: { language?: string; onProgress?: (doneMs: number) => void },
    signal?: AbortSignal,
  ): AsyncGenerator<Segment>;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
export async function openWhisper(_folder: string, _options: RuntimeOptions & { id: string }): Promise<WhisperModel> {
  throw new Error('unfinished');
}
