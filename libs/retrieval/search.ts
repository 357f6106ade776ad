import type { VectorIndex } from '#store';
import { momentsOfFrames } from './frame-moments.ts';
import { fuse } from './fuse.ts';
import { momentsOfPassages } from './passage-moments.ts';
import { readQuery } from './query.ts';

export type Modality = 'frames' | 'passages';
export interface Evidence {
  kind: 'frame' | 'passage';
  atMs: number;
  endMs: number;
  text?: string;
  /** Cosine of a frame, BM25 of a passage. */
  score: number;
}
/**
 * A search result: where it happens and why we think so. Times in ms; `score` orders results. `confidence` (0..1) is the score as a share of that of a
 * first-ranked hit that is certain: it falls as the score falls, says little of how often such a result is right, and waits to be calibrated.
 */
export interface Moment {
  videoId: string;
  startMs: number;
  endMs: number;
  score: number;
  confidence: number;
  /** At most five, best first. */
  evidence: Evidence[];
}
export interface SearchOptions {
  tenant: string;
  query: string;
  videoIds?: string[];
  modalities?: Modality[];
  limit: number;
}
/** Encodes text into the frames' space; from libs/models, injected so that this library needs no model. */
export interface TextEncoder {
  id: string;
  dimension: number;
  logitScale: number;
  encodeTexts(texts: string[], signal?: AbortSignal): Promise<Float32Array[]>;
}

const FRAME_HITS = 200;
const PASSAGE_HITS = 50;

/** CLIP text to frames, BM25 to passages, fused by reciprocal rank (Cormack et al. 2009), neighbours in time merged into moments. */
export async function search(
  deps: { index: VectorIndex; encoder: TextEncoder },
  options: SearchOptions,
  signal?: AbortSignal,
): Promise<Moment[]> {
  signal?.throwIfAborted();
  const text = options.query.trim();
  const modalities = options.modalities ?? ['frames', 'passages'];
  if (text === '' || options.limit < 1 || options.videoIds?.length === 0) return [];
  const query = readQuery(text);
  const filter = { tenant: options.tenant, ...(options.videoIds && { videoIds: options.videoIds }) };
  const [frames, passages] = await Promise.all([
    modalities.includes('frames') ? searchFrames() : [],
    modalities.includes('passages') ? searchPassages() : [],
  ]);
  signal?.throwIfAborted();
  return fuse(frames, passages, { isTwofold: query.isTwofold, limit: options.limit });

  async function searchFrames() {
    const { index, encoder } = deps;
    const [vector] = await encoder.encodeTexts([text], signal);
    if (!vector) return [];
    signal?.throwIfAborted();
    const opposite = vector.map((x) => -x);
    const [nearest, farthest] = await Promise.all([
      index.searchFrames(encoder, vector, filter, FRAME_HITS),
      index.searchFrames(encoder, opposite, filter, FRAME_HITS),
    ]);
    return momentsOfFrames(nearest, background(nearest, farthest), encoder.logitScale);
  }
  async function searchPassages() {
    return momentsOfPassages(await deps.index.searchPassages(text, filter, PASSAGE_HITS), query.words);
  }
}

/**
 * The cosine of a frame that has nothing to do with the query: halfway between the medians of the nearest and the farthest frames. Where few frames are
 * searched both are all of them, and it is their median; where many are, the two tails stand for the middle without reading it.
 */
function background(nearest: { score: number }[], farthest: { score: number }[]): number | undefined {
  if (nearest.length === 0) return undefined;
  return (median(nearest.map((hit) => hit.score)) + median(farthest.map((hit) => -hit.score))) / 2;
}
function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return ((sorted[(sorted.length - 1) >> 1] ?? 0) + (sorted[sorted.length >> 1] ?? 0)) / 2;
}
