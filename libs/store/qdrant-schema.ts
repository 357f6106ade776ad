import type { Schemas } from '@qdrant/js-client-rest';
import type { VectorModel } from './vector-index.ts';

/** What a collection is made with; changing one of these does not change collections that are there. */
export interface QdrantOptions {
  url: string;
  apiKey?: string;
  /** Vectors are kept a second time in memory as bytes or bits, searched by these, and what is found is compared again by the full vectors. */
  quantization?: 'none' | 'int8' | 'binary';
  /** Full vectors and graphs are read from disk. */
  onDisk?: boolean;
  /** Copies of each shard, in a cluster. */
  replication?: number;
  shards?: number;
}

/** Candidates that a graph search keeps at least (Qdrant's own default is 100). */
const MIN_EF = 128;
/** Candidates by quantised vectors, for one that is wanted: as Qdrant advises for each. */
const OVERSAMPLING = { int8: 2, binary: 4 };

/** Of a collection of dense vectors of this name. */
export function denseSchema(
  name: string,
  model: VectorModel,
  { quantization, onDisk }: QdrantOptions,
): Schemas['CreateCollection'] {
  return {
    vectors: { [name]: { size: model.dimension, distance: 'Cosine', ...(onDisk && { on_disk: true }) } },
    // One graph a tenant and none over all, as Qdrant advises where every search names a tenant.
    hnsw_config: { m: 0, payload_m: 16, ...(onDisk && { on_disk: true }) },
    ...(quantization === 'int8' && {
      quantization_config: { scalar: { type: 'int8', quantile: 0.99, always_ram: true } },
    }),
    ...(quantization === 'binary' && { quantization_config: { binary: { always_ram: true } } }),
  };
}

/** As wide a search as it takes to find 98 of the nearest 100, in full or as bytes; what bits lose is in docs/search.md. */
export function searchParams(limit: number, { quantization = 'none' }: QdrantOptions): Schemas['SearchParams'] {
  return {
    hnsw_ef: Math.max(MIN_EF, limit),
    ...(quantization !== 'none' && {
      quantization: { rescore: true, oversampling: OVERSAMPLING[quantization] },
    }),
  };
}
