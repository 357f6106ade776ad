import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import request from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ApiFixture, importBuilt, startApi } from '../fixtures/api.ts';
import { tempDir } from '../fixtures/media.ts';

let api: ApiFixture;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api?.close());

type Document = {
  openapi: string;
  paths: Record<
    string,
    Record<string, { operationId: string; responses: Record<string, unknown>; security: object[] }>
  >;
  components: { schemas: Record<string, unknown>; securitySchemes: Record<string, unknown> };
};

describe('The OpenAPI document', () => {
  let document: Document;
  beforeAll(async () => {
    document = (await request(api.url).get('/openapi.json')).body;
  });

  it('names every route there is, and no other', async () => {
    const served = api.routes
      .filter((route) => !route.startsWith('HEAD') || route.endsWith('/source'))
      .filter((route) => !route.includes('/docs/'))
      .map((route) => route.replace(/:(\w+)/g, '{$1}'));
    const described = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(described.sort()).toEqual([...new Set(served)].sort());
  });

  it('has a name, answers and problems for every operation, and only references that lead somewhere', () => {
    expect(document.openapi).toBe('3.1.0');
    const names = new Set<string>();
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const { operationId, responses, security } of Object.values(methods)) {
        expect(names.has(operationId), operationId).toBe(false);
        names.add(operationId);
        expect(Object.keys(responses).some((status) => /^[23]/.test(status))).toBe(true);
        if (path.startsWith('/v1')) {
          expect(security.length).toBeGreaterThan(0);
          expect(JSON.stringify(responses['401'])).toContain('#/components/schemas/Problem');
        }
      }
    }
    // Schemas that are `true` or `false` are valid and break generators of clients (openapi-python-client).
    expect(JSON.stringify(document)).not.toMatch(/"(items|not)":(true|false)/);
    for (const [, name] of JSON.stringify(document).matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
      expect(document.components.schemas).toHaveProperty(name as string);
    }
  });

  it('has examples that can be sent as they are, and problems of the status they stand at', async () => {
    const { SearchRequest } = document.components.schemas as Record<string, { example: object }>;
    const answer = await request(api.url).post('/v1/search').send(SearchRequest?.example);
    expect(answer.status).toBe(200);
    for (const { responses } of Object.values(document.paths).flatMap(Object.values)) {
      for (const [status, response] of Object.entries(responses as Record<string, { content?: object }>)) {
        const problem = (response.content as Record<string, { example: object }>)?.['application/problem+json'];
        if (problem) expect(problem.example).toMatchObject({ status: Number(status), code: expect.any(String) });
      }
    }
  });

  it('describes what is really answered', async () => {
    const { body } = await request(api.url).post('/v1/videos').attach('file', Buffer.alloc(9, 1), 'a.mp4');
    const schema = document.components.schemas.Video as { properties: object; required: string[] };
    expect(Object.keys(schema.properties)).toEqual(expect.arrayContaining(Object.keys(body)));
    for (const field of schema.required) expect(body).toHaveProperty(field);
  });

  it('names headers that are really sent', async () => {
    const { get, post } = request(api.url);
    const { body } = await post('/v1/videos').attach('file', Buffer.alloc(9, 1), 'a.mp4');
    const calls: [path: string, method: string, status: number, answer: request.Test][] = [
      ['/v1/videos', 'post', 202, post('/v1/videos').attach('file', Buffer.alloc(9, 1), 'a.mp4')],
      ['/v1/webhooks', 'post', 201, post('/v1/webhooks').send({ url: 'http://127.0.0.1:9998' })],
      ['/v1/videos/{id}/transcript', 'get', 200, get(`/v1/videos/${body.id}/transcript`)],
      ['/v1/videos/{id}/source', 'get', 206, get(`/v1/videos/${body.id}/source`).set('range', 'bytes=0-1')],
    ];
    for (const [path, method, status, answer] of calls) {
      const response = document.paths[path]?.[method]?.responses[status] as { headers: Record<string, object> };
      const names = Object.keys(response.headers).filter((name) => name !== 'Idempotency-Replayed');
      expect([path, names.length]).not.toEqual([path, 0]);
      const { headers } = await answer.expect(status);
      for (const name of names) expect(headers).toHaveProperty(name.toLowerCase());
    }
  });
});

describe('The documentation', () => {
  it('is at /docs, which / leads to, and runs no script that is not a file of ours', async () => {
    const home = await request(api.url).get('/');
    expect([home.status, home.headers.location]).toEqual([302, '/docs']);
    const page = await request(api.url).get('/docs');
    expect(page.headers['content-security-policy']).toContain("script-src 'self'");
    expect(page.text).not.toMatch(/<script>|https?:/);
    const files = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path]) => path as string);
    expect(files.length).toBeGreaterThan(2);
    for (const path of files) expect([path, (await request(api.url).get(path)).status]).toEqual([path, 200]);
  });
});

describe('The system', () => {
  it('warns where workers are set to another model than search uses', async () => {
    await expect
      .poll(async () => (await request(api.url).get('/health/ready')).body.search.state, { timeout: 20_000 })
      .toBe('ready');
    expect((await request(api.url).get('/health/ready')).body.warnings).toEqual([]);
    await api.catalog.activateFramesModel({ id: 'a/model', dimension: 8, name: 'a/model' });
    const framesModel = { id: 'another/model', dimension: 8, name: 'another/model' };
    await api.catalog.announceWorker({ id: 'worker-0', ready: true, framesModel });
    const { body } = await request(api.url).get('/health/ready');
    expect(body).toMatchObject({ status: 'ready', warnings: [expect.stringContaining('another/model')] });
    await api.connection.flushall();
  });

  it('says that Redis takes no writes, and takes uploads again when it does', async () => {
    const { url, connection, blobFiles } = api;
    const upload = () => request(url).post('/v1/videos').attach('file', Buffer.from('some bytes'), 'a.mp4');
    const before = await blobFiles();
    for (const [refuse, allow] of [
      [() => connection.config('SET', 'maxmemory', '1'), () => connection.config('SET', 'maxmemory', '0')],
      [() => connection.replicaof('127.0.0.1', 1), () => connection.replicaof('NO', 'ONE')],
    ] as const) {
      await refuse();
      const { status, body } = await upload();
      expect({ status, code: body.code }).toEqual({ status: 503, code: 'store_unavailable' });
      expect(await blobFiles()).toEqual(before);
      const ready = await request(url).get('/health/ready');
      expect(ready.status).toBe(503);
      expect(ready.body.reasons).toEqual([expect.stringMatching(/^Redis: Redis takes no writes: (OOM|READONLY)/)]);
      await allow();
      expect((await request(url).get('/health/ready')).status).toBe(200);
    }
    const { status, body } = await upload();
    expect(status).toBe(202);
    await api.blobs.deletePrefix(`default/${body.id}/`);
    await connection.flushall();
  });

  it('tells version, models, workers and limits', async () => {
    await api.catalog.announceWorker({ id: 'worker-1', ready: true, profile: 'tiny', device: 'cpu' });
    const { body } = await request(api.url).get('/v1/system');
    expect(body).toMatchObject({
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      mode: 'embedded',
      profile: 'tiny',
      workers: [{ id: 'worker-1', ready: true, profile: 'tiny', device: 'cpu' }],
      limits: { maxUploadBytes: api.config.http.maxUploadBytes },
    });
    await expect
      .poll(async () => (await request(api.url).get('/health/ready')).body.search.state, { timeout: 20_000 })
      .toBe('ready');
    const { body: loaded } = await request(api.url).get('/v1/system');
    expect(loaded.models.clip).toContain('tiny-clip');
  });

  it('counts what Prometheus wants', async () => {
    await request(api.url).get('/v1/videos/nothing');
    const { text, headers } = await request(api.url).get('/metrics');
    expect(headers['content-type']).toContain('text/plain');
    expect(text).toMatch(
      /cuepoint_http_request_duration_seconds_count\{method="GET",route="\/v1\/videos\/:id",status="404"\} 1/,
    );
    expect(text).toMatch(/cuepoint_event_loop_delay_p99_seconds [0-9.e-]+/);
    expect(text).toMatch(/cuepoint_jobs\{queue="frames",state="waiting"\} 0/);
    expect(text).toMatch(/process_resident_memory_bytes \d+/);
  });
});

describe('A start in a folder whose disk is not mounted', () => {
  it('makes nothing there, of api or worker, where Redis knows of stored videos', async () => {
    const { createApp } = await importBuilt<typeof import('../../apps/api/app.ts')>('app.js');
    const { Stores } = await importBuilt<typeof import('../../apps/worker/stores.ts')>('../worker/stores.js');
    await using mountPoint = await tempDir();
    const config = { ...api.config, dataDir: mountPoint.path };
    const start = async () => (await createApp(config)).close(0);
    await api.connection.flushall();
    // An address whose file nobody has fetched yet.
    await request(api.url).post('/v1/videos').send({ url: 'http://93.184.215.14/a.mp4' });
    await start();
    expect(await readdir(mountPoint.path)).toContain('lance');

    await request(api.url).post('/v1/videos').attach('file', Buffer.from('some bytes'), 'a.mp4');
    await start();
    await using unmounted = await tempDir();
    config.dataDir = unmounted.path;
    await expect(start()).rejects.toThrow(`no folder ${unmounted.path}/blobs and none ${unmounted.path}/lance`);
    await expect(Stores.open(config, console as never)).rejects.toThrow('is its disk mounted?');
    expect(await readdir(unmounted.path)).toEqual([]);
    await mkdir(join(unmounted.path, 'blobs'));
    await start();
  });
});
