import request from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { API_KEYS, type ApiFixture, KEYS, rawRequest, startApi } from '../fixtures/api.ts';

describe('With API keys', () => {
  let api: ApiFixture;
  beforeAll(async () => {
    api = await startApi({ API_KEYS });
  });
  afterAll(() => api?.close());

  it('every route under /v1 and the metrics need one', async () => {
    const closed = api.routes.filter((route) => / \/(v1|metrics)/.test(route) && !route.startsWith('HEAD'));
    expect(closed.length).toBeGreaterThan(20);
    for (const route of closed) {
      const [method = '', path = ''] = route.split(' ');
      const answer = await request(api.url)[method.toLowerCase() as 'get'](path.replace(/:\w+/g, 'x'));
      expect([route, answer.status, answer.body.code]).toEqual([route, 401, 'key_missing']);
      expect(answer.headers['www-authenticate']).toContain('Bearer');
    }
  });

  it('health and documentation are open', async () => {
    for (const path of ['/health/live', '/health/ready', '/openapi.json', '/docs', '/docs/assets/swagger-ui.css']) {
      expect([path, (await request(api.url).get(path)).status]).toEqual([path, 200]);
    }
  });

  it.each([
    ['authorization', `Bearer ${KEYS.alice}`, 200],
    ['authorization', `bearer ${KEYS.bob}`, 200],
    ['x-api-key', KEYS.alice, 200],
    ['authorization', `Bearer ${KEYS.alice}x`, 401],
    ['authorization', `Bearer alice=${KEYS.alice}`, 401],
    ['authorization', `Basic ${KEYS.alice}`, 401],
    ['x-api-key', 'short', 401],
  ])('%s: %s is answered %i', async (header, value, status) => {
    expect((await request(api.url).get('/v1/videos').set(header, value)).status).toBe(status);
  });

  it('a wrong key has a code of its own', async () => {
    expect((await request(api.url).get('/v1/videos').set('x-api-key', 'x'.repeat(30))).body.code).toBe('key_invalid');
  });

  it('an upload without a key is refused at its headers', async () => {
    const socket = await rawRequest(api.url, [
      'POST /v1/videos HTTP/1.1',
      'content-type: multipart/form-data; boundary=b',
      'content-length: 1000000',
    ]);
    const text = await new Promise<string>((resolve) => socket.once('data', (chunk) => resolve(String(chunk))));
    expect(text).toMatch(/^HTTP\/1.1 401 /);
    socket.destroy();
  });

  it('pages of any origin may send keys, and read answers and problems', async () => {
    const origin = 'https://app.example';
    const allowed = { 'access-control-allow-origin': origin, vary: 'origin' };
    const ask = await request(api.url)
      .options('/v1/videos/x')
      .set({ origin, 'access-control-request-method': 'PATCH', 'access-control-request-headers': 'authorization' });
    expect([ask.status, ask.headers]).toEqual([204, expect.objectContaining(allowed)]);
    expect(ask.headers['access-control-allow-methods']).toContain('PATCH');
    expect(ask.headers['access-control-allow-headers']).toBe('authorization');
    const list = () => request(api.url).get('/v1/videos').set('origin', origin);
    expect((await list().set('x-api-key', KEYS.bob)).headers).toMatchObject(allowed);
    expect((await list()).headers).toMatchObject({ ...allowed, 'www-authenticate': 'Bearer realm="cuepoint"' });
    const plain = await request(api.url).get('/v1/videos').set('x-api-key', KEYS.bob);
    expect(plain.headers.vary).toBe('origin');
    expect(plain.headers).not.toHaveProperty('access-control-allow-origin');
    const health = await request(api.url).get('/health/ready').set('origin', origin);
    expect(health.headers).not.toHaveProperty('access-control-allow-origin');
  });

  it('signed links are shown by pages of any origin', async () => {
    const upload = request(api.url).post('/v1/videos').set('x-api-key', KEYS.alice);
    const { links } = (await upload.attach('file', Buffer.alloc(9, 1), 'a.mp4')).body;
    const source = await request(api.url).get(links.source).set('sec-fetch-site', 'cross-site');
    expect([source.status, source.headers['cross-origin-resource-policy']]).toEqual([200, 'cross-origin']);
    const gone = new AbortController();
    const headers = { origin: 'https://app.example' };
    const events = await fetch(api.url + links.events, { headers, signal: gone.signal });
    gone.abort();
    expect(events.headers.get('access-control-allow-origin')).toBe('https://app.example');
    expect(events.headers.get('x-request-id')).toMatch(/.{36}/);
  });

  it('any host name will do', async () => {
    const answer = await request(api.url)
      .get('/v1/videos')
      .set('host', 'videos.example.com')
      .set('x-api-key', KEYS.alice);
    expect(answer.status).toBe(200);
  });
});

describe('Without API keys', () => {
  let api: ApiFixture;
  beforeAll(async () => {
    api = await startApi();
  });
  afterAll(() => api?.close());

  it.each(['localhost', 'localhost:8080', '127.0.0.1:1', '[::1]:8080', 'app.localhost'])(
    'the host %s is answered',
    async (host) => {
      expect((await request(api.url).get('/v1/videos').set('host', host)).status).toBe(200);
    },
  );

  it.each(['evil.example', 'evil.example:8080', '10.0.0.1', '127.0.0.1.evil.example', 'localhost.evil.example', ''])(
    'the host %j, which a stranger can point at this machine, is refused',
    async (host) => {
      const answer = await request(api.url).get('/v1/videos').set('host', host);
      expect([answer.status, answer.body.code]).toEqual([403, 'host_refused']);
    },
  );

  it.each(['https://evil.example', 'null', 'http://10.0.0.1'])('a page of %s is refused', async (origin) => {
    const answer = await request(api.url)
      .post('/v1/videos')
      .set('origin', origin)
      .attach('file', Buffer.alloc(9, 1), 'a.mp4');
    expect([answer.status, answer.body.code]).toEqual([403, 'host_refused']);
    expect((await api.catalog.listVideos('default', { limit: 10 })).videos).toEqual([]);
  });

  it('a page of this machine is welcome', async () => {
    const list = await request(api.url).get('/v1/videos').set('origin', 'http://localhost:5173');
    expect([list.status, list.headers['access-control-allow-origin']]).toEqual([200, 'http://localhost:5173']);
    const preflight = (origin: string) =>
      request(api.url).options('/v1/search').set({ origin, 'access-control-request-method': 'POST' });
    expect((await preflight('http://localhost:5173')).status).toBe(204);
    expect((await preflight('https://evil.example')).status).toBe(403);
  });

  it('a picture that a page elsewhere embeds is refused, a link that a person follows is not', async () => {
    const crossSite = () => request(api.url).get('/docs').set('sec-fetch-site', 'cross-site');
    expect((await crossSite().set('sec-fetch-mode', 'no-cors')).status).toBe(403);
    expect((await crossSite().set('sec-fetch-mode', 'navigate')).status).toBe(200);
  });

  it('health answers any host', async () => {
    expect((await request(api.url).get('/health/live').set('host', 'api:8080')).status).toBe(200);
  });

  it('links are plain', async () => {
    const { body } = await request(api.url).post('/v1/videos').attach('file', Buffer.alloc(9, 1), 'a.mp4');
    expect(body.links.source).toBe(`/v1/videos/${body.id}/source`);
  });
});
