import { dot } from '#store';

/**
 * Cosine from which a frame counts as what was on screen already. Measured with the tiny CLIP, one frame a second: neighbours within a
 * still or gently moving scene lie above 0.99, a person walking through a fixed camera's view at 0.90 to 0.976, cuts below 0.8. ViT-B/32
 * puts recompressed stills above 0.99 too, and small moving things a little lower than the tiny one does, so they are kept.
 */
export const SAME_PICTURE = 0.985;

export interface Encoded<T> {
  atMs: number;
  vector: Float32Array;
  frame: T;
}
export interface Kept<T> extends Encoded<T> {
  /** When the next kept frame begins, in this shard or the next. */
  endMs: number;
}

/**
 * Drops frames that look like the last kept one, which then stands for them too. The last KEPT one is what counts, not the last seen:
 * a slow pan adds up and is noticed. The first frame is always kept, so shards know nothing of each other.
 */
export async function* dropNearDuplicates<T>(
  frames: AsyncIterable<Encoded<T>>,
  endMs: number,
  onDropped: (frame: T) => Promise<void>,
): AsyncGenerator<Kept<T>> {
  let kept: Encoded<T> | undefined;
  for await (const next of frames) {
    if (kept && dot(kept.vector, next.vector) >= SAME_PICTURE) {
      await onDropped(next.frame);
      continue;
    }
    if (kept) yield { ...kept, endMs: next.atMs };
    kept = next;
  }
  if (kept) yield { ...kept, endMs: Math.max(endMs, kept.atMs) };
}

/**
 * Levels of 255 by which a byte of an unchanged picture may differ. With ffmpeg's x264 most seconds of a still slide are equal to the
 * byte, with its VP9 in real time two thirds within 4; a camera's noise alone lies above 16, and so does whatever moves.
 */
const UNCHANGED_LEVELS = 4;

/**
 * Drops pictures that are the same as the last one let through, pixel for pixel, before they cost anything: CLIP would find them to be
 * near-duplicates. A slide or a screen that stands still is encoded once, not every second.
 */
export async function* dropUnchanged<T extends { rgb: Uint8Array }>(
  frames: AsyncIterable<T>,
  onDropped: (frame: T) => Promise<void>,
): AsyncGenerator<T> {
  let last: T | undefined;
  for await (const next of frames) {
    if (last && isUnchanged(last.rgb, next.rgb)) {
      await onDropped(next);
      continue;
    }
    last = next;
    yield next;
  }
}

function isUnchanged(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < a.length; i++) {
    if (Math.abs((a[i] as number) - (b[i] as number)) > UNCHANGED_LEVELS) return false;
  }
  return true;
}
