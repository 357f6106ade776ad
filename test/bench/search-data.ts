import { createHash } from 'node:crypto';
import type { EmbeddedPassageRow, FrameRow } from '#store';

/** Frames of one scene, of one video, and subjects that scenes are about. */
const SCENE_FRAMES = 20;
export const VIDEO_FRAMES = 400;
const SUBJECTS = 200;
/** Passages of one video, each so many words long, and words there are. */
export const VIDEO_PASSAGES = 80;
const PASSAGE_WORDS = 12;
const WORDS = 20_000;

export interface DataOptions {
  count: number;
  dimension: number;
  /** Videos go to them in turn. */
  tenants: string[];
  seed?: number;
}

/**
 * Frames as a library of videos has them, the same each time: every vector leans the way of all pictures, then of its subject, then of its scene, and
 * neighbours in time are near each other. So nearest neighbours have structure, as with CLIP, which independent random vectors have not.
 */
export function* clusteredFrames({ count, dimension, tenants, seed = 1 }: DataOptions): Generator<FrameRow> {
  const random = generator(seed);
  const world = worldOf(dimension);
  let scene = world.common;
  for (let i = 0; i < count; i++) {
    if (i % SCENE_FRAMES === 0) scene = sceneOf(world, random);
    const video = Math.floor(i / VIDEO_FRAMES);
    const second = i % VIDEO_FRAMES;
    yield {
      id: uuid(`frame ${seed} ${i}`),
      tenant: tenants[video % tenants.length] as string,
      videoId: videoId(video, seed),
      startMs: second * 1000,
      endMs: second * 1000 + 1000,
      vector: unit(scene, noise(dimension, 0.25, random)),
    };
  }
}

/** Passages with vectors of the same kind, and words whose frequencies fall as in speech (Zipf). Their videos are the first ones of the frames. */
export function* clusteredPassages(options: DataOptions): Generator<EmbeddedPassageRow> {
  const seed = options.seed ?? 1;
  const random = generator(seed + 1);
  let i = 0;
  for (const { id, vector } of clusteredFrames(options)) {
    const video = Math.floor(i / VIDEO_PASSAGES);
    const startMs = (i++ % VIDEO_PASSAGES) * ((VIDEO_FRAMES / VIDEO_PASSAGES) * 1000);
    yield {
      id: uuid(`passage ${id}`),
      tenant: options.tenants[video % options.tenants.length] as string,
      videoId: videoId(video, seed),
      startMs,
      endMs: startMs + 4000,
      text: sentence(PASSAGE_WORDS, random),
      language: 'en',
      vector,
    };
  }
}
export const videoId = (video: number, seed = 1): string => uuid(`video ${seed} ${video}`);

/** Words as they come in speech: the commonest is 7% of them. No stop word of English is among them. */
export const sentence = (words: number, random: () => number): string =>
  Array.from({ length: words }, () => word(Math.floor(WORDS ** random()) - 1)).join(' ');
/** A made-up word; smaller ranks are common ones. One token of the vocabularies of tools/random_models. */
const word = (rank: number): string => {
  const [a, b, c] = [rank % 65, Math.floor(rank / 65) % 65, Math.floor(rank / 65 ** 2)];
  return `${SYLLABLES[b]}${SYLLABLES[a]}${SYLLABLES[c + 30]}`;
};
const SYLLABLES = [...'bdfgklmnprstvz'].flatMap((consonant) => [...'aeiou'].map((vowel) => consonant + vowel));

/** Half of them ask for something that is there, half for something that is near no scene. */
export function clusteredQueries({ count, dimension, seed = 1 }: Omit<DataOptions, 'tenants'>): Float32Array[] {
  const world = worldOf(dimension);
  const random = generator(seed + 2);
  const scenes = generator(seed);
  return Array.from({ length: count }, (_, i) =>
    i % 2
      ? unit(world.common, noise(dimension, 0.9, random))
      : unit(sceneOf(world, scenes), noise(dimension, 0.3, random)),
  );
}

interface World {
  common: Float32Array;
  subjects: Float32Array[];
}
function worldOf(dimension: number): World {
  const random = generator(99);
  return {
    common: noise(dimension, 1, random),
    subjects: Array.from({ length: SUBJECTS }, () => noise(dimension, 0.7, random)),
  };
}
function sceneOf({ common, subjects }: World, random: () => number): Float32Array {
  const subject = subjects[Math.floor(random() * SUBJECTS)] as Float32Array;
  const own = noise(common.length, 0.5, random);
  return own.map((value, i) => value + (common[i] as number) + (subject[i] as number));
}
function unit(a: Float32Array, b: Float32Array): Float32Array {
  const sum = a.map((value, i) => value + (b[i] as number));
  const length = Math.sqrt(sum.reduce((total, value) => total + value * value, 0));
  return sum.map((value) => value / length);
}
/** About normally distributed: the sum of four even numbers. */
function noise(dimension: number, scale: number, random: () => number): Float32Array {
  const vector = new Float32Array(dimension);
  for (let i = 0; i < dimension; i++)
    vector[i] = (random() + random() + random() + random() - 2) * Math.sqrt(3) * scale;
  return vector;
}
/** Random numbers that are the same each time (mulberry32). */
export function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
function uuid(words: string): string {
  const hex = createHash('sha256').update(words).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
