import { createHash } from 'node:crypto';
import type { Tensor } from '../sessions.ts';
import type { SpeechWindow } from '../vad/windows.ts';
import type { WhisperConfig } from './config.ts';
import type { Decoder } from './decoder.ts';
import { type Encoder, rowsOf } from './encoder.ts';
import { believable, judge, remainder, type TimedSegment } from './guards.ts';
import { type DecodeOptions, promptTokens } from './prompt.ts';
import { randomFrom } from './rules.ts';
import { type RawSegments, toSegments } from './segments.ts';

export interface Transcript {
  /** Of each window. */
  segments: TimedSegment[][];
  /** Spoken; undefined where the model knows one language only and has no token for it. */
  language: string | undefined;
}

/** Going on inside a window must bring us at least so far; text that is nearer is taken as it is. */
const leastStepMs = 500;
/** Speech shorter than this holds no word. */
const leastWordMs = 200;

/** Windows of speech to segments: encoder, decoder, another try where the text is doubtful, going on where decoding stopped early. */
export class Transcriber {
  readonly #config: WhisperConfig;
  readonly #encoder: Encoder;
  readonly #decoder: Decoder;
  readonly #decodeText: (ids: number[]) => string;

  constructor(config: WhisperConfig, encoder: Encoder, decoder: Decoder, decodeText: (ids: number[]) => string) {
    this.#config = config;
    this.#encoder = encoder;
    this.#decoder = decoder;
    this.#decodeText = decodeText;
  }

  /** Runs every session once, the decoder with and without its cache, over a silent window. */
  async warmUp(): Promise<void> {
    const encoded = await this.#encoder.encode([new Float32Array(0)]);
    const language = await this.#detectLanguage(encoded);
    const prompt = promptTokens(this.#config, { language, task: 'transcribe', prompt: [] });
    await this.#decoder.decode(encoded, prompt, { temperature: 0, random: [], most: 2 });
  }

  /** What it says depends on the windows alone: a second run says the same. */
  async transcribe(windows: SpeechWindow[], options: DecodeOptions, signal?: AbortSignal): Promise<Transcript> {
    const { sampleRate } = this.#config.features;
    const segments: TimedSegment[][] = windows.map(() => []);
    let { language } = options;
    let open = windows.map((window, place) => ({ window, place }));
    while (open.length > 0) {
      const pcm = open.map(({ window }) => window.pcm);
      const encoded = await this.#encoder.encode(pcm, signal);
      language ??= await this.#detectLanguage(encoded);
      const texts = await this.#decode(pcm, encoded, { ...options, language }, signal);
      const left: typeof open = [];
      for (const [i, { window, place }] of open.entries()) {
        const text = texts[i] as RawSegments;
        const endMs = window.startMs + Math.floor((window.pcm.length / sampleRate) * 1000);
        segments[place]?.push(...believable(window, text.segments, endMs, this.#config.decoder.thresholds));
        const rest = remainderOf(window, text, sampleRate);
        if (rest) left.push({ window: rest, place });
      }
      open = left;
    }
    return { segments, language };
  }

  async #detectLanguage(encoded: Tensor): Promise<string | undefined> {
    const known = [...this.#config.decoder.languages.keys()];
    return known.length > 1 ? this.#decoder.detectLanguage(encoded) : known[0];
  }

  /** Decodes greedily, and again at higher temperatures what is doubtful (Radford et al. 2022, section 4.5). */
  async #decode(
    pcm: Float32Array[],
    encoded: Tensor,
    options: DecodeOptions,
    signal?: AbortSignal,
  ): Promise<RawSegments[]> {
    const { thresholds, firstTimestamp } = this.#config.decoder;
    const prompt = promptTokens(this.#config, options);
    const texts: RawSegments[] = pcm.map(() => ({ segments: [], resumeMs: undefined }));
    let open = [...pcm.keys()];
    for (const [attempt, temperature] of thresholds.temperatures.entries()) {
      if (open.length === 0) break;
      const random = temperature > 0 ? open.map((i) => randomFrom(seedOf(pcm[i] as Float32Array) + attempt)) : [];
      const decoded = await this.#decoder.decode(rowsOf(encoded, open), prompt, { temperature, random }, signal);
      const doubtful: number[] = [];
      for (const [row, i] of open.entries()) {
        const one = decoded[row];
        if (!one) continue;
        const text = this.#decodeText(one.tokens.filter((token) => token < firstTimestamp)).trim();
        const verdict = judge({ ...one, text }, thresholds);
        const silent = verdict === 'silent';
        texts[i] = toSegments(silent ? nothing : one, this.#config.decoder, this.#decodeText, leastStepMs);
        if (verdict === 'doubtful') doubtful.push(i);
      }
      open = doubtful;
    }
    return texts;
  }
}

const nothing = { tokens: [], logprobs: [] };

/** What of a window is still to be decoded: all from where decoding stopped, or speech well after the last words. */
function remainderOf(
  window: SpeechWindow,
  { segments, resumeMs }: RawSegments,
  sampleRate: number,
): SpeechWindow | undefined {
  if (resumeMs !== undefined) return remainder(window, window.startMs + resumeMs, sampleRate, leastWordMs);
  const endMs = segments.at(-1)?.endMs ?? 0;
  return endMs < leastStepMs ? undefined : remainder(window, window.startMs + endMs, sampleRate);
}

function seedOf(pcm: Float32Array): number {
  const bytes = new Uint8Array(pcm.buffer, pcm.byteOffset, pcm.byteLength);
  return createHash('sha256').update(bytes).digest().readInt32LE();
}
