import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import request from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { passageId } from '#store';
import { API_KEYS, type ApiFixture, importBuilt, KEYS, multipart, setVideo, startApi } from '../fixtures/api.ts';

const BYTES = Buffer.from(Array.from({ length: 1000 }, (_, i) => i % 256));
let api: ApiFixture;
let id: string;
let links: { source: string; transcript: string; events: string; self: string };
beforeAll(async () => {
  api = await startApi({ API_KEYS });
  const { body, type } = multipart([{ name: 'file', value: BYTES, filename: '講義 %224%22.mp4', type: 'video/mp4' }]);
  const answer = await request(api.url)
    .post('/v1/videos')
    .set('x-api-key', KEYS.alice)
    .set('content-type', type)
    .send(body);
  ({ id, links } = answer.body);
});
afterAll(() => api?.close());

const get = (path: string) => request(api.url).get(path).set('x-api-key', KEYS.alice).buffer(true).parse(bytes);
const bytes = (res: unknown, done: (error: Error | null, body: Buffer) => void) => {
  const chunks: Buffer[] = [];
  (res as NodeJS.ReadableStream)
    .on('data', (chunk: Buffer) => chunks.push(chunk))
    .on('end', () => done(null, Buffer.concat(chunks)));
};
const source = () => get(`/v1/videos/${id}/source`);

describe('The original', () => {
  it('comes back byte for byte, as media that no browser takes for a page', async () => {
    const answer = await source();
    expect(answer.status).toBe(200);
    expect(answer.body).toEqual(BYTES);
    expect(answer.headers).toMatchObject({
      'content-type': 'video/mp4',
      'content-length': '1000',
      'accept-ranges': 'bytes',
      'x-content-type-options': 'nosniff',
      etag: expect.stringMatching(/^"[0-9a-f]{64}"$/),
    });
    expect(answer.headers['content-disposition']).toBe(
      `inline; filename="__ _4_.mp4"; filename*=UTF-8''${encodeURIComponent('講義 "4".mp4')}`,
    );
    expect(answer.headers['content-security-policy']).toContain('sandbox');
  });

  it.each([
    ['bytes=0-9', 0, 9],
    ['bytes=990-', 990, 999],
    ['bytes=-10', 990, 999],
    ['Bytes=0-0', 0, 0],
    ['bytes=995-5000', 995, 999],
    ['bytes=-5000', 0, 999],
  ])('comes in part for %s', async (range, start, end) => {
    const answer = await source().set('range', range);
    expect(answer.status).toBe(206);
    expect(answer.headers['content-range']).toBe(`bytes ${start}-${end}/1000`);
    expect(answer.headers['content-length']).toBe(String(end - start + 1));
    expect(answer.body).toEqual(BYTES.subarray(start, end + 1));
  });

  it.each(['bytes=5-2', 'bytes=a-b', 'lines=1-2', 'bytes=0-1,5-6', 'bytes=-'])('comes whole for %s', async (range) => {
    const answer = await source().set('range', range);
    expect([answer.status, answer.body.length]).toEqual([200, 1000]);
  });

  it.each(['bytes=1000-', 'bytes=5000-6000', 'bytes=-0'])('answers 416 to %s', async (range) => {
    const answer = await request(api.url)
      .get(`/v1/videos/${id}/source`)
      .set('x-api-key', KEYS.alice)
      .set('range', range);
    expect([answer.status, answer.body.code]).toEqual([416, 'range_not_satisfiable']);
    expect(answer.headers['content-range']).toBe('bytes */1000');
    expect(answer.headers['content-type']).toContain('application/problem+json');
  });

  it('honours If-Range and If-None-Match', async () => {
    const { etag } = (await source()).headers as { etag: string };
    expect((await source().set('range', 'bytes=0-9').set('if-range', etag)).status).toBe(206);
    expect((await source().set('range', 'bytes=0-9').set('if-range', '"old"')).status).toBe(200);
    expect((await source().set('if-none-match', etag)).status).toBe(304);
  });

  it('tells its size to HEAD, whatever part that names', async () => {
    const answer = await request(api.url).head(`/v1/videos/${id}/source`).set('x-api-key', KEYS.alice);
    expect([answer.status, answer.headers['content-length']]).toEqual([200, '1000']);
    for (const range of ['bytes=0-1', 'bytes=5000-']) {
      const part = await request(api.url)
        .head(`/v1/videos/${id}/source`)
        .set('x-api-key', KEYS.alice)
        .set('range', range);
      expect([part.status, part.headers['content-length']]).toEqual([200, '1000']);
    }
  });

  it('that says it is a web page is served as bytes', async () => {
    const { body, type } = multipart([
      { name: 'file', value: '<script>1</script>', filename: 'x.html', type: 'text/html' },
    ]);
    const added = await request(api.url)
      .post('/v1/videos')
      .set('x-api-key', KEYS.alice)
      .set('content-type', type)
      .send(body);
    expect((await get(`/v1/videos/${added.body.id}/source`)).headers['content-type']).toBe('application/octet-stream');
  });

  it('of an address that has not been fetched yet is not there', async () => {
    const added = await request(api.url)
      .post('/v1/videos')
      .set('x-api-key', KEYS.alice)
      .send({ url: 'http://93.184.215.14/a.mp4' });
    expect(added.body.links).not.toHaveProperty('source');
    const answer = await request(api.url).get(`/v1/videos/${added.body.id}/source`).set('x-api-key', KEYS.alice);
    expect([answer.status, answer.body.code]).toEqual([404, 'source_not_found']);
  });
});

describe('A thumbnail', () => {
  it('is found at its own millisecond only', async () => {
    await api.blobs.put(`alice/${id}/thumbnails/1500.jpg`, Readable.from([Buffer.from('jpeg')]));
    const answer = await get(`/v1/videos/${id}/thumbnails/1500`);
    expect([answer.status, answer.headers['content-type'], String(answer.body)]).toEqual([200, 'image/jpeg', 'jpeg']);
    expect(answer.headers['cache-control']).toContain('max-age=');
    expect(
      (await get(`/v1/videos/${id}/thumbnails/1500`).set('if-none-match', answer.headers.etag as string)).status,
    ).toBe(304);
    for (const ms of ['1501', 'abc', '-1', '1e3', '..%2fsource']) {
      const missing = await request(api.url).get(`/v1/videos/${id}/thumbnails/${ms}`).set('x-api-key', KEYS.alice);
      expect([missing.status, missing.body.code]).toEqual([404, 'thumbnail_not_found']);
    }
  });
});

describe('A signed link', () => {
  it('opens what it names without a key', async () => {
    for (const link of [links.source, links.transcript]) expect((await request(api.url).get(link)).status).toBe(200);
    expect(links.events).toContain('signature=');
    expect(links.self).not.toContain('signature=');
    expect((await request(api.url).get(`${links.transcript}&format=vtt`)).status).toBe(200);
  });

  it('opens nothing else', async () => {
    const query = links.source.split('?')[1];
    for (const path of [`/v1/videos/${id}/transcript`, `/v1/videos/${id}`, '/v1/videos']) {
      expect((await request(api.url).get(`${path}?${query}`)).status).toBeGreaterThanOrEqual(401);
    }
    expect((await request(api.url).delete(`/v1/videos/${id}?${query}`)).status).toBe(401);
  });

  it('that was changed is refused', async () => {
    const { searchParams } = new URL(links.source, api.url);
    const later = Number(searchParams.get('expires')) + 3600;
    for (const query of [
      `expires=${later}&signature=${searchParams.get('signature')}`,
      `expires=${searchParams.get('expires')}&signature=AAAA${searchParams.get('signature')?.slice(4)}`,
      `${searchParams}==`,
      'expires=99999999999&signature=',
      'expires=x&signature=y',
    ]) {
      const answer = await request(api.url).get(`/v1/videos/${id}/source?${query}`);
      expect([answer.status, answer.body.code]).toEqual([403, 'signature_invalid']);
    }
  });

  it('that has expired is refused', async () => {
    const { Signer } = await importBuilt<typeof import('../../apps/api/auth/index.ts')>('auth/index.js');
    const { readFile } = await import('node:fs/promises');
    const signer = new Signer(await readFile(join(api.config.dataDir, 'signing-secret'), 'utf8'));
    const link = signer.sign('alice', `/v1/videos/${id}/source`, Date.now() - 13 * 3600_000);
    const answer = await request(api.url).get(link);
    expect([answer.status, answer.body.code]).toEqual([403, 'signature_expired']);
    const fresh = signer.sign('alice', `/v1/videos/${id}/source`);
    expect(fresh).toBe(links.source);
  });

  it('is signed with a secret that all apis on one data folder share and only its owner reads', async () => {
    const { signingSecret } = await importBuilt<typeof import('../../apps/api/auth/index.ts')>('auth/index.js');
    const { mkdtemp, rm, stat, readdir } = await import('node:fs/promises');
    const folder = await mkdtemp('/tmp/cuepoint-secret-');
    const secrets = await Promise.all(Array.from({ length: 8 }, () => signingSecret(undefined, folder)));
    expect(new Set(secrets).size).toBe(1);
    expect(await readdir(folder)).toEqual(['signing-secret']);
    expect((await stat(join(folder, 'signing-secret'))).mode & 0o777).toBe(0o600);
    await writeFile(join(folder, 'signing-secret'), 'another');
    expect(await signingSecret('configured-secret', folder)).toBe('configured-secret');
    await rm(folder, { recursive: true });
  });
});

describe('A transcript', () => {
  const text = (format: string) =>
    request(api.url).get(`/v1/videos/${id}/transcript?format=${format}`).set('x-api-key', KEYS.alice).buffer(true);
  beforeAll(async () => {
    const row = (startMs: number, endMs: number, words: string) => ({
      id: passageId(id, startMs),
      tenant: 'alice',
      videoId: id,
      startMs,
      endMs,
      text: words,
      language: 'en',
    });
    await api.index.upsertPassages([
      row(1500, 4250, 'Tom & Jerry <b>say</b> --> hello\n\nthere'),
      row(3_600_000, 3_725_042, 'An hour later'),
    ]);
  });

  it('says what is there, and whether that is all', async () => {
    const early = await text('json');
    expect(early.body).toMatchObject({
      videoId: id,
      complete: false,
      passages: [
        { start: 1.5, end: 4.25, text: expect.stringContaining('Tom & Jerry'), language: 'en' },
        { start: 3600, end: 3725.042, text: 'An hour later' },
      ],
    });
    await api.catalog.setStage({ tenant: 'alice', videoId: id, run: 1 }, 'speech', { state: 'done' });
    expect((await text('json')).body.complete).toBe(true);
  });

  it('says in which language the text is, where that is not what is spoken', async () => {
    await setVideo(api, { id, tenant: 'alice' }, { language: 'de', task: 'translate' });
    expect((await text('json')).body.language).toBe('en');
  });

  it('is valid WebVTT whatever is said', async () => {
    const answer = await text('vtt');
    expect(answer.headers['content-type']).toBe('text/vtt; charset=utf-8');
    expect(answer.text).toBe(
      'WEBVTT\n\n1\n00:00:01.500 --> 00:00:04.250\nTom &amp; Jerry &lt;b&gt;say&lt;/b&gt; --&gt; hello there\n\n' +
        '2\n01:00:00.000 --> 01:02:05.042\nAn hour later\n',
    );
  });

  it('is SubRip with commas', async () => {
    const answer = await text('srt');
    expect(answer.headers['content-type']).toBe('application/x-subrip; charset=utf-8');
    expect(answer.text.split('\r\n').slice(0, 4)).toEqual([
      '1',
      '00:00:01,500 --> 00:00:04,250',
      'Tom & Jerry (b)say(/b) → hello there',
      '',
    ]);
  });

  it('is plain lines, and nothing else can be asked for', async () => {
    expect((await text('txt')).text).toBe('Tom & Jerry <b>say</b> --> hello there\nAn hour later\n');
    expect((await text('pdf')).body.code).toBe('request_invalid');
    await setVideo(api, { id, tenant: 'alice' }, { status: 'ready' });
  });
});
