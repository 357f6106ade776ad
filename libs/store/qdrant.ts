import { createHash } from 'node:crypto';
import { QdrantClient, type Schemas } from '@qdrant/js-client-rest';
import { v5, validate } from 'uuid';
import { documentVector, queryVector } from './bm25.ts';
import { StoreError } from './errors.ts';
import type { Tenant } from './types.ts';
import type { FrameHit, FrameRow, IndexFilter, PassageHit, PassageRow, VectorIndex } from './vector-index.ts';

const PASSAGES = 'cuepoint_passages';
const FRAMES_PREFIX = 'cuepoint_frames_';
/** Name of the sparse vector of a passage. */
const BM25 = 'bm25';
/** Points of one request: about 1.5 MB of JSON at 1,024 dimensions, a few ms to write. */
const MAX_POINTS = 128;
const SCROLL_POINTS = 256;
/** For point ids of rows whose id is no UUID; Qdrant takes nothing else. */
const ID_NAMESPACE = '6f0b1b4e-9a0c-4c6b-8a51-6a2f0c9d7e13';

/** Qdrant over HTTP. A collection a frames model, one for passages; tenants share them, kept apart by a tenant index (every search names one). */
export class QdrantIndex implements VectorIndex {
  readonly #client: QdrantClient;
  readonly #ensured = new Map<string, Promise<void>>();

  constructor(options: { url: string; apiKey?: string }) {
    this.#client = new QdrantClient({ ...options, checkCompatibility: false, timeout: 30_000 });
  }

  async upsertFrames(model: { id: string; dimension: number }, rows: FrameRow[]): Promise<void> {
    if (rows.length === 0) return;
    for (const row of rows) checkDimension(row.vector, model);
    const name = framesCollection(model);
    await this.#ensure(name, {
      vectors: { size: model.dimension, distance: 'Cosine' },
      // One graph a tenant and none over all, as Qdrant advises where every search names a tenant.
      hnsw_config: { m: 0, payload_m: 16 },
    });
    await this.#upsert(name, rows, (row) => ({
      id: pointId(row.id),
      vector: Array.from(row.vector),
      payload: spanPayload(row),
    }));
  }

  async upsertPassages(rows: PassageRow[]): Promise<void> {
    if (rows.length === 0) return;
    await this.#ensure(PASSAGES, { sparse_vectors: { [BM25]: { modifier: 'idf' } } });
    await this.#upsert(PASSAGES, rows, (row) => ({
      id: pointId(row.id),
      vector: { [BM25]: documentVector(row.text) },
      payload: { ...spanPayload(row), text: row.text.toWellFormed(), ...(row.language && { language: row.language }) },
    }));
  }

  async deleteVideo(tenant: Tenant, videoId: string): Promise<void> {
    const { collections } = await guard(() => this.#client.getCollections());
    const filter = filterOf({ tenant, videoIds: [videoId] });
    for (const { name } of collections) {
      if (name !== PASSAGES && !name.startsWith(FRAMES_PREFIX)) continue;
      await guard(() => this.#client.delete(name, { wait: true, filter }));
    }
  }

  async searchFrames(
    model: { id: string; dimension: number },
    vector: Float32Array,
    filter: IndexFilter,
    limit: number,
  ): Promise<FrameHit[]> {
    checkDimension(vector, model);
    if (limit < 1 || filter.videoIds?.length === 0) return [];
    const points = await this.#query(framesCollection(model), {
      query: Array.from(vector),
      filter: filterOf(filter),
      limit,
    });
    return inOrder(points.map((point) => ({ ...span(point.payload), score: point.score })));
  }

  async searchPassages(text: string, filter: IndexFilter, limit: number): Promise<PassageHit[]> {
    const query = queryVector(text.slice(0, 10_000));
    if (limit < 1 || query.indices.length === 0 || filter.videoIds?.length === 0) return [];
    const points = await this.#query(PASSAGES, { query, using: BM25, filter: filterOf(filter), limit });
    return inOrder(points.map((point) => ({ ...passage(point.payload), score: point.score })));
  }

  async listFrames(model: { id: string; dimension: number }, tenant: Tenant, videoId: string): Promise<FrameRow[]> {
    const rows: FrameRow[] = [];
    for await (const point of this.#scroll(framesCollection(model), tenant, videoId, true)) {
      rows.push({ ...span(point.payload), vector: Float32Array.from(point.vector as number[]) });
    }
    return inTime(rows);
  }

  async listPassages(tenant: Tenant, videoId: string): Promise<PassageRow[]> {
    const rows: PassageRow[] = [];
    for await (const point of this.#scroll(PASSAGES, tenant, videoId, false)) rows.push(passage(point.payload));
    return inTime(rows);
  }

  /** Qdrant's optimiser runs by itself. */
  async optimize(): Promise<void> {}

  /** The client holds nothing but idle HTTP connections, which keep no process alive. */
  async close(): Promise<void> {}

  async #upsert<Row extends { id: string }>(
    name: string,
    rows: Row[],
    toPoint: (row: Row) => Schemas['PointStruct'],
  ): Promise<void> {
    const last = [...new Map(rows.map((row) => [row.id, row])).values()];
    for (let at = 0; at < last.length; at += MAX_POINTS) {
      const points = last.slice(at, at + MAX_POINTS).map(toPoint);
      await guard(() => this.#client.upsert(name, { wait: true, points }));
    }
  }

  async #query(name: string, request: Schemas['QueryRequest']): Promise<Schemas['ScoredPoint'][]> {
    const result = await guard(() => this.#client.query(name, { ...request, with_payload: true }), { points: [] });
    return result.points;
  }

  async *#scroll(name: string, tenant: Tenant, videoId: string, withVector: boolean) {
    const filter = filterOf({ tenant, videoIds: [videoId] });
    let offset: Schemas['ExtendedPointId'] | undefined;
    do {
      const request = { filter, limit: SCROLL_POINTS, offset, with_payload: true, with_vector: withVector };
      const page = await guard(() => this.#client.scroll(name, request), { points: [], next_page_offset: null });
      yield* page.points;
      offset = (page.next_page_offset ?? undefined) as Schemas['ExtendedPointId'] | undefined;
    } while (offset !== undefined);
  }

  /** Makes a collection and its indexes unless they are there; a worker that comes second finds them made (409). */
  #ensure(name: string, schema: Parameters<QdrantClient['createCollection']>[1]): Promise<void> {
    let ensured = this.#ensured.get(name);
    if (!ensured) {
      ensured = guard(async () => {
        const { exists } = await this.#client.collectionExists(name);
        if (!exists) {
          await this.#client.createCollection(name, { ...schema, on_disk_payload: true }).catch((error: unknown) => {
            if (statusOf(error) !== 409) throw error;
          });
        }
        // Making an index that is there changes nothing.
        const tenantIndex = { type: 'keyword', is_tenant: true } as const;
        await this.#client.createPayloadIndex(name, { field_name: 'tenant', field_schema: tenantIndex, wait: true });
        await this.#client.createPayloadIndex(name, { field_name: 'videoId', field_schema: 'keyword', wait: true });
      });
      this.#ensured.set(name, ensured);
      ensured.catch(() => this.#ensured.delete(name));
    }
    return ensured;
  }
}

function framesCollection(model: { id: string; dimension: number }): string {
  const readable = model.id.replace(/[^A-Za-z0-9]+/g, '-').slice(0, 60);
  const hash = createHash('sha256').update(model.id).digest('hex').slice(0, 8);
  return `${FRAMES_PREFIX}${readable}_${model.dimension}_${hash}`;
}
const pointId = (id: string): string => (validate(id) ? id : v5(id, ID_NAMESPACE));
const filterOf = ({ tenant, videoIds }: IndexFilter): Schemas['Filter'] => ({
  must: [
    { key: 'tenant', match: { value: tenant } },
    ...(videoIds ? [{ key: 'videoId', match: { any: videoIds } }] : []),
  ],
});
const spanPayload = (row: FrameRow | PassageRow) => ({
  rowId: row.id,
  tenant: row.tenant,
  videoId: row.videoId,
  startMs: row.startMs,
  endMs: row.endMs,
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
  ...(typeof payload?.language === 'string' ? { language: payload.language } : {}),
});
const byId = (a: { id: string }, b: { id: string }): number => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
const inOrder = <Hit extends { id: string; score: number }>(hits: Hit[]): Hit[] =>
  hits.sort((a, b) => b.score - a.score || byId(a, b));
const inTime = <Row extends { id: string; startMs: number }>(rows: Row[]): Row[] =>
  rows.sort((a, b) => a.startMs - b.startMs || byId(a, b));

function checkDimension(vector: Float32Array, model: { id: string; dimension: number }): void {
  if (vector.length === model.dimension) return;
  throw new RangeError(`A vector of ${vector.length} numbers where ${model.id} has ${model.dimension}`);
}

const statusOf = (error: unknown): number | undefined => (error as { status?: number }).status;
/** `ifMissing` answers for a collection that nobody has written to yet (404). */
async function guard<T>(request: () => Promise<T>, ifMissing?: NoInfer<T>): Promise<T> {
  try {
    return await request();
  } catch (error) {
    if (error instanceof StoreError) throw error;
    const status = statusOf(error);
    if (status === 404 && ifMissing !== undefined) return ifMissing;
    const cause = (error as { cause?: unknown }).cause;
    const words = [error, cause]
      .filter((part) => part instanceof Error)
      .map((part) => part.message)
      .join(': ');
    const isRefused = status !== undefined && status < 500 && status !== 408 && status !== 429;
    throw new StoreError('store_unavailable', `Qdrant: ${words || String(error)}`, !isRefused);
  }
}
