import { setImmediate as nextTurn } from 'node:timers/promises';

/** Sound whose samples follow each other, and the place of the first: counted in samples from where the file starts. */
export interface Stretch {
  at: number;
  samples: Float32Array;
}

/**
 * Clocks of containers are coarse and jitter: only where one is off by more than this (in samples, a tenth of a second: what ffmpeg's own
 * resampler takes) the sound pauses there, or what is in the file twice is left out.
 */
export const JUMP = 1600;
/**
 * Sound that jumps counts once it has lasted for so long, 2 s: a packet with a wrong time holds up to a second, and where the format changes
 * midway ffmpeg gives a frame or two a time that is seconds off.
 */
const LASTING = 20 * JUMP;

/**
 * Each stretch where it is heard. What jumped for less than `LASTING`, until the clock went back or on as before, is put where the sound had got to.
 */
export async function* settled(stretches: AsyncIterable<Stretch>, startAt: number): AsyncGenerator<Stretch> {
  let next = startAt;
  /** The next stretch says to the sample where the sound is. */
  let exact = true;
  let held: Stretch[] = [];
  let heldEnd = 0;
  for await (const { at, samples } of stretches) {
    const first = held[0];
    if (first && Math.abs(at - heldEnd) > JUMP) {
      const slipped = at < heldEnd || Math.abs(at - (next + heldEnd - first.at)) <= JUMP;
      if (!slipped) next = first.at;
      for (const { samples } of held) {
        yield { at: next, samples };
        next += samples.length;
      }
      held = [];
      exact = true;
    }
    if (held.length === 0 && Math.abs(at - next) <= JUMP) {
      if (exact) next = at;
      exact = false;
      yield { at: next, samples };
      next += samples.length;
      continue;
    }
    if (held.length === 0) heldEnd = at;
    held.push({ at: heldEnd, samples });
    heldEnd += samples.length;
    if (heldEnd - (held[0] as Stretch).at < LASTING) continue;
    yield* held;
    next = heldEnd;
    exact = false;
    held = [];
  }
  yield* held;
}

/**
 * Samples [from, until) of what the stretches say, in pieces of `pieceLength`, the last one shorter: pauses as silence, and of what overlaps
 * the first. It ends with the last stretch that begins before `until`, and begins with silence if there is one.
 */
export async function* inPieces(
  stretches: AsyncIterable<Stretch>,
  from: number,
  until: number,
  pieceLength: number,
): AsyncGenerator<Float32Array<ArrayBuffer>> {
  let piece = new Float32Array(pieceLength);
  let filled = 0;
  let next = from;
  function* add(count: number, samples?: Float32Array) {
    for (let added = 0; added < count; ) {
      const part = Math.min(count - added, pieceLength - filled);
      if (samples) piece.set(samples.subarray(added, added + part), filled);
      filled += part;
      added += part;
      next += part;
      if (filled < pieceLength) continue;
      yield piece;
      piece = new Float32Array(pieceLength);
      filled = 0;
    }
  }
  for await (const { at, samples } of stretches) {
    if (at >= until) break;
    for (const silence of add(at - next)) {
      yield silence;
      await nextTurn(); // a pause of hours waits for nothing else: others get their turn
    }
    const heard = samples.subarray(Math.max(0, next - at), until - at);
    yield* add(heard.length, heard);
    if (next >= until) break;
  }
  if (filled > 0) yield piece.slice(0, filled);
}
