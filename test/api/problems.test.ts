import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, createConnection } from 'node:net';
import { gzipSync } from 'node:zlib';
import request from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ApiFixture, importBuilt, multipart, rawRequest, startApi } from '../fixtures/api.ts';

const { answerBrokenHttp } = await importBuilt<typeof import('../../apps/api/http/server.ts')>('http/server.js');

/** What comes back for the lines of a head as they are. */
async function askRaw(port: number | string, head: string[], end = '\r\n\r\n') {
  const socket = createConnection(Number(port), '127.0.0.1');
  socket.on('error', () => {});
  socket.write(head.join('\r\n') + end);
  const answer = String((await once(socket, 'data'))[0]);
  socket.destroy();
  const [, status, type] = /^HTTP\/1\.1 (\d+) .*?content-type: ([^\r]*)/s.exec(answer) ?? [];
  return { status: Number(status), type, body: JSON.parse(answer.slice(answer.indexOf('\r\n\r\n'))) };
}

let api: ApiFixture;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api?.close());

describe('A mistake', () => {
  it('is told as a problem of RFC 9457', async () => {
    const answer = await request(api.url).post('/v1/search?x=1').send({ query: '', limit: 99, colour: 'red' });
    expect(answer.status).toBe(400);
    expect(answer.headers['content-type']).toBe('application/problem+json; charset=utf-8');
    expect(answer.body).toEqual({
      type: 'urn:cuepoint:problem:request_invalid',
      title: 'The request is not valid',
      status: 400,
      detail: expect.stringContaining('query'),
      code: 'request_invalid',
      instance: '/v1/search',
      requestId: answer.headers['x-request-id'],
      errors: expect.arrayContaining([
        { path: 'query', message: 'must not be empty' },
        { path: 'limit', message: expect.any(String) },
      ]),
    });
  });

  const json = 'application/json';
  const cases: [method: string, path: string, type: string | undefined, body: string, status: number, code: string][] =
    [
      ['GET', '/nowhere', undefined, '', 404, 'route_not_found'],
      ['GET', '/v1', undefined, '', 404, 'route_not_found'],
      ['PUT', '/v1/videos', undefined, '', 405, 'method_not_allowed'],
      ['DELETE', '/docs/assets/swagger-ui.css', undefined, '', 405, 'method_not_allowed'],
      ['POST', '/v1/nowhere', 'multipart/form-data; boundary=b', '--b--', 404, 'route_not_found'],
      ['GET', '/v1/videos/%zz', undefined, '', 400, 'request_invalid'],
      ['GET', `/v1/videos/${'x'.repeat(300)}`, undefined, '', 404, 'route_not_found'],
      ['POST', '/v1/search', json, '{"query":', 400, 'json_invalid'],
      ['POST', '/v1/search', json, '{"__proto__":{},"query":"x"}', 400, 'json_invalid'],
      ['POST', '/v1/search', json, '', 400, 'request_invalid'],
      ['POST', '/v1/search', json, '[]', 400, 'request_invalid'],
      ['POST', '/v1/search', json, 'null', 400, 'request_invalid'],
      ['POST', '/v1/search', 'text/plain', 'query', 415, 'content_type_unsupported'],
      ['POST', '/v1/search', 'application/x-www-form-urlencoded', 'query=x', 415, 'content_type_unsupported'],
      ['POST', '/v1/search', 'multipart/form-data; boundary=b', '--b--', 400, 'file_missing'],
      ['POST', '/v1/webhooks', 'multipart/form-data; boundary=b', '--b--', 415, 'content_type_unsupported'],
      ['POST', '/v1/ask', 'Multipart/Form-Data; boundary=b', '--b--', 415, 'content_type_unsupported'],
      ['POST', '/v1/search', json, `{"query":"${'x'.repeat(1_100_000)}"}`, 413, 'body_too_large'],
      ['POST', '/v1/search', json, `{"query":"${'x'.repeat(1001)}"}`, 400, 'request_invalid'],
      ['POST', '/v1/search', json, '{"query":"x","videoIds":["1"]}', 400, 'request_invalid'],
      ['POST', '/v1/videos', 'application/octet-stream', 'x', 415, 'content_type_unsupported'],
      ['POST', '/v1/videos', 'multipart/form-data', 'x', 400, 'multipart_invalid'],
      ['POST', '/v1/videos', json, '{}', 400, 'request_invalid'],
      ['POST', '/v1/videos', undefined, '', 415, 'content_type_unsupported'],
      ['GET', '/docs/assets/package.json', undefined, '', 404, 'route_not_found'],
      ['GET', '/docs/assets/..%2f..%2fpackage.json', undefined, '', 404, 'route_not_found'],
    ];
  const named = cases.map(
    (row) =>
      [
        row
          .slice(0, 4)
          .map((text) => String(text ?? '').slice(0, 40))
          .join(' '),
        ...row,
      ] as const,
  );
  it.each(named)('such as %s is answered with a code', async (_, method, path, type, body, status, code) => {
    const call = request(api.url)[method.toLowerCase() as 'get'](path);
    if (type) call.set('content-type', type);
    const answer = await (body === '' ? call : call.send(body));
    expect([answer.status, answer.body.code]).toEqual([status, code]);
    expect(answer.headers['content-type']).toContain('application/problem+json');
  });

  it('of the type is told with those there are', async () => {
    const details = async (call: request.Test, type: string) =>
      (await call.set('content-type', type).send('x')).body.detail;
    const { put, post } = request(api.url);
    const detail = await details(put('/v1/videos/0190f8a4-5a0e-7b63-9c1d-2f4a6b8c0d1e/captions'), 'application/json');
    expect(detail).toMatch(/takes text\/vtt, .*; the Content-Type is application\/json\.$/);
    expect(await details(post('/v1/videos'), 'multipart/mixed; boundary=b')).toContain('takes multipart/form-data, ');
    expect(await details(post('/v1/ask'), 'text/plain')).toContain('takes application/json;');
  });

  it('is a body that is compressed', async () => {
    const call = request(api.url).post('/v1/search').set('content-type', json).set('content-encoding', 'gzip');
    const { status, body } = await call.send(gzipSync('{"query":"a"}'));
    expect([status, body.code]).toEqual([415, 'content_type_unsupported']);
    expect(body.detail).toContain('Content-Encoding');
  });

  it('of a megabyte is told at once, in few words', async () => {
    const startedAt = performance.now();
    const { post } = request(api.url);
    const prompt = await post('/v1/videos').send({ url: 'http://93.184.215.14/', prompt: '<|'.repeat(500_000) });
    expect(prompt.body).toMatchObject({ code: 'request_invalid', errors: [{ path: 'prompt' }] });
    const unknown = await post('/v1/search').send(Object.fromEntries(Array.from({ length: 90_000 }, (_, i) => [i, 1])));
    expect(unknown.body.code).toBe('request_invalid');
    expect(unknown.text.length).toBeLessThan(2_000);
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  });

  it('in a hundred thousand values is told before each is looked at', async () => {
    const many = Object.fromEntries(Array.from({ length: 90_000 }, (_, i) => [i, 1]));
    const { post } = request(api.url);
    const bodies = [
      { query: 'a', filter: { metadata: many } },
      { query: 'a', videoIds: Object.values(many) },
      [[[many]]],
    ];
    for (const body of bodies) {
      expect((await post('/v1/search').send(body)).body).toMatchObject({
        code: 'request_invalid',
        detail: 'It has more than 2000 values.',
      });
    }
    const form = JSON.stringify(Object.fromEntries(Object.entries(many).slice(0, 9_000)));
    const added = await post('/v1/videos').field('metadata', form).attach('file', Buffer.alloc(1), 'a.mp4');
    expect(added.body.errors).toEqual([{ path: 'metadata', message: 'has at most 50 entries' }]);
    const found = await post('/v1/search').field('request', form).attach('image', Buffer.alloc(1), 'a.png');
    expect(found.body.detail).toBe('It has more than 2000 values.');
    const value = '['.repeat(60_000) + ']'.repeat(60_000);
    const { body, type } = multipart([{ name: 'metadata', value, type: json }]);
    expect((await post('/v1/videos').set('content-type', type).send(body)).body.code).toBe('multipart_invalid');
    const deep = await post('/v1/search').set('content-type', json).send('['.repeat(1_000_000));
    expect(deep.body.detail).toBe('It has more than 2000 values.'); // not parsed: that took longest
    const said = await post('/v1/search').send({ query: ',[{\\"'.repeat(800) });
    expect(said.body.errors).toMatchObject([{ path: 'query' }]); // its letters are no values
    const videoIds = Array.from({ length: 1000 }, () => '0190f8a4-5a0e-7b63-9c1d-2f4a6b8c0d1e');
    const labels = Array.from({ length: 200 }, (_, i) => `label ${i}`);
    const most = await post('/v1/search').send({ query: 'a', videoIds, labels });
    expect(most.body.code).not.toBe('request_invalid');
  });

  it('in the length of an address is told as such, beyond 64 KB', async () => {
    const labels = Array.from({ length: 200 }, (_, i) => `${i}`.padEnd(100, 'x')).join();
    const path = '/v1/videos/0190f8a4-5a0e-7b63-9c1d-2f4a6b8c0d1e/labels';
    expect((await request(api.url).get(`${path}?labels=${labels}`)).body.code).toBe('video_not_found');
    const { body } = await request(api.url).get(`${path}?labels=${'x'.repeat(65_536)}`);
    expect(body).toMatchObject({ code: 'headers_too_large', detail: expect.stringContaining('more than 65536 bytes') });
  });

  it('is not seen in an empty body that names a type', async () => {
    const answer = await request(api.url)
      .post('/v1/videos/0190f8a4-5a0e-7b63-9c1d-2f4a6b8c0d1e/retry')
      .set('content-type', 'application/x-www-form-urlencoded')
      .set('content-length', '0');
    expect([answer.status, answer.body.code]).toEqual([404, 'video_not_found']);
  });

  it('of the method is told with those there are', async () => {
    const answer = await request(api.url).put('/v1/videos/0190f8a4-5a0e-7b63-9c1d-2f4a6b8c0d1e');
    expect(answer.headers.allow).toBe('DELETE, GET, HEAD, PATCH');
  });

  it.each([
    ['a Host that is missing', ['GET /v1/videos HTTP/1.1'], 400, 'request_invalid'],
    [
      'an Expect that nobody knows',
      ['GET /v1/videos HTTP/1.1', 'host: localhost', 'expect: tea'],
      417,
      'expectation_failed',
    ],
    [
      'headers that are too large',
      ['GET / HTTP/1.1', 'host: localhost', `x: ${'a'.repeat(65_536)}`],
      431,
      'headers_too_large',
    ],
    ['what is no HTTP', ['GARBAGE'], 400, 'request_invalid'],
  ])('in HTTP itself is a problem, too: %s', async (_, head, status, code) => {
    const answer = await askRaw(new URL(api.url).port, head);
    expect(answer).toMatchObject({ status, type: 'application/problem+json; charset=utf-8', body: { status, code } });
  });

  it('of headers that come too late is a problem, too', async () => {
    const server = createServer({ headersTimeout: 100, connectionsCheckingInterval: 50 });
    server.on('clientError', answerBrokenHttp).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const answer = await askRaw(port, ['GET / HTTP/1.1', 'host: localhost'], '');
    expect(answer).toMatchObject({ status: 408, body: { status: 408, code: 'request_timeout' } });
    server.close();
  });

  it('in HTTP itself does not end the server', async () => {
    for (const line of ['GARBAGE', 'GET http://[ HTTP/1.1', 'GET * HTTP/1.1', 'OPTIONS * HTTP/1.1']) {
      const socket = await rawRequest(api.url, [line]);
      await new Promise((resolve) => socket.once('data', resolve).once('close', resolve));
      socket.destroy();
    }
    expect((await request(api.url).get('/health/live')).status).toBe(200);
  });
});

describe('Without Redis', () => {
  it('requests are told so within five seconds, health names the reason, and all goes on when it is back', async () => {
    await api.redis.kill();
    const startedAt = Date.now();
    const [list, upload, ready, live] = await Promise.all([
      request(api.url).get('/v1/videos'),
      request(api.url).post('/v1/videos').attach('file', Buffer.alloc(9, 1), 'a.mp4'),
      request(api.url).get('/health/ready'),
      request(api.url).get('/health/live'),
    ]);
    expect(Date.now() - startedAt).toBeLessThan(6_500);
    expect([list.status, list.body.code]).toEqual([503, 'store_unavailable']);
    expect(list.headers['retry-after']).toBeDefined();
    expect([upload.status, upload.body.code]).toEqual([503, 'store_unavailable']);
    expect(ready.status).toBe(503);
    expect(ready.body).toMatchObject({
      status: 'not_ready',
      redis: 'failed',
      index: 'ok',
      blobs: 'ok',
      reasons: [expect.stringContaining('Redis')],
    });
    expect(live.status).toBe(200);
    await api.redis.start();
    await expect.poll(async () => (await request(api.url).get('/health/ready')).status, { timeout: 10_000 }).toBe(200);
    expect((await request(api.url).get('/v1/videos')).status).toBe(200);
  });
});

describe('With a Redis that hangs', () => {
  it('requests are told so within five seconds, nothing of an upload stays, and all goes on when it answers', async () => {
    const files = await api.blobFiles();
    api.redis.pause();
    const startedAt = Date.now();
    const answers = await Promise.all([
      request(api.url).get('/v1/videos'),
      request(api.url).post('/v1/videos').attach('file', Buffer.alloc(9, 1), 'a.mp4'),
      request(api.url).get('/health/ready'),
    ]);
    api.redis.resume();
    expect(Date.now() - startedAt).toBeLessThan(6_500);
    expect(answers.map(({ status, body }) => [status, body.code ?? body.status])).toEqual([
      [503, 'store_unavailable'],
      [503, 'store_unavailable'],
      [503, 'not_ready'],
    ]);
    expect((await request(api.url).get('/v1/videos')).status).toBe(200);
    expect(await api.blobFiles()).toEqual(files);
    await expect.poll(() => api.connection.exists('{cuepoint}:uploads')).toBe(0);
  });
});

describe('Without Qdrant and the object store', () => {
  it('health names both', async () => {
    const away = 'http://127.0.0.1:9';
    const other = await startApi({
      QDRANT_URL: away,
      S3_BUCKET: 'b',
      S3_ENDPOINT: away,
      S3_ACCESS_KEY_ID: 'a',
      S3_SECRET_ACCESS_KEY: 'b',
    });
    const { status, body } = await request(other.url).get('/health/ready');
    await other.close();
    expect(status).toBe(503);
    expect(body).toMatchObject({
      redis: 'ok',
      index: 'failed',
      blobs: 'failed',
      reasons: [expect.stringMatching(/^Vector index: Qdrant/), expect.stringMatching(/^Media: .*ECONNREFUSED/)],
    });
  });
});
