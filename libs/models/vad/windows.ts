import { type Frame, frameMs, type SpeechDetector } from './detector.ts';

/** A stretch of audio that holds speech, no longer than the model takes. */
export interface SpeechWindow {
  /** From the start of the audio; a multiple of 10. */
  startMs: number;
  pcm: Float32Array;
  /** Where in the audio speech was heard. */
  speech: { startMs: number; endMs: number }[];
}

interface Span {
  /** Frames, end exclusive. */
  start: number;
  end: number;
  active: number;
}

/** Silence within a word or between words; longer ends a stretch of speech, and a window may be cut there. */
const pauseFrames = 250 / frameMs;
/** Speech farther apart than this goes into windows of its own. Up to here silence costs nothing: a window is padded to full length. */
const longestGapFrames = 5000 / frameMs;
/** Kept before and after speech: soft beginnings and endings are under the threshold. */
const leadFrames = 200 / frameMs;
const tailFrames = 300 / frameMs;
/** A window with less speech than this holds a click. */
const leastActiveFrames = 100 / frameMs;
/** A stretch of at least this length whose loudness, past its edges, stays within so much, is no speech. */
const shortestFlatFrames = 250 / frameMs;
const edgeFrames = 60 / frameMs;
const flatDb = 4;
/** A cut inside speech goes through the quietest stretch of this length. */
const cutFrames = 200 / frameMs;

/**
 * Packs speech into windows, cut at silence, in order and without overlap; speech too long for one window is cut where it is quietest in
 * the window's second half. Holds no more audio than one window and what the detector looks ahead.
 */
export class WindowPacker {
  readonly #detector: SpeechDetector;
  readonly #frameSamples: number;
  readonly #maxFrames: number;
  readonly #audio = new AudioBuffer();
  #frame = 0;
  /** End of the last window: nothing before it is given out again. */
  #floor = 0;
  #spans: Span[] = [];
  /** Loudness of the frames from `#floor` on, kept while a window is open. */
  #db: number[] = [];
  #dbFirst = 0;

  constructor(detector: SpeechDetector, sampleRate: number, windowSamples: number) {
    this.#detector = detector;
    this.#frameSamples = (sampleRate * frameMs) / 1000;
    this.#maxFrames = Math.floor(windowSamples / this.#frameSamples);
  }

  /** All speech before this is in windows already given out. */
  get doneMs(): number {
    return (this.#spans.length > 0 ? this.#windowStart() : this.#frame) * frameMs;
  }
  get totalSamples(): number {
    return this.#audio.end;
  }

  /** Takes the next samples; gives the windows that are now full. */
  async push(pcm: Float32Array): Promise<SpeechWindow[]> {
    this.#audio.push(pcm);
    return this.#take(await this.#detector.push(pcm));
  }

  /** Gives the windows that are left at the end of the audio. */
  async flush(): Promise<SpeechWindow[]> {
    const windows = this.#take(await this.#detector.flush());
    this.#close(this.#spans.length, windows);
    return windows;
  }

  #take(frames: Frame[]): SpeechWindow[] {
    const windows: SpeechWindow[] = [];
    for (const { db, active } of frames) {
      const frame = this.#frame++;
      const open = this.#spans.at(-1);
      if (active) {
        if (!open || frame - open.end > pauseFrames) this.#spans.push({ start: frame, end: frame + 1, active: 1 });
        else {
          open.end = frame + 1;
          open.active++;
        }
      }
      this.#db.push(db);
      const last = this.#spans.at(-1);
      if (!last) {
        this.#forget(frame + 1 - leadFrames);
      } else if (frame + 1 - last.end > longestGapFrames) {
        this.#close(this.#spans.length, windows);
      } else if (
        frame + 1 + tailFrames - this.#windowStart() >= this.#maxFrames &&
        frame + 1 - last.end <= pauseFrames
      ) {
        // Full while speech goes on: what came before the pause goes out, or else the long speech is cut.
        if (this.#spans.length > 1) this.#close(this.#spans.length - 1, windows);
        else this.#cutInside(windows);
      }
    }
    return windows;
  }

  #windowStart(): number {
    return Math.max(this.#floor, (this.#spans[0] as Span).start - leadFrames);
  }

  /** Gives out the first `count` spans as one window. */
  #close(count: number, windows: SpeechWindow[]): void {
    const spans = this.#spans.slice(0, count);
    const last = spans.at(-1);
    if (!last) return;
    const start = this.#windowStart();
    const next = this.#spans[count];
    // Between two windows the pause is shared: neither reaches past its middle.
    const end = next ? Math.min(last.end + tailFrames, Math.floor((last.end + next.start) / 2)) : last.end + tailFrames;
    this.#emit(start, end, spans, windows);
    this.#spans = this.#spans.slice(count);
    this.#advance(end);
  }

  #cutInside(windows: SpeechWindow[]): void {
    const span = this.#spans[0] as Span;
    const start = this.#windowStart();
    const cut = this.#quietest(start + Math.floor(this.#maxFrames / 2), this.#frame);
    if (cut >= span.end) {
      this.#close(1, windows); // the quietest place is the pause that the speech has just come to
      return;
    }
    const share = (cut - span.start) / (span.end - span.start);
    const active = Math.round(span.active * share);
    this.#emit(start, cut, [{ start: span.start, end: cut, active }], windows);
    this.#spans = [{ start: cut, end: span.end, active: span.active - active }];
    this.#advance(cut);
  }

  /** Middle of the quietest stretch in [from, to); the latest of equals, for the fullest window. */
  #quietest(from: number, to: number): number {
    let sum = 0;
    let lowest = Infinity;
    let middle = to;
    for (let frame = from; frame < to; frame++) {
      sum += this.#db[frame - this.#dbFirst] as number;
      if (frame >= from + cutFrames) sum -= this.#db[frame - cutFrames - this.#dbFirst] as number;
      if (frame >= from + cutFrames - 1 && sum <= lowest) {
        lowest = sum;
        middle = frame + 1 - cutFrames / 2;
      }
    }
    return middle;
  }

  #emit(start: number, end: number, spans: Span[], windows: SpeechWindow[]): void {
    const spoken = spans.filter((span) => !this.#isFlat(span));
    const [first, last] = [spoken[0], spoken.at(-1)];
    if (!first || !last || spoken.reduce((total, { active }) => total + active, 0) < leastActiveFrames) return;
    const from = Math.max(start, first.start - leadFrames);
    const to = Math.min(end, last.end + tailFrames);
    windows.push({
      startMs: from * frameMs,
      pcm: this.#audio.slice(from * this.#frameSamples, to * this.#frameSamples),
      speech: spoken.map((span) => ({ startMs: span.start * frameMs, endMs: span.end * frameMs })),
    });
  }

  /** A burst of noise or a beep is as loud all along; syllables are not. */
  #isFlat({ start, end }: Span): boolean {
    if (!this.#detector.hearsLoudness || end - start < shortestFlatFrames) return false;
    const inside = this.#db.slice(start + edgeFrames - this.#dbFirst, end - edgeFrames - this.#dbFirst);
    inside.sort((a, b) => a - b);
    const at = (share: number) => inside[Math.floor(share * (inside.length - 1))] as number;
    return at(0.9) - at(0.1) < flatDb;
  }

  #advance(floor: number): void {
    this.#floor = floor;
    this.#forget(this.#spans.length > 0 ? this.#windowStart() : floor);
  }

  #forget(before: number): void {
    const count = before - this.#dbFirst;
    // In steps of a second: dropping one frame at a time would copy the rest each time.
    if (count < 1000 / frameMs) return;
    this.#db.splice(0, count);
    this.#dbFirst += count;
    this.#audio.dropBefore(before * this.#frameSamples);
  }
}

/** Samples by their position in the whole audio, from the first that is still needed. */
class AudioBuffer {
  #pieces: { start: number; pcm: Float32Array }[] = [];
  end = 0;

  push(pcm: Float32Array): void {
    if (pcm.length > 0) this.#pieces.push({ start: this.end, pcm });
    this.end += pcm.length;
  }

  dropBefore(sample: number): void {
    const kept = this.#pieces.findIndex(({ start, pcm }) => start + pcm.length > sample);
    this.#pieces.splice(0, kept === -1 ? this.#pieces.length : kept);
  }

  slice(from: number, to: number): Float32Array {
    const out = new Float32Array(Math.max(0, Math.min(to, this.end) - from));
    for (const { start, pcm } of this.#pieces) {
      const first = Math.max(from, start);
      const last = Math.min(to, start + pcm.length);
      if (first < last) out.set(pcm.subarray(first - start, last - start), first - from);
    }
    return out;
  }
}
