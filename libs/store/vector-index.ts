import type { LanceTuning } from './lancedb.ts';
import type { QdrantOptions } from './qdrant-schema.ts';
import type { Tenant } from './types.ts';

/** Which model's vectors are meant. Two models never share a collection: rows are kept apart by the model's id and dimension. */
export interface VectorModel {
  id: string;
  dimension: number;
}
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
/** Where a passage's text comes from: what was heard, or a caption track of the file or of the uploader. */
export type PassageKind = 'speech' | 'caption';
export interface PassageRow {
  id: string;
  tenant: Tenant;
  videoId: string;
  startMs: number;
  endMs: number;
  text: string;
  /** ISO 639-1, as it is given: a filter compares it as it is. */
  language?: string;
  /** Left out: `speech`. Rows that are read always have it. */
  kind?: PassageKind;
}
/** A passage as it is written, with its embedding (L2-normalised) where there is a model for it. Rows that are read have none. */
export type EmbeddedPassageRow = PassageRow & { vector?: Float32Array };
/**
 * A tenant is not optional: no search crosses it. Everything given must hold. Filters on what the catalog knows (title, tags, dates, duration) are
 * resolved to `videoIds` or `excludeVideoIds` by the caller, whichever list is shorter; lists of 10,000 ids are fine.
 */
export interface IndexFilter {
  tenant: Tenant;
  videoIds?: string[];
  excludeVideoIds?: string[];
  /** Rows that share time with [startMs, endMs) of their video. */
  timeRange?: { startMs: number; endMs: number };
  /** Passages only; frames have none, so it does not touch them. */
  language?: string;
  /** Passages only. */
  kinds?: PassageKind[];
}
/** `score`: cosine for frames and for passages found by vector, BM25 for passages found by words. */
export type FrameHit = Omit<FrameRow, 'vector'> & {
  score: number;
  /** Only where it was asked for. */
  vector?: Float32Array;
};
export type PassageHit = PassageRow & { score: number };

/**
 * The vector index. Hits are ordered by score, then by id. Vectors of a wrong length, or with numbers that are not finite, are a `RangeError`.
 * A `limit` below 1 gives nothing; one over 10,000 counts as 10,000.
 */
export interface VectorIndex {
  upsertFrames(model: VectorModel, rows: FrameRow[]): Promise<void>;
  /**
   * All rows are found by their words, whatever the model. Rows with a `vector` are also found by it, in `model`'s collection; to find the same passages
   * with another model, write them again with that one.
   */
  upsertPassages(rows: EmbeddedPassageRow[], model?: VectorModel): Promise<void>;
  /** Removes every frame (of all models) and passage of a video. */
  deleteVideo(tenant: Tenant, videoId: string): Promise<void>;
  /** Removes the frames of a video: of one model, or of all. */
  deleteFrames(tenant: Tenant, videoId: string, model?: VectorModel): Promise<void>;
  /** Removes the passages of a video, or those of some kinds: before a caption track is put in another's place. */
  deletePassages(tenant: Tenant, videoId: string, kinds?: PassageKind[]): Promise<void>;
  searchFrames(
    model: VectorModel,
    vector: Float32Array,
    filter: IndexFilter,
    limit: number,
    options?: { withVectors?: boolean },
  ): Promise<FrameHit[]>;
  /** As many searches as vectors, in one round trip: hits of each, in the order of `vectors`. */
  searchFramesBatch(
    model: VectorModel,
    vectors: Float32Array[],
    filter: IndexFilter,
    limit: number,
    options?: { withVectors?: boolean },
  ): Promise<FrameHit[][]>;
  /** By words (BM25). */
  searchPassages(text: string, filter: IndexFilter, limit: number): Promise<PassageHit[]>;
  /** By meaning: cosine with the vectors that were written for `model`. */
  searchPassagesByVector(
    model: VectorModel,
    vector: Float32Array,
    filter: IndexFilter,
    limit: number,
  ): Promise<PassageHit[]>;
  /** Those of `ids` that exist, in no order. */
  getFrames(model: VectorModel, tenant: Tenant, ids: string[]): Promise<FrameRow[]>;
  /** What is shown at `atMs` of a video: the frame that spans it, or else the nearest one; undefined where the video has none. */
  frameAt(model: VectorModel, tenant: Tenant, videoId: string, atMs: number): Promise<FrameRow | undefined>;
  /**
   * Vectors of up to `count` frames that stand for all that match: those with the lowest ids, which are hashes, so the same evenly spread sample in every
   * store. For what a query's cosine is with frames it has nothing to do with. Kept in memory: one that was full may miss what came in the last minute.
   */
  sampleFrames(model: VectorModel, filter: IndexFilter, count: number): Promise<Float32Array[]>;
  /** The same of passages with vectors. */
  samplePassages(model: VectorModel, filter: IndexFilter, count: number): Promise<Float32Array[]>;
  /** All frames of a video, or of a part of it, in time order, vectors included: 2 KB each. */
  listFrames(
    model: VectorModel,
    tenant: Tenant,
    videoId: string,
    filter?: Pick<IndexFilter, 'timeRange'>,
  ): Promise<FrameRow[]>;
  /** All passages of a video in time order: its transcript. */
  listPassages(
    tenant: Tenant,
    videoId: string,
    filter?: Pick<IndexFilter, 'kinds' | 'language' | 'timeRange'>,
  ): Promise<PassageRow[]>;
  /** Those of all tenants that have rows, up to `limit`. Goes through all rows (a second a million): for what an operator asks, not for requests of users. */
  videos(limit: number): Promise<{ tenant: Tenant; videoId: string }[]>;
  /** Names the collection that is searched for others who read the store (an alias, where the store has such a thing). Done again, it changes nothing. */
  nameActiveFrames(model: VectorModel): Promise<void>;
  /** Removes all frames of all tenants but those of `keep`. Gives how many collections had any. Who writes to one of them later makes it anew. */
  dropFramesExcept(keep: VectorModel[]): Promise<number>;
  /** Merges small writes and updates search structures; safe beside readers and writers in other processes. */
  optimize(): Promise<void>;
  close(): Promise<void>;
}

/** LanceDB in `lanceDir`, or Qdrant when `qdrant` is given. Only the one that is used is loaded. */
export async function openVectorIndex(options: {
  lanceDir: string;
  lance?: Partial<LanceTuning>;
  qdrant?: QdrantOptions;
}): Promise<VectorIndex> {
  if (options.qdrant) {
    const { QdrantIndex } = await import('./qdrant.ts');
    return new QdrantIndex(options.qdrant);
  }
  const { LanceIndex } = await import('./lancedb.ts');
  return LanceIndex.open(options.lanceDir, options.lance);
}
