import type { Tenant } from './types.ts';

/** A sampled picture that was kept: it stands for what is shown from `startMs` until `endMs`. */
export interface FrameRow {
  id: string;
  tenant: Tenant;
  videoId: string;
  startMs: number;
  endMs: number;
  /** L2-normalised. */
  vector: Float32Array;
}
export interface PassageRow {
  id: string;
  tenant: Tenant;
  videoId: string;
  startMs: number;
  endMs: number;
  text: string;
  language?: string;
}
/** A tenant is not optional: no search crosses it. */
export interface IndexFilter {
  tenant: Tenant;
  videoIds?: string[];
}
/** `score`: cosine for frames, BM25 for passages. */
export type FrameHit = Omit<FrameRow, 'vector'> & { score: number };
export type PassageHit = PassageRow & { score: number };

/** The vector index. Two models never share a collection: frames are kept apart by the model's id. */
export interface VectorIndex {
  upsertFrames(model: { id: string; dimension: number }, rows: FrameRow[]): Promise<void>;
  upsertPassages(rows: PassageRow[]): Promise<void>;
  /** Removes every frame (of all models) and passage of a video. */
  deleteVideo(tenant: Tenant, videoId: string): Promise<void>;
  searchFrames(
    model: { id: string; dimension: number },
    vector: Float32Array,
    filter: IndexFilter,
    limit: number,
  ): Promise<FrameHit[]>;
  searchPassages(text: string, filter: IndexFilter, limit: number): Promise<PassageHit[]>;
  /** All frames of a video in time order, vectors included: for tests, comparison and export. */
  listFrames(model: { id: string; dimension: number }, tenant: Tenant, videoId: string): Promise<FrameRow[]>;
  /** All passages of a video in time order: its transcript. */
  listPassages(tenant: Tenant, videoId: string): Promise<PassageRow[]>;
  /** Merges small writes and updates search structures; safe beside readers and writers in other processes. */
  optimize(): Promise<void>;
  close(): Promise<void>;
}

/** LanceDB in `lanceDir`, or Qdrant when `qdrant` is given. Only the one that is used is loaded. */
export async function openVectorIndex(options: {
  lanceDir: string;
  qdrant?: { url: string; apiKey?: string };
}): Promise<VectorIndex> {
  if (options.qdrant) {
    const { QdrantIndex } = await import('./qdrant.ts');
    return new QdrantIndex(options.qdrant);
  }
  const { LanceIndex } = await import('./lancedb.ts');
  return LanceIndex.open(options.lanceDir);
}
