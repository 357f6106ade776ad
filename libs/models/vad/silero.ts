import { ModelError } from '../errors.ts';
import { type InferenceSession, run, Tensor } from '../sessions.ts';
import { type Frame, frameMs, type SpeechDetector } from './detector.ts';

/** Silero VAD 5 and 6 at 16 kHz: 512 new samples after the last 64 of those before. */
export const sileroRate = 16_000;
const chunkSamples = 512;
const contextSamples = 64;
const stateDims = [2, 1, 128] as const;
/** Defaults of Silero's get_speech_timestamps: speech starts at a probability, and ends where it was lower for a while. */
const startProbability = 0.5;
const stayProbability = 0.35;
const leastSilenceSamples = (sileroRate * 100) / 1000;
const leastSpeechSamples = (sileroRate * 250) / 1000;

const frameSamples = (sileroRate * frameMs) / 1000;

/** Throws `model_invalid` for a session that is not a Silero VAD. */
export function checkSilero(session: InferenceSession, file: string): void {
  const wanted = ['input', 'state', 'sr'];
  const odd = wanted.filter((name) => !session.inputNames.includes(name));
  if (odd.length > 0 || !session.outputNames.includes('output') || !session.outputNames.includes('stateN')) {
    const message = `${file} is not a Silero VAD 5 or 6: it takes ${session.inputNames.join(', ')} and gives ${session.outputNames.join(', ')}.`;
    throw new ModelError('model_invalid', message);
  }
}

/** Probabilities of speech, one for each 32 ms of one stream of audio (the last padded with silence). */
export class SileroProbabilities {
  readonly #session: InferenceSession;
  #state: Tensor = new Tensor('float32', new Float32Array(256), stateDims);
  /** Context, then the chunk that is being filled. */
  readonly #input = new Float32Array(contextSamples + chunkSamples);
  #filled = 0;

  constructor(session: InferenceSession) {
    this.#session = session;
  }

  async push(pcm: Float32Array): Promise<number[]> {
    const out: number[] = [];
    for (let from = 0; from < pcm.length; ) {
      const to = Math.min(pcm.length, from + chunkSamples - this.#filled);
      this.#input.set(pcm.subarray(from, to), contextSamples + this.#filled);
      this.#filled += to - from;
      from = to;
      if (this.#filled === chunkSamples) out.push(await this.#run());
    }
    return out;
  }

  async flush(): Promise<number[]> {
    if (this.#filled === 0) return [];
    this.#input.fill(0, contextSamples + this.#filled);
    return [await this.#run()];
  }

  async #run(): Promise<number> {
    const { output, stateN } = await run(this.#session, {
      input: new Tensor('float32', this.#input, [1, this.#input.length]),
      state: this.#state,
      sr: new Tensor('int64', [BigInt(sileroRate)], []),
    });
    this.#state = stateN as Tensor;
    this.#input.copyWithin(0, chunkSamples);
    this.#filled = 0;
    return (output as Tensor).data[0] as number;
  }
}

/**
 * Probabilities to decisions, chunk by chunk, as Silero's get_speech_timestamps does for a whole recording: a stretch of speech ends where
 * silence of 100 ms begins, and counts if it is longer than 250 ms. A chunk is decided as soon as nothing to come can change it.
 */
export class Hysteresis {
  /** Chunks heard and not yet decided: a start that may be too short, or a silence that speech may go on after. */
  #undecided = 0;
  #state: 'silent' | 'starting' | 'speaking' = 'silent';
  /** Samples of the stretch that is open, and of the silence that may be its end. */
  #speech = 0;
  #silence = 0;

  /** The decisions that this probability settles, oldest first. */
  push(probability: number): boolean[] {
    this.#undecided++;
    if (this.#state === 'silent') {
      if (probability < startProbability) return this.#settle(false);
      this.#state = 'starting';
    }
    if (probability >= startProbability) {
      // A silence that did not last was part of the speech.
      this.#speech += this.#silence;
      this.#silence = 0;
    }
    if (this.#silence === 0 && probability >= stayProbability) {
      this.#speech += chunkSamples;
      if (this.#state === 'starting' && this.#speech > leastSpeechSamples) this.#state = 'speaking';
      return this.#state === 'speaking' ? this.#settle(true) : [];
    }
    // Time since the silence began is counted to this chunk's start.
    if (probability < stayProbability && this.#silence >= leastSilenceSamples) return this.#end();
    this.#silence += chunkSamples;
    return [];
  }

  /** The decisions about all that is left: speech that lasts to the end of the audio ends there. */
  flush(): boolean[] {
    return this.#settle(this.#speech + this.#silence > leastSpeechSamples);
  }

  #end(): boolean[] {
    const silent = this.#silence / chunkSamples + 1;
    const spoken = this.#undecided - silent;
    const counts = this.#state === 'speaking';
    this.#state = 'silent';
    this.#speech = 0;
    this.#silence = 0;
    this.#undecided = 0;
    return [...Array<boolean>(spoken).fill(counts), ...Array<boolean>(silent).fill(false)];
  }

  #settle(speech: boolean): boolean[] {
    const out = Array<boolean>(this.#undecided).fill(speech);
    this.#undecided = 0;
    return out;
  }
}

/** Speech by Silero VAD; loudness beside it, for cutting where it is quietest. */
export class SileroDetector implements SpeechDetector {
  readonly hearsLoudness = false;
  readonly #probabilities: SileroProbabilities;
  readonly #hysteresis = new Hysteresis();
  /** Loudness of the frames that are not decided yet. */
  #db: number[] = [];
  #sum = 0;
  #samples = 0;
  /** Samples decided; decided frames given out. */
  #decided = 0;
  #given = 0;

  constructor(session: InferenceSession) {
    this.#probabilities = new SileroProbabilities(session);
  }

  async push(pcm: Float32Array): Promise<Frame[]> {
    for (let i = 0; i < pcm.length; i++) {
      this.#sum += (pcm[i] as number) ** 2;
      if (++this.#samples % frameSamples === 0) this.#endFrame();
    }
    const out: Frame[] = [];
    for (const probability of await this.#probabilities.push(pcm)) out.push(...this.#take(probability));
    return out;
  }

  async flush(): Promise<Frame[]> {
    if (this.#samples % frameSamples > 0) this.#endFrame();
    const out: Frame[] = [];
    for (const probability of await this.#probabilities.flush()) out.push(...this.#take(probability));
    for (const active of this.#hysteresis.flush()) out.push(...this.#frames(active));
    return out;
  }

  #endFrame(): void {
    this.#db.push(10 * Math.log10(this.#sum / frameSamples + 1e-12));
    this.#sum = 0;
  }

  #take(probability: number): Frame[] {
    return this.#hysteresis.push(probability).flatMap((active) => this.#frames(active));
  }

  /** The frames whose middle lies in the chunk that is decided now. */
  #frames(active: boolean): Frame[] {
    this.#decided += chunkSamples;
    const until = Math.floor((this.#decided + frameSamples / 2) / frameSamples);
    const frames = this.#db.splice(0, until - this.#given).map((db) => ({ db, active }));
    this.#given += frames.length;
    return frames;
  }
}
