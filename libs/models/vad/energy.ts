import { type Frame, frameMs, type SpeechDetector } from './detector.ts';

/** Loudness is taken over 5 frames, so that neither a click nor the beating of low noise is a word. */
const smoothing = 5;
/** Noise floor: the 10th percentile of loudness from 30 s before to 5 s after a frame. */
const floorFrames = { before: 3000, after: 500 };
const floorShare = 0.1;
/** Loudness over the floor that starts speech, and that keeps it going. */
const startDb = 9;
const stayDb = 6;
/** Over 5 s speech rises and falls by much more than this; steady noise, hum and hiss do not. */
const rangeFrames = 250;
const leastRangeDb = 8;
/** Everything under this is silence: digital silence has no floor of its own. */
const quietestDb = -70;

/**
 * Speech or not by loudness against the noise around it. Decides 10 ms frames in order, some seconds late, from the frames before and
 * after; what it decides depends on the audio alone, never on the pieces it comes in.
 */
export class EnergyDetector implements SpeechDetector {
  readonly hearsLoudness = true;
  readonly #frameSamples: number;
  readonly #highPass: HighPass;
  readonly #floor = new SlidingPercentiles();
  readonly #near = new SlidingPercentiles();
  /** Powers of the last frames, for smoothing. */
  #recent: number[] = [];
  #sum = 0;
  #filled = 0;
  /** Smoothed loudness from `#first` on: as far back as the floor looks. */
  #loudness: number[] = [];
  #first = 0;
  #decided = 0;
  #speaking = false;

  constructor(sampleRate: number) {
    this.#frameSamples = (sampleRate * frameMs) / 1000;
    this.#highPass = new HighPass(sampleRate);
  }

  /** Takes the next samples; gives the frames that can now be decided. */
  push(pcm: Float32Array): Frame[] {
    let from = 0;
    while (from < pcm.length) {
      const to = Math.min(pcm.length, from + this.#frameSamples - this.#filled);
      this.#sum = this.#highPass.energy(pcm, from, to, this.#sum);
      this.#filled += to - from;
      from = to;
      if (this.#filled === this.#frameSamples) this.#endFrame();
    }
    return this.#decide(this.#count() - floorFrames.after);
  }

  /** Decides what is left. A last part of a frame counts as one. */
  flush(): Frame[] {
    if (this.#filled > 0) this.#endFrame();
    return this.#decide(this.#count());
  }

  #count(): number {
    return this.#first + this.#loudness.length;
  }

  #endFrame(): void {
    this.#recent.push(this.#sum / this.#frameSamples);
    if (this.#recent.length > smoothing) this.#recent.shift();
    const power = this.#recent.reduce((total, value) => total + value, 0) / this.#recent.length;
    const db = Math.max(quietestDb, 10 * Math.log10(power + 1e-12));
    this.#loudness.push(db);
    this.#sum = 0;
    this.#filled = 0;
  }

  #decide(until: number): Frame[] {
    const out: Frame[] = [];
    for (; this.#decided < until; this.#decided++) {
      const at = this.#decided;
      this.#floor.slide(this.#at, at - floorFrames.before, Math.min(this.#count(), at + floorFrames.after));
      this.#near.slide(this.#at, at - rangeFrames, Math.min(this.#count(), at + rangeFrames));
      const db = this.#at(at);
      const floor = this.#floor.percentile(floorShare);
      const range = this.#near.percentile(0.95) - this.#near.percentile(floorShare);
      this.#speaking = range >= leastRangeDb && db >= floor + (this.#speaking ? stayDb : startDb);
      out.push({ db, active: this.#speaking });
      const unneeded = at - floorFrames.before - this.#first;
      if (unneeded > floorFrames.before) {
        this.#loudness.splice(0, unneeded);
        this.#first += unneeded;
      }
    }
    return out;
  }

  readonly #at = (frame: number): number => this.#loudness[frame - this.#first] as number;
}

/** Second-order Butterworth high-pass at 120 Hz (RBJ audio EQ cookbook): hum and rumble are not speech. */
class HighPass {
  readonly #b0: number;
  readonly #a1: number;
  readonly #a2: number;
  #z1 = 0;
  #z2 = 0;

  constructor(sampleRate: number) {
    const angle = (2 * Math.PI * 120) / sampleRate;
    const alpha = Math.sin(angle) / Math.SQRT2;
    const a0 = 1 + alpha;
    this.#b0 = (1 + Math.cos(angle)) / 2 / a0;
    this.#a1 = (-2 * Math.cos(angle)) / a0;
    this.#a2 = (1 - alpha) / a0;
  }

  /** `sum` and the squares of the filtered samples [from, to), added one by one: the same for pieces of any size. */
  energy(pcm: Float32Array, from: number, to: number, sum: number): number {
    const b0 = this.#b0;
    const a1 = this.#a1;
    const a2 = this.#a2;
    let z1 = this.#z1;
    let z2 = this.#z2;
    let total = sum;
    for (let i = from; i < to; i++) {
      const sample = pcm[i] as number;
      const out = b0 * sample + z1;
      z1 = -2 * b0 * sample - a1 * out + z2;
      z2 = b0 * sample - a2 * out;
      total += out * out;
    }
    this.#z1 = z1;
    this.#z2 = z2;
    return total;
  }
}

const binsPerDb = 4;
const binCount = -quietestDb * binsPerDb + 1;

/** Percentiles of a window that slides over the frames, from a histogram of quarter decibels. */
class SlidingPercentiles {
  readonly #bins = new Uint32Array(binCount);
  #from = 0;
  #to = 0;

  slide(at: (frame: number) => number, from: number, to: number): void {
    for (; this.#to < to; this.#to++) this.#add(at(this.#to), 1);
    for (; this.#from < from; this.#from++) this.#add(at(this.#from), -1);
  }

  percentile(share: number): number {
    let left = Math.floor((this.#to - this.#from) * share);
    for (let i = 0; i < binCount; i++) {
      left -= this.#bins[i] as number;
      if (left < 0) return quietestDb + i / binsPerDb;
    }
    return 0;
  }

  #add(db: number, count: 1 | -1): void {
    const bin = Math.min(binCount - 1, Math.round((db - quietestDb) * binsPerDb));
    this.#bins[bin] = (this.#bins[bin] as number) + count;
  }
}
