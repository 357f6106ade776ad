import type { VectorIndex } from '#store';

export type Modality = 'frames' | 'passages';
export interface Evidence {
  kind: 'frame' | 'passage';
  atMs: number;
  endMs: number;
  text?: string;
  score: number;
}
/** A search result: where it happens and why we think so. Times in ms; `score` orders results, `confidence` (0..1) is rough until it is calibrated. */
export interface Moment {
  videoId: string;
  startMs: number;
  endMs: number;
  score: number;
  confidence: number;
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
/** CLIP text to frames, BM25 to passages, fused by reciprocal rank (Cormack et al. 2009), neighbours in time merged into moments. */
export async function search(
  _deps: { index: VectorIndex; encoder: TextEncoder },
  _options: SearchOptions,
  _signal?: AbortSignal,
): Promise<Moment[]> {
  throw new Error('unfinished');
}
