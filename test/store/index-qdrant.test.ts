import { afterEach, describe, expect, it } from 'vitest';
import { search } from '#retrieval';
import { openVectorIndex, StoreAway } from '#store';
import { type QdrantRequest, startQdrantStandIn } from './index-qdrant.ts';
import { qdrantRequests } from './index-qdrant-schema.ts';
import { direction, frame, MODEL, passage } from './index-rows.ts';

const problemWith = qdrantRequests();
if (!problemWith) console.log('Skipped: requests against ../shared/qdrant/openapi.json, which is not there.');

describe('The vector index in Qdrant', () => {
  const closing: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
  });
  /** An index and all requests that it makes. */
  const open = async (settings: object = {}) => {
    const requests: QdrantRequest[] = [];
    const server = await startQdrantStandIn((request) => requests.push(request));
    const index = await openVectorIndex({ lanceDir: '', qdrant: { url: server.url, ...settings } });
    closing.push(
      () => index.close(),
      () => server.close(),
    );
    const bodies = (method: string, path: RegExp) =>
      requests.filter((one) => one.method === method && path.test(one.path)).map((one) => one.body);
    return { index, requests, bodies };
  };
  const row = { ...passage('t', 'v', 0, 'rain'), vector: direction(0) };

  it('makes its collections with named vectors, one graph a tenant, and indexes of what filters name', async () => {
    const { index, bodies } = await open();
    await index.upsertFrames(MODEL, [frame('t', 'v', 0)]);
    await index.upsertPassages([row], MODEL);
    expect(bodies('PUT', /^\/collections\/[^/]+$/)).toEqual([
      {
        vectors: { image: { size: 8, distance: 'Cosine' } },
        hnsw_config: { m: 0, payload_m: 16 },
        on_disk_payload: true,
      },
      {
        vectors: { text: { size: 8, distance: 'Cosine' } },
        hnsw_config: { m: 0, payload_m: 16 },
        on_disk_payload: true,
      },
      { sparse_vectors: { bm25: { modifier: 'idf' } }, on_disk_payload: true },
    ]);
    const indexes = bodies('PUT', /\/index$/);
    expect(indexes).toHaveLength(12);
    expect(indexes).toContainEqual({ field_name: 'tenant', field_schema: { type: 'keyword', is_tenant: true } });
    expect(indexes).toContainEqual({ field_name: 'videoId', field_schema: 'keyword' });
  });

  it('quantises, spreads and keeps on disk as it is set, and rescores what quantised vectors find', async () => {
    const settings = { quantization: 'int8', onDisk: true, replication: 2, shards: 6, apiKey: 'a secret' };
    const { index, bodies, requests } = await open(settings);
    await index.upsertFrames(MODEL, [frame('t', 'v', 0)]);
    await index.upsertPassages([passage('t', 'v', 0, 'rain')]);
    const [frames, passages] = bodies('PUT', /^\/collections\/[^/]+$/);
    expect(frames).toEqual({
      vectors: { image: { size: 8, distance: 'Cosine', on_disk: true } },
      hnsw_config: { m: 0, payload_m: 16, on_disk: true },
      quantization_config: { scalar: { type: 'int8', quantile: 0.99, always_ram: true } },
      replication_factor: 2,
      shard_number: 6,
      on_disk_payload: true,
    });
    expect(passages).toMatchObject({ sparse_vectors: { bm25: { modifier: 'idf', index: { on_disk: true } } } });
    expect(await index.searchFrames(MODEL, direction(0), { tenant: 't' }, 5)).toHaveLength(1);
    const [search] = bodies('POST', /query\/batch$/);
    const params = { hnsw_ef: 128, quantization: { rescore: true, oversampling: 2 } };
    expect(search).toMatchObject({ searches: [{ using: 'image', params }] });
    expect(requests.every((one) => one.headers['api-key'] === 'a secret')).toBe(true);
    const binary = await open({ quantization: 'binary' });
    await binary.index.upsertFrames(MODEL, [frame('t', 'v', 0)]);
    const [schema] = binary.bodies('PUT', /^\/collections\/[^/]+$/);
    expect(schema).toMatchObject({ quantization_config: { binary: { always_ram: true } } });
  });

  it('makes one round trip a query, also for several vectors', async () => {
    const { index, requests } = await open();
    await index.upsertFrames(MODEL, [frame('t', 'v', 0)]);
    await index.upsertPassages([row], MODEL);
    requests.length = 0;
    const vectors = [direction(0), direction(1), direction(2)];
    await index.searchFramesBatch(MODEL, vectors, { tenant: 't' }, 5, { withVectors: true });
    await index.searchPassages('rain', { tenant: 't' }, 5);
    await index.searchPassagesByVector(MODEL, direction(0), { tenant: 't' }, 5);
    expect(requests).toHaveLength(3);
  });

  it('is asked once for frames and once for passages by a search, once more with a passage encoder', async () => {
    const { index, requests } = await open();
    await index.upsertFrames(MODEL, [frame('t', 'v', 0)]);
    await index.upsertPassages([row], MODEL);
    const encode = async (texts: string[]) => texts.map(() => direction(0));
    const encoder = { ...MODEL, logitScale: 100, encodeTexts: encode };
    const asked = async (deps: Partial<Parameters<typeof search>[0]> = {}) => {
      const options = { tenant: 't', query: 'rain on a roof', limit: 5 };
      await search({ index, encoder, ...deps }, options);
      requests.length = 0; // the samples that confidence goes by are in memory from here on
      await search({ index, encoder, ...deps }, options);
      return requests.map(({ method, path }) => `${method} ${path.replace(/^.*\/points/, '')}`);
    };
    expect(await asked()).toEqual(['POST /query/batch', 'POST /query/batch']);
    expect(await asked({ passageEncoder: { ...MODEL, encodeQueries: encode } })).toEqual(
      Array(3).fill('POST /query/batch'),
    );
  });

  it('names the frames that are searched by an alias, which changes over in one request', async () => {
    const { index, requests, bodies } = await open();
    const next = { id: 'test/next', dimension: 16 };
    await index.nameActiveFrames(MODEL);
    await index.nameActiveFrames(next);
    const created = (collection_name: unknown) => ({
      create_alias: { alias_name: 'cuepoint_frames', collection_name },
    });
    expect(bodies('POST', /^\/collections\/aliases$/)).toEqual([
      { actions: [created(expect.stringContaining('test-model_8'))] },
      {
        actions: [
          { delete_alias: { alias_name: 'cuepoint_frames' } },
          created(expect.stringContaining('test-next_16')),
        ],
      },
    ]);
    requests.length = 0;
    await index.nameActiveFrames(next);
    expect(requests.map(({ method, path }) => `${method} ${path}`)).toEqual(['GET /aliases']);
  });

  it('of a server under a path is found there, and what the server says is wrong is handed on', async () => {
    let refusal = { status: 400, error: 'Wrong input: no such vector' };
    const paths: string[] = [];
    const server = await startQdrantStandIn(
      ({ path }) => paths.push(path),
      () => refusal,
    );
    const index = await openVectorIndex({ lanceDir: '', qdrant: { url: `${server.url}/vectors/` } });
    closing.push(() => server.close());
    const failure = () => index.listPassages('t', 'v').catch((error: unknown) => error);
    expect(await failure()).toMatchObject({ message: expect.stringContaining(refusal.error), retryable: false });
    expect(paths).toEqual(['/vectors/collections/cuepoint_passages/points/scroll']);
    for (const status of [401, 403, 429, 500, 503]) {
      refusal = { status, error: 'not now' };
      expect(await failure(), String(status)).toBeInstanceOf(StoreAway);
    }
  });

  it.skipIf(!problemWith)('is told of a request that Qdrant would not take', () => {
    const query = '/collections/c/points/query/batch';
    const good = { searches: [{ query: [1, 2], using: 'image', limit: 3, params: { hnsw_ef: 5 } }] };
    expect(problemWith?.('POST', query, good)).toBeUndefined();
    for (const wrong of [
      { searches: [{ ...good.searches[0], limit: 'three' }] },
      { searches: [{ ...good.searches[0], params: { ef: 5 } }] },
      { searches: [{ ...good.searches[0], filter: { must: [{ key: 'a', match: { any_of: [1] } }] } }] },
      {},
    ])
      expect(problemWith?.('POST', query, wrong), JSON.stringify(wrong)).toContain('POST');
    expect(problemWith?.('POST', '/collections/c/points/guess', {})).toContain('no request');
  });
});
