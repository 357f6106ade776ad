import { setImmediate as nextTurn } from 'node:timers/promises';
import { dot } from '#store';
import type { FrameDeps } from './each-frame.ts';
import { SURE_SPREADS } from './frame-moments.ts';
import type { TextEncoder } from './search.ts';

/** Frames that stand for all that a tenant has. A median of so many is within 0.04 spreads of the true one (1.25 / √1000). */
const SAMPLE = 1000;
/** Of those, the ones that the spread is measured on. */
const SPREAD_SAMPLE = 256;
/** Things that any library is asked for: how far apart cosines lie for one of these is how far apart they lie for a query that is not special. */
const COMMON = [
  'a person talking',
  'a car on a street',
  'a building',
  'food on a table',
  'an animal',
  'text on a screen',
  'a landscape with mountains',
  'an empty room',
];
/** Counts like so many frames where few are indexed yet. In logits: the spread of OpenAI's and of our tiny CLIP lies between 2.5 and 5. */
const PRIOR_FRAMES = 16;
const PRIOR_SPREAD_LOGITS = 3;
/** What is this near to a picture (cosine) shows what it shows, however wide cosines lie: with pictures as few and as different as in a short video, nothing would be sure. */
const SAME_PICTURE = 0.95;
/** Between two turns of the event loop: some ms. */
const TEXTS_A_TURN = 8;

/** How the cosines of frames lie that have nothing to do with a query. */
export interface Background {
  /** Cosine of the middle frame. */
  middle: number;
  /** Cosine of the nearest frame of the sample. */
  nearest: number;
  /** Standard deviation of cosines for a query that is not special: a property of model and library, not of this query. */
  spread: number;
  frames: number;
}

/**
 * Of a query's vector. The middle is its own, since some texts are nearer to every picture than others; the spread is common to all texts, since that
 * of one query is wide just where the library has much of what it asks for. A picture as query has its own: pictures are nearer to pictures.
 */
export async function background(
  deps: FrameDeps,
  tenant: string,
  vector: Float32Array,
  isPicture: boolean,
): Promise<Background> {
  const frames = await deps.index.sampleFrames(deps.encoder, { tenant }, SAMPLE);
  const own = beneath(vector, frames, await spreadOf(deps.encoder, frames, isPicture ? vector : undefined));
  return isPicture && own.middle < SAME_PICTURE
    ? { ...own, spread: Math.min(own.spread, (SAME_PICTURE - own.middle) / SURE_SPREADS) }
    : own;
}

/** The same of many texts. Gives way to others in between: two hundred texts take a fifth of a second. */
export async function backgrounds(
  deps: FrameDeps,
  tenant: string,
  vectors: Float32Array[],
  signal?: AbortSignal,
): Promise<Background[]> {
  const frames = await deps.index.sampleFrames(deps.encoder, { tenant }, SAMPLE);
  const spread = await spreadOf(deps.encoder, frames);
  const all: Background[] = [];
  for (const vector of vectors) {
    all.push(beneath(vector, frames, spread));
    if (all.length % TEXTS_A_TURN === 0) await nextTurn(undefined, { signal });
  }
  return all;
}

/** Common to all texts, or a picture's own. */
async function spreadOf(encoder: TextEncoder, frames: Float32Array[], picture?: Float32Array): Promise<number> {
  const part = frames.slice(0, SPREAD_SAMPLE);
  const common = async () => (part.length > 0 ? meanVariance(part, await commonTexts(encoder)) : 0);
  // The index keeps the sample in memory and gives it again: a million products that no query needs to repeat.
  const variance = picture ? meanVariance(part, [picture]) : await once(variances, frames, common);
  const prior = PRIOR_SPREAD_LOGITS / encoder.logitScale;
  return Math.sqrt((variance * part.length + prior ** 2 * PRIOR_FRAMES) / (part.length + PRIOR_FRAMES));
}
const variances = new WeakMap<Float32Array[], Promise<number>>();

function beneath(vector: Float32Array, frames: Float32Array[], spread: number): Background {
  const cosines = new Float64Array(frames.length);
  for (const [i, frame] of frames.entries()) cosines[i] = dot(frame, vector);
  cosines.sort();
  return { middle: middleOf(cosines), nearest: cosines.at(-1) ?? 0, spread, frames: frames.length };
}

/** Mean over `texts` of the variance of their cosines with `frames`. */
function meanVariance(frames: Float32Array[], texts: Float32Array[]): number {
  if (frames.length === 0) return 0;
  let variance = 0;
  for (const text of texts) {
    const cosines = frames.map((frame) => dot(frame, text));
    const mean = cosines.reduce((sum, one) => sum + one, 0) / cosines.length;
    variance += cosines.reduce((sum, one) => sum + (one - mean) ** 2, 0) / cosines.length / texts.length;
  }
  return variance;
}

const encoded = new WeakMap<TextEncoder, Promise<Float32Array[]>>();
/** Embeddings of what any library is asked for. */
export const commonTexts = (encoder: TextEncoder): Promise<Float32Array[]> =>
  once(encoded, encoder, () => encoder.encodeTexts(COMMON));

/** Made once for each key; what failed is tried again. */
function once<K extends object, V>(known: WeakMap<K, Promise<V>>, key: K, make: () => Promise<V>): Promise<V> {
  const value = known.get(key) ?? make();
  known.set(key, value);
  value.catch(() => known.delete(key));
  return value;
}

function middleOf(sorted: Float64Array): number {
  return ((sorted[(sorted.length - 1) >> 1] ?? 0) + (sorted[sorted.length >> 1] ?? 0)) / 2;
}
