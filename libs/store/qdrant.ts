import { QdrantClient, type Schemas } from '@qdrant/js-client-rest';
import { documentVector, queryVector } from './bm25.ts';
import { guard, statusOf } from './qdrant-failures.ts';
import {
  BM25,
  embeddedPassagesCollection,
  FRAME_VECTOR,
  FRAMES_PREFIX,
  filterOf,
  frameOf,
  framesCollection,
  isOurs,
  PASSAGE_VECTOR,
  PASSAGES,
  passage,
  passagePayload,
  pointId,
  span,
  spanPayload,
  vectorOf,
} from './qdrant-points.ts';
import { denseSchema, type QdrantOptions, searchParams } from './qdrant-schema.ts';
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
  aroundInstant,
  checkVector,
  clampLimit,
  inOrder,
  inTime,
  MAX_QUERY_CHARS,
  matchesNothing,
  shownAt,
} from './vector-index-common.ts';
import { SampleCache } from './vector-index-sample.ts';

/** Alias of the frames that are searched, for other programs that read this Qdrant. */
const ACTIVE_FRAMES = 'cuepoint_frames';
/** Points of one request: about 1.5 MB of JSON at 1,024 dimensions, a few ms to write. */
const MAX_POINTS = 128;
const SCROLL_POINTS = 256;
/** Others may have written since; a sample of few rows is soon read again. */
const PARTIAL_SAMPLE_MS = 2_000;
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
    await this.#upsert(name, denseSchema(FRAME_VECTOR, model, this.options), rows, (row) => ({
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
      await this.#upsert(name, denseSchema(PASSAGE_VECTOR, model, this.options), embedded, (row) => ({
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
        params: searchParams(count, this.options),
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
      params: searchParams(count, this.options),
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
    for (const timeRange of aroundInstant(atMs)) {
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

  async videos(limit: number): Promise<{ tenant: Tenant; videoId: string }[]> {
    const found = new Map<string, { tenant: Tenant; videoId: string }>();
    for (const { name } of (await guard(() => this.#client.getCollections())).collections) {
      if (!isOurs(name)) continue;
      // Exact: others may count what has just been deleted.
      const count = (key: string, filter?: Schemas['Filter']) =>
        guard(() => this.#client.facet(name, { key, filter, limit, exact: true }), { hits: [] });
      for (const tenant of (await count('tenant')).hits.map(({ value }) => String(value))) {
        const { hits } = await count('videoId', filterOf({ tenant }, 'frames'));
        for (const { value } of hits) found.set(`${tenant}/${value}`, { tenant, videoId: String(value) });
      }
    }
    return [...found.values()].slice(0, limit);
  }

  /** In one request, so that at any moment the alias names one collection. */
  async nameActiveFrames(model: VectorModel): Promise<void> {
    const collection_name = framesCollection(model);
    await this.#ensure(collection_name, denseSchema(FRAME_VECTOR, model, this.options));
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

/** The client takes 6333 where a URL names no port, and Node leaves a scheme's own port out of a URL: one that was written is meant. */
function portOf(url: string): number | undefined {
  const [, scheme, port] = /^(https?):\/\/[^/]*:(\d+)(?:\/|$)/i.exec(url) ?? [];
  return scheme ? Number(port) : undefined;
}
