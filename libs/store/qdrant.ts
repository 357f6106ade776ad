import { createHash } from 'node:crypto';
import { QdrantClient, type Schemas } from '@qdrant/js-client-rest';
import { v5, validate } from 'uuid';
import { documentVector, queryVector } from './bm25.ts';
import { StoreAway, StoreError } from './errors.ts';
import type { Tenant } from './types.ts';
import type {
  EmbeddedPassageRow,
  FrameHit,
  FrameRow,
  IndexFilter,
  PassageHit,
  PassageKind,
  PassageRow,
  VectorIndex,
  VectorModel,
} from './vector-index.ts';
import {
  checkVector,
  clampLimit,
  inOrder,
  inTime,
  MAX_QUERY_CHARS,
  matchesNothing,
  shownAt,
} from './vector-index-checks.ts';
import { SampleCache } from './vector-index-sample.ts';

const PASSAGES = 'cuepoint_passages';
const FRAMES_PREFIX = 'cuepoint_frames_';
/** Alias of the frames that are searched, for other programs that read this Qdrant. */
const ACTIVE_FRAMES = 'cuepoint_frames';
/** Names of the vectors: of a frame, of a passage with an embedding, and the sparse one of every passage. */
const FRAME_VECTOR = 'image';
const PASSAGE_VECTOR = 'text';
const BM25 = 'bm25';
/** Points of one request: about 1.5 MB of JSON at 1,024 dimensions, a few ms to write. */
const MAX_POINTS = 128;
const SCROLL_POINTS = 256;
/** Candidates that a graph search keeps at least (Qdrant's own default is 100). */
const MIN_EF = 128;
/** Candidates by quantised vectors, for one that is wanted: as Qdrant advises for each. */
const OVERSAMPLING = { int8: 2, binary: 4 };
/** How far from an instant `frameAt` looks first: a frame seldom stands for longer. */
const NEAR_MS = 60_000;
/** Others may have written since; a sample of few rows is soon read again. */
const PARTIAL_SAMPLE_MS = 2_000;
/** For point ids of rows whose id is no UUID; Qdrant takes nothing else. */
const ID_NAMESPACE = '6f0b1b4e-9a0c-4c6b-8a51-6a2f0c9d7e13';

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

/** Qdrant over HTTP. A collection a frames model, one for passages; tenants share them, kept apart by a tenant index (every search names one). */
export class QdrantIndex implements VectorIndex {
  readonly #client: QdrantClient;
  readonly #ensured = new Map<string, Promise<void>>();
  readonly #samples = new SampleCache(PARTIAL_SAMPLE_MS);
  /** Writes of this process. */
  #writes = 0;

  constructor(readonly options: QdrantOptions) {
    const { apiKey } = options;
    const { origin, pathname } = new URL(options.url);
    // The client takes no path from a URL, as that of a proxy.
    const address = { url: origin, prefix: pathname.replace(/\/+$/, ''), port: portOf(options.url) };
    this.#client = new QdrantClient({ ...address, apiKey, checkCompatibility: false, timeout: 30_000 });
  }

  async upsertFrames(model: VectorModel, rows: FrameRow[]): Promise<void> {
    for (const row of rows) checkVector(row.vector, model);
    if (rows.length === 0) return;
    const name = framesCollection(model);
    await this.#upsert(name, this.#denseSchema(FRAME_VECTOR, model), rows, (row) => ({
      id: pointId(row.id),
      vector: { [FRAME_VECTOR]: Array.from(row.vector) },
      payload: spanPayload(row),
    }));
  }

  async upsertPassages(rows: EmbeddedPassageRow[], model?: VectorModel): Promise<void> {
    if (rows.length === 0) return;
    const embedded = rows.filter((row) => row.vector !== undefined);
    if (embedded.length > 0 && !model) throw new RangeError('Passages have vectors, but no model is named');
    if (model && embedded.length > 0) {
      for (const { vector } of embedded) checkVector(vector as Float32Array, model);
      const name = embeddedPassagesCollection(model);
      await this.#upsert(name, this.#denseSchema(PASSAGE_VECTOR, model), embedded, (row) => ({
        id: pointId(row.id),
        vector: { [PASSAGE_VECTOR]: Array.from(row.vector as Float32Array) },
        payload: passagePayload(row),
      }));
    }
    const index = this.options.onDisk ? { index: { on_disk: true } } : {};
    await this.#upsert(PASSAGES, { sparse_vectors: { [BM25]: { modifier: 'idf', ...index } } }, rows, (row) => ({
      id: pointId(row.id),
      vector: { [BM25]: documentVector(row.text, row.language) },
      payload: passagePayload(row),
    }));
  }

  async deleteVideo(tenant: Tenant, videoId: string): Promise<void> {
    await this.#deleteWhere(filterOf({ tenant, videoIds: [videoId] }, 'frames'), isOurs);
  }

  async deleteFrames(tenant: Tenant, videoId: string, model?: VectorModel): Promise<void> {
    const filter = filterOf({ tenant, videoIds: [videoId] }, 'frames');
    await this.#deleteWhere(filter, (name) =>
      model ? name === framesCollection(model) : name.startsWith(FRAMES_PREFIX),
    );
  }

  async deletePassages(tenant: Tenant, videoId: string, kinds?: PassageKind[]): Promise<void> {
    if (kinds?.length === 0) return;
    const filter = filterOf({ tenant, videoIds: [videoId], kinds }, 'passages');
    await this.#deleteWhere(filter, (name) => name.startsWith(PASSAGES));
  }

  async searchFrames(
    model: VectorModel,
    vector: Float32Array,
    filter: IndexFilter,
    limit: number,
    options?: { withVectors?: boolean },
  ): Promise<FrameHit[]> {
    const [hits] = await this.searchFramesBatch(model, [vector], filter, limit, options);
    return hits ?? [];
  }

  async searchFramesBatch(
    model: VectorModel,
    vectors: Float32Array[],
    filter: IndexFilter,
    limit: number,
    options: { withVectors?: boolean } = {},
  ): Promise<FrameHit[][]> {
    for (const vector of vectors) checkVector(vector, model);
    const count = clampLimit(limit);
    if (vectors.length === 0 || count === 0 || matchesNothing(filter)) return vectors.map(() => []);
    const results = await this.#query(
      framesCollection(model),
      vectors.map((vector) => ({
        query: Array.from(vector),
        using: FRAME_VECTOR,
        filter: filterOf(filter, 'frames'),
        limit: count,
        params: this.#searchParams(count),
        with_vector: options.withVectors ? [FRAME_VECTOR] : false,
      })),
    );
    return results.map((points) =>
      inOrder(
        points.map((point) => ({
          ...span(point.payload),
          score: point.score,
          ...(options.withVectors && { vector: vectorOf(point, FRAME_VECTOR) }),
        })),
      ),
    );
  }

  async searchPassages(text: string, filter: IndexFilter, limit: number): Promise<PassageHit[]> {
    const query = queryVector(text.slice(0, MAX_QUERY_CHARS), filter.language);
    const count = clampLimit(limit);
    if (query.indices.length === 0 || count === 0 || matchesNothing(filter)) return [];
    return this.#passages(PASSAGES, { query, using: BM25, filter: filterOf(filter, 'passages'), limit: count });
  }

  async searchPassagesByVector(
    model: VectorModel,
    vector: Float32Array,
    filter: IndexFilter,
    limit: number,
  ): Promise<PassageHit[]> {
    checkVector(vector, model);
    const count = clampLimit(limit);
    if (count === 0 || matchesNothing(filter)) return [];
    return this.#passages(embeddedPassagesCollection(model), {
      query: Array.from(vector),
      using: PASSAGE_VECTOR,
      filter: filterOf(filter, 'passages'),
      limit: count,
      params: this.#searchParams(count),
    });
  }

  async getFrames(model: VectorModel, tenant: Tenant, ids: string[]): Promise<FrameRow[]> {
    const rows: FrameRow[] = [];
    for (let at = 0; at < ids.length; at += SCROLL_POINTS) {
      const some = ids.slice(at, at + SCROLL_POINTS).map(pointId);
      const { must } = filterOf({ tenant }, 'frames');
      for await (const point of this.#scroll(
        framesCollection(model),
        { must: [...must, { has_id: some }] },
        FRAME_VECTOR,
      ))
        rows.push(frameOf(point));
    }
    return rows;
  }

  async frameAt(model: VectorModel, tenant: Tenant, videoId: string, atMs: number): Promise<FrameRow | undefined> {
    if (!Number.isFinite(atMs)) return undefined;
    const near = { startMs: atMs - NEAR_MS, endMs: atMs + NEAR_MS };
    for (const timeRange of [near, undefined]) {
      const filter = filterOf({ tenant, videoIds: [videoId], timeRange }, 'frames');
      const spans: ReturnType<typeof span>[] = [];
      for await (const point of this.#scroll(framesCollection(model), filter)) spans.push(span(point.payload));
      const shown = shownAt(spans, atMs);
      if (shown) return (await this.getFrames(model, tenant, [shown.id]))[0];
    }
    return undefined;
  }

  sampleFrames(model: VectorModel, filter: IndexFilter, count: number): Promise<Float32Array[]> {
    return this.#sample(framesCollection(model), FRAME_VECTOR, filter, filterOf(filter, 'frames'), count);
  }

  samplePassages(model: VectorModel, filter: IndexFilter, count: number): Promise<Float32Array[]> {
    const name = embeddedPassagesCollection(model);
    return this.#sample(name, PASSAGE_VECTOR, filter, filterOf(filter, 'passages'), count);
  }

  async listFrames(
    model: VectorModel,
    tenant: Tenant,
    videoId: string,
    { timeRange }: Pick<IndexFilter, 'timeRange'> = {},
  ): Promise<FrameRow[]> {
    const rows: FrameRow[] = [];
    const filter = filterOf({ tenant, videoIds: [videoId], timeRange }, 'frames');
    for await (const point of this.#scroll(framesCollection(model), filter, FRAME_VECTOR)) rows.push(frameOf(point));
    return inTime(rows);
  }

  async listPassages(
    tenant: Tenant,
    videoId: string,
    filter: Pick<IndexFilter, 'kinds' | 'language' | 'timeRange'> = {},
  ): Promise<PassageRow[]> {
    const all = { ...filter, tenant, videoIds: [videoId] };
    if (matchesNothing(all)) return [];
    const rows: PassageRow[] = [];
    for await (const point of this.#scroll(PASSAGES, filterOf(all, 'passages'))) rows.push(passage(point.payload));
    return inTime(rows);
  }

  /** In one request, so that at any moment the alias names one collection. */
  async nameActiveFrames(model: VectorModel): Promise<void> {
    const collection_name = framesCollection(model);
    await this.#ensure(collection_name, this.#denseSchema(FRAME_VECTOR, model));
    await guard(async () => {
      const { aliases } = await this.#client.getAliases();
      const named = aliases.find(({ alias_name }) => alias_name === ACTIVE_FRAMES);
      if (named?.collection_name === collection_name) return;
      await this.#client.updateCollectionAliases({
        actions: [
          ...(named ? [{ delete_alias: { alias_name: ACTIVE_FRAMES } }] : []),
          { create_alias: { alias_name: ACTIVE_FRAMES, collection_name } },
        ],
      });
    });
  }

  async dropFramesExcept(keep: VectorModel[]): Promise<number> {
    const kept = keep.map(framesCollection);
    const { collections } = await guard(() => this.#client.getCollections());
    const dropped = collections.filter(({ name }) => name.startsWith(FRAMES_PREFIX) && !kept.includes(name));
    for (const { name } of dropped) {
      this.#ensured.delete(name);
      await guard(() => this.#client.deleteCollection(name));
    }
    this.#writes++;
    return dropped.length;
  }

  /** Qdrant's optimiser runs by itself. */
  async optimize(): Promise<void> {}

  /** The client holds nothing but idle HTTP connections, which keep no process alive. */
  async close(): Promise<void> {}

  async #upsert<Row extends { id: string }>(
    name: string,
    schema: Schemas['CreateCollection'],
    rows: Row[],
    toPoint: (row: Row) => Schemas['PointStruct'],
  ): Promise<void> {
    const last = [...new Map(rows.map((row) => [row.id, row])).values()];
    for (let at = 0; at < last.length; at += MAX_POINTS) {
      const points = last.slice(at, at + MAX_POINTS).map(toPoint);
      await this.#ensure(name, schema);
      const write = () => this.#client.upsert(name, { wait: true, points });
      await guard(() =>
        write().catch(async (error: unknown) => {
          if (statusOf(error) !== 404) throw error;
          // Another process has dropped the collection of a model that was no longer wanted.
          this.#ensured.delete(name);
          await this.#ensure(name, schema);
          return write();
        }),
      );
    }
    this.#writes++;
  }

  async #deleteWhere(filter: Schemas['Filter'], isMeant: (name: string) => boolean): Promise<void> {
    const { collections } = await guard(() => this.#client.getCollections());
    for (const { name } of collections) {
      if (isMeant(name)) await guard(() => this.#client.delete(name, { wait: true, filter }), { status: 'completed' });
    }
    this.#writes++;
  }

  /** Several queries of one collection in one round trip. */
  async #query(name: string, searches: Schemas['QueryRequest'][]): Promise<Schemas['ScoredPoint'][][]> {
    const request = { searches: searches.map((search) => ({ with_payload: true, ...search })) };
    const results = await guard(() => this.#client.queryBatch(name, request), []);
    return searches.map((_, i) => results[i]?.points ?? []);
  }

  async #passages(name: string, search: Schemas['QueryRequest']): Promise<PassageHit[]> {
    const [points = []] = await this.#query(name, [search]);
    return inOrder(points.map((point) => ({ ...passage(point.payload), score: point.score })));
  }

  /** Points in the order of their ids. `vector`: the one that is read with them. */
  async *#scroll(name: string, filter: Schemas['Filter'], vector?: string, pageSize = SCROLL_POINTS) {
    let offset: Schemas['ExtendedPointId'] | undefined;
    do {
      const request = { filter, limit: pageSize, offset, with_payload: true, with_vector: vector ? [vector] : false };
      const page = await guard(() => this.#client.scroll(name, request), { points: [], next_page_offset: null });
      yield* page.points;
      offset = (page.next_page_offset ?? undefined) as Schemas['ExtendedPointId'] | undefined;
    } while (offset !== undefined);
  }

  async #sample(name: string, vector: string, filter: IndexFilter, where: Schemas['Filter'], limit: number) {
    const count = clampLimit(limit);
    if (count === 0 || matchesNothing(filter)) return [];
    return this.#samples.get(`${name} ${count} ${JSON.stringify(where)}`, count, this.#writes, async () => {
      const vectors: Float32Array[] = [];
      for await (const point of this.#scroll(name, where, vector, Math.min(count, SCROLL_POINTS))) {
        vectors.push(vectorOf(point, vector));
        if (vectors.length === count) break;
      }
      return vectors;
    });
  }

  #denseSchema(name: string, model: VectorModel): Schemas['CreateCollection'] {
    const { quantization = 'none', onDisk } = this.options;
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
  #searchParams(limit: number): Schemas['SearchParams'] {
    const { quantization = 'none' } = this.options;
    return {
      hnsw_ef: Math.max(MIN_EF, limit),
      ...(quantization !== 'none' && {
        quantization: { rescore: true, oversampling: OVERSAMPLING[quantization] },
      }),
    };
  }

  /** Makes a collection and its indexes unless they are there; a worker that comes second finds them made (409). */
  #ensure(name: string, schema: Parameters<QdrantClient['createCollection']>[1]): Promise<void> {
    let ensured = this.#ensured.get(name);
    if (!ensured) {
      ensured = guard(async () => {
        const { exists } = await this.#client.collectionExists(name);
        if (!exists) {
          const { replication, shards } = this.options;
          const spread = {
            ...(replication && { replication_factor: replication }),
            ...(shards && { shard_number: shards }),
          };
          await this.#client
            .createCollection(name, { ...schema, ...spread, on_disk_payload: true })
            .catch((error: unknown) => {
              if (statusOf(error) !== 409) throw error;
            });
        }
        // Making an index that is there changes nothing. Times have graphs of their own, too: docs/search.md has what a time range finds without.
        const tenantIndex = { type: 'keyword', is_tenant: true } as const;
        await this.#client.createPayloadIndex(name, { field_name: 'tenant', field_schema: tenantIndex, wait: true });
        await this.#client.createPayloadIndex(name, { field_name: 'videoId', field_schema: 'keyword', wait: true });
        for (const field_name of ['startMs', 'endMs'])
          await this.#client.createPayloadIndex(name, { field_name, field_schema: 'float', wait: true });
      });
      this.#ensured.set(name, ensured);
      ensured.catch(() => this.#ensured.delete(name));
    }
    return ensured;
  }
}

const framesCollection = (model: VectorModel): string => FRAMES_PREFIX + modelName(model);
const embeddedPassagesCollection = (model: VectorModel): string => `${PASSAGES}_${modelName(model)}`;
const isOurs = (name: string): boolean =>
  name === PASSAGES || name.startsWith(`${PASSAGES}_`) || name.startsWith(FRAMES_PREFIX);
function modelName(model: VectorModel): string {
  const readable = model.id.replace(/[^A-Za-z0-9]+/g, '-').slice(0, 60);
  const hash = createHash('sha256').update(model.id).digest('hex').slice(0, 8);
  return `${readable}_${model.dimension}_${hash}`;
}
/** The client takes 6333 where a URL names no port, and Node leaves a scheme's own port out of a URL: one that was written is meant. */
function portOf(url: string): number | undefined {
  const [, scheme, port] = /^(https?):\/\/[^/]*:(\d+)(?:\/|$)/i.exec(url) ?? [];
  return scheme ? Number(port) : undefined;
}
const pointId = (id: string): string => (validate(id) ? id : v5(id, ID_NAMESPACE));

/** `of`: frames have neither kind nor language. */
function filterOf(filter: IndexFilter, of: 'frames' | 'passages') {
  const { tenant, videoIds, excludeVideoIds, timeRange, language, kinds } = filter;
  const must: Schemas['Condition'][] = [{ key: 'tenant', match: { value: tenant } }];
  if (videoIds) must.push({ key: 'videoId', match: { any: videoIds } });
  if (timeRange && Number.isFinite(timeRange.endMs)) must.push({ key: 'startMs', range: { lt: timeRange.endMs } });
  if (timeRange && Number.isFinite(timeRange.startMs)) must.push({ key: 'endMs', range: { gt: timeRange.startMs } });
  if (of === 'passages' && language !== undefined) must.push({ key: 'language', match: { value: language } });
  if (of === 'passages' && kinds) must.push({ key: 'kind', match: { any: kinds } });
  const must_not = excludeVideoIds?.length ? [{ key: 'videoId', match: { any: excludeVideoIds } }] : undefined;
  return { must, ...(must_not && { must_not }) };
}
const spanPayload = (row: FrameRow | PassageRow) => ({
  rowId: row.id,
  tenant: row.tenant,
  videoId: row.videoId,
  startMs: row.startMs,
  endMs: row.endMs,
});
const passagePayload = (row: PassageRow) => ({
  ...spanPayload(row),
  text: row.text.toWellFormed(),
  kind: row.kind ?? 'speech',
  ...(row.language && { language: row.language }),
});
type Payload = Record<string, unknown> | null | undefined;
const span = (payload: Payload) => ({
  id: String(payload?.rowId),
  tenant: String(payload?.tenant),
  videoId: String(payload?.videoId),
  startMs: Number(payload?.startMs),
  endMs: Number(payload?.endMs),
});
const passage = (payload: Payload): PassageRow => ({
  ...span(payload),
  text: String(payload?.text),
  kind: payload?.kind === 'caption' ? 'caption' : 'speech',
  ...(typeof payload?.language === 'string' ? { language: payload.language } : {}),
});
function vectorOf(point: Pick<Schemas['Record'], 'vector'>, name: string): Float32Array {
  return Float32Array.from((point.vector as Record<string, number[]>)[name] ?? []);
}
const frameOf = (point: Schemas['Record']): FrameRow => ({
  ...span(point.payload),
  vector: vectorOf(point, FRAME_VECTOR),
});

const statusOf = (error: unknown): number | undefined => (error as { status?: number }).status;
/** A key that is refused is no fault of what was asked; neither are a timeout and too many requests. */
const PASSING_STATUS = [401, 403, 408, 429];
/** What Qdrant says is wrong; its status alone says little. */
function wordsOf(error: unknown): string {
  const { data, cause } = error as { data?: string | { status?: { error?: string } }; cause?: unknown };
  const said = typeof data === 'string' ? data : data?.status?.error;
  const words = [error, cause].filter((part) => part instanceof Error).map((part) => part.message);
  return [...words, said].filter(Boolean).join(': ') || String(error);
}
/** `ifMissing` answers for a collection that nobody has written to yet (404). */
async function guard<T>(request: () => Promise<T>, ifMissing?: NoInfer<T>): Promise<T> {
  try {
    return await request();
  } catch (error) {
    if (error instanceof StoreError) throw error;
    const status = statusOf(error);
    if (status === 404 && ifMissing !== undefined) return ifMissing;
    const message = `Qdrant: ${wordsOf(error)}`;
    const isRefused = status !== undefined && status < 500 && !PASSING_STATUS.includes(status);
    throw isRefused ? new StoreError('store_unavailable', message) : new StoreAway(message);
  }
}
