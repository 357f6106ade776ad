import { once } from 'node:events';
import request from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ApiFixture, eventually, multipart, rawRequest, startApi } from '../fixtures/api.ts';

const LIMIT = 1024 * 1024;
let api: ApiFixture;
beforeAll(async () => {
  api = await startApi({ MAX_UPLOAD: String(LIMIT) });
});
afterAll(() => api?.close());

const post = () => request(api.url).post('/v1/videos');
const send = (parts: Parameters<typeof multipart>[0], headers: Record<string, string> = {}) => {
  const { body, type } = multipart(parts);
  return post().set(headers).set('content-type', type).send(body);
};
const media = (bytes = 5000, fill = 7) => Buffer.alloc(bytes, fill);
const file = (value = media(), filename = 'clip.mp4') => ({ name: 'file', value, filename, type: 'video/mp4' });
const keyOf = (id: string) => `default/${id}/source`;

describe('An upload', () => {
  it('is answered 202 once its bytes are stored and its first job is queued', async () => {
    const answer = await post()
      .field('title', 'Lecture 4')
      .field('metadata', '{"course":"bio"}')
      .attach('file', media(), 'lecture-4.mp4');
    expect(answer.status).toBe(202);
    expect(answer.headers.location).toBe(`/v1/videos/${answer.body.id}`);
    expect(answer.body).toMatchObject({
      status: 'queued',
      title: 'Lecture 4',
      filename: 'lecture-4.mp4',
      metadata: { course: 'bio' },
      progress: 0,
      source: { kind: 'upload', sizeBytes: 5000, contentType: 'video/mp4' },
      stages: { probe: { state: 'waiting', done: 0, total: 0 } },
    });
    expect(answer.body).not.toHaveProperty('tenant');
    expect(answer.body.source).not.toHaveProperty('blobKey');
    expect(await api.blobs.stat(keyOf(answer.body.id))).toEqual({ sizeBytes: 5000 });
    const metrics = await request(api.url).get('/metrics');
    expect(metrics.text).toMatch(/cuepoint_jobs\{queue="plan",state="waiting"\} [1-9]/);
  });

  it('takes its fields before or after the file', async () => {
    const answer = await send([{ name: 'title', value: 'Before' }, file(), { name: 'language', value: 'DE' }]);
    expect(answer.status).toBe(202);
    expect(answer.body).toMatchObject({ title: 'Before', language: 'de' });
  });

  it('says what is to become of its speech, in a form or beside an address', async () => {
    const speech = { task: 'translate', prompt: 'Krebs cycle,\nRubisco' };
    const parts = [{ name: 'task', value: 'translate' }, file(), { name: 'prompt', value: ` ${speech.prompt} ` }];
    for (const answer of [await send(parts), await post().send({ url: 'http://93.184.215.14/a.mp4', ...speech })]) {
      expect([answer.status, answer.body]).toEqual([202, expect.objectContaining(speech)]);
      expect(await api.catalog.getVideo('default', answer.body.id)).toMatchObject(speech);
    }
    const plain = await send([file(), { name: 'prompt', value: ' ' }]);
    expect(plain.status).toBe(202);
    for (const name of ['task', 'prompt']) expect(plain.body).not.toHaveProperty(name);
  });

  it.each([
    ['task', 'summarize'],
    ['prompt', 'x'.repeat(1001)],
    ['prompt', 'spoken\n<|en|>'],
  ])('is refused with a %s that is none', async (name, value) => {
    for (const answer of [
      await send([file(), { name, value }]),
      await post().send({ url: 'http://93.184.215.14/a.mp4', [name]: value }),
    ]) {
      expect([answer.status, answer.body.code, answer.body.errors[0].path]).toEqual([400, 'request_invalid', name]);
    }
  });

  it('is called after its file where no title is given, and empty fields count as not given', async () => {
    const answer = await send([{ name: 'title', value: '' }, file(media(), 'holiday 2024.final.mkv')]);
    expect(answer.body).toMatchObject({ title: 'holiday 2024.final', filename: 'holiday 2024.final.mkv' });
  });

  it.each([
    ['../../etc/passwd.mp4', 'passwd.mp4'],
    ['..\\..\\windows\\clip.mp4', 'clip.mp4'],
    ['講義 第４回 🎬.mp4', '講義 第４回 🎬.mp4'],
    ['..', 'video'],
    ['a\u202egp4.mp4', 'agp4.mp4'],
    [`${'x'.repeat(400)}.mp4`, 'x'.repeat(255)],
  ])('named %j is shown as %j and stored under a key of ours', async (given, shown) => {
    const answer = await send([file(media(), given)]);
    expect(answer.status).toBe(202);
    expect(answer.body.filename).toBe(shown);
    expect(await api.blobs.stat(keyOf(answer.body.id))).toBeDefined();
  });

  it('over the limit is refused by its Content-Length before anything is stored', async () => {
    const before = await api.blobFiles();
    const socket = await rawRequest(api.url, [
      'POST /v1/videos HTTP/1.1',
      'content-type: multipart/form-data; boundary=b',
      `content-length: ${50 * LIMIT}`,
    ]);
    const [chunk] = await once(socket, 'data');
    expect(String(chunk)).toMatch(/^HTTP\/1.1 413 /);
    expect(String(chunk)).toContain('"code":"upload_too_large"');
    socket.destroy();
    expect(await api.blobFiles()).toEqual(before);
  });

  it('that turns out to be over the limit while it streams is refused, and nothing stays', async () => {
    const before = await api.blobFiles();
    const answer = await send([file(media(LIMIT + 1))]);
    expect(answer.status).toBe(413);
    expect(answer.body.code).toBe('upload_too_large');
    await eventually(async () => (await api.blobFiles()).length === before.length, 'no blob stays');
  });

  it('of exactly the limit is taken', async () => {
    expect((await send([file(media(LIMIT))])).status).toBe(202);
  });

  it('of chunks without an end is refused at the limit', async () => {
    const before = await api.blobFiles();
    const socket = await rawRequest(api.url, [
      'POST /v1/videos HTTP/1.1',
      'content-type: multipart/form-data; boundary=b',
      'transfer-encoding: chunked',
    ]);
    const head = '--b\r\ncontent-disposition: form-data; name="file"; filename="x.mp4"\r\n\r\n';
    socket.write(`${head.length.toString(16)}\r\n${head}\r\n`);
    const piece = 'y'.repeat(256 * 1024);
    const answered = once(socket, 'data');
    for (let i = 0; i < 8; i++) socket.write(`${piece.length.toString(16)}\r\n${piece}\r\n`);
    expect(String((await answered)[0])).toMatch(/^HTTP\/1.1 413 /);
    socket.destroy();
    await eventually(async () => (await api.blobFiles()).length === before.length, 'no blob stays');
  });

  it('that is cut off leaves nothing, and its Idempotency-Key is free again', async () => {
    const before = await api.blobFiles();
    const { videos } = await api.catalog.listVideos('default', { limit: 100 });
    const { body, type } = multipart([file(media(400_000))]);
    const socket = await rawRequest(api.url, [
      'POST /v1/videos HTTP/1.1',
      `content-type: ${type}`,
      `content-length: ${body.length}`,
      'idempotency-key: cut-off',
    ]);
    socket.write(body.subarray(0, 300_000));
    await eventually(async () => (await api.blobFiles()).length > before.length, 'the upload has begun');
    const busy = await send([file(media(400_000))], { 'idempotency-key': 'cut-off' });
    expect(busy.status).toBe(409);
    expect(busy.body.code).toBe('idempotency_in_progress');
    socket.destroy();
    await eventually(async () => (await api.blobFiles()).length === before.length, 'no blob stays');
    expect((await api.catalog.listVideos('default', { limit: 100 })).videos.length).toBe(videos.length);
    await eventually(
      async () => (await send([file(media(400_000))], { 'idempotency-key': 'cut-off' })).status === 202,
      'the key is free',
    );
    await eventually(
      async () => !(await api.connection.exists('{cuepoint}:uploads')),
      'nothing is thought to be under way',
    );
    // Who hangs up is no fault of the server: nobody should be called for it.
    expect((await request(api.url).get('/metrics')).text).not.toMatch(/status="500"/);
  });

  it('with a part that has no name is refused', async () => {
    const body = '--b\r\ncontent-disposition: form-data\r\n\r\nx\r\n--b--\r\n';
    const answer = await post().set('content-type', 'multipart/form-data; boundary=b').send(body);
    expect([answer.status, answer.body.code]).toEqual([400, 'multipart_invalid']);
  });

  it('with a boundary that is longer than any may be is refused', async () => {
    const answer = await post()
      .set('content-type', `multipart/form-data; boundary=${'b'.repeat(300)}`)
      .send('x');
    expect([answer.status, answer.body.code]).toEqual([400, 'multipart_invalid']);
  });

  it('whose body ends before its last boundary is refused, and nothing stays', async () => {
    const before = await api.blobFiles();
    const { body, type } = multipart([file()]);
    const answer = await post().set('content-type', type).send(body.subarray(0, -30));
    expect(answer.status).toBe(400);
    expect(answer.body.code).toBe('multipart_invalid');
    await eventually(async () => (await api.blobFiles()).length === before.length, 'no blob stays');
  });

  it.each([
    ['has no file', [{ name: 'title', value: 'x' }], 400, 'file_missing'],
    ['has text where the file should be', [{ name: 'file', value: 'x' }], 400, 'file_missing'],
    ['has an empty file', [file(Buffer.alloc(0))], 400, 'media_empty'],
    ['has an unknown field', [{ name: 'colour', value: 'red' }, file()], 400, 'request_invalid'],
    ['has an unknown field after the file', [file(), { name: 'colour', value: 'red' }], 400, 'request_invalid'],
    ['has two files', [file(), file()], 400, 'request_invalid'],
    ['has metadata that is no object', [file(), { name: 'metadata', value: '[1]' }], 400, 'request_invalid'],
    [
      'has metadata that cannot be kept',
      [file(), { name: 'metadata', value: '{"__proto__":"x"}' }],
      400,
      'request_invalid',
    ],
    ['has metadata that is no JSON', [{ name: 'metadata', value: '{' }, file()], 400, 'request_invalid'],
    ['has a language that is none', [file(), { name: 'language', value: 'klingon!' }], 400, 'request_invalid'],
    [
      'has a webhook at a private address',
      [file(), { name: 'webhookUrl', value: 'http://10.0.0.1/x' }],
      400,
      'address_refused',
    ],
    ['has a webhook that is no address', [{ name: 'webhookUrl', value: 'ftp://x' }, file()], 400, 'request_invalid'],
  ])('that %s is refused with a code, and nothing stays', async (_, parts, status, code) => {
    const before = await api.blobFiles();
    const answer = await send(parts);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
    expect(answer.headers['content-type']).toContain('application/problem+json');
    await eventually(async () => (await api.blobFiles()).length === before.length, 'no blob stays');
  });

  it('names the field that is wrong', async () => {
    const answer = await send([file(), { name: 'language', value: 'klingon!' }]);
    expect(answer.body.errors).toEqual([{ path: 'language', message: expect.stringContaining('ISO 639-1') }]);
  });

  it('with a webhookUrl gets a webhook of its own, and its secret once', async () => {
    const answer = await send([{ name: 'webhookUrl', value: 'http://127.0.0.1:9999/hook' }, file()]);
    expect(answer.status).toBe(202);
    const { id, secret } = answer.body.webhook;
    expect(Buffer.from(secret.replace('whsec_', ''), 'base64').length).toBeGreaterThanOrEqual(24);
    expect(await api.catalog.webhooks.get('default', id)).toMatchObject({ secret, videoId: answer.body.id });
    const read = await request(api.url).get(`/v1/videos/${answer.body.id}`);
    expect(read.body).not.toHaveProperty('webhook');
    expect(JSON.stringify((await request(api.url).get('/v1/webhooks')).body)).not.toContain(secret);
  });

  it('may bring the secret of its webhook', async () => {
    const secret = `whsec_${Buffer.alloc(24, 1).toString('base64')}`;
    const parts = [
      file(),
      { name: 'webhookUrl', value: 'http://127.0.0.1:9999/hook' },
      { name: 'webhookSecret', value: secret },
    ];
    expect((await send(parts)).body.webhook.secret).toBe(secret);
    const weak = await send([
      file(),
      { name: 'webhookUrl', value: 'http://127.0.0.1:9999/' },
      { name: 'webhookSecret', value: 'whsec_eA==' },
    ]);
    expect(weak.body.code).toBe('request_invalid');
  });
});

describe('A full disk', () => {
  it('refuses an upload that would not fit', async () => {
    const full = await startApi({ MIN_FREE_DISK: '900000GB' });
    try {
      const answer = await request(full.url).post('/v1/videos').attach('file', media(), 'a.mp4');
      expect([answer.status, answer.body.code]).toEqual([507, 'disk_full']);
      expect(await full.blobFiles()).toEqual([]);
    } finally {
      await full.close();
    }
  });
});

describe('An Idempotency-Key', () => {
  it('gives the first video again, with its webhook', async () => {
    const parts = [{ name: 'webhookUrl', value: 'http://127.0.0.1:9999/hook' }, file()];
    const first = await send(parts, { 'idempotency-key': 'again' });
    const second = await send(parts, { 'idempotency-key': 'again' });
    expect([first.status, second.status]).toEqual([202, 202]);
    expect(second.headers['idempotency-replayed']).toBe('true');
    expect(first.headers).not.toHaveProperty('idempotency-replayed');
    expect(second.body).toEqual(first.body);
  });

  it('makes one video of requests that race', async () => {
    const answers = await Promise.all(
      Array.from({ length: 6 }, () => send([file(media(200_000))], { 'idempotency-key': 'race' })),
    );
    const taken = answers.filter((answer) => answer.status === 202);
    expect(new Set(taken.map((answer) => answer.body.id)).size).toBe(1);
    for (const answer of answers) if (answer.status !== 202) expect(answer.body.code).toBe('idempotency_in_progress');
  });

  it('is refused for a different upload', async () => {
    await send([file(media(100))], { 'idempotency-key': 'other' });
    const answer = await send([file(media(100), 'other.mp4')], { 'idempotency-key': 'other' });
    expect([answer.status, answer.body.code]).toEqual([422, 'idempotency_mismatch']);
  });

  it('is free again after a request that was refused', async () => {
    const refused = await send([file(), { name: 'colour', value: 'x' }], { 'idempotency-key': 'refused' });
    expect(refused.status).toBe(400);
    expect((await send([file()], { 'idempotency-key': 'refused' })).status).toBe(202);
  });

  it('must be 1 to 255 printable characters', async () => {
    for (const key of ['x'.repeat(256), 'tab\there']) {
      const answer = await send([file()], { 'idempotency-key': key });
      expect([answer.status, answer.body.code]).toEqual([400, 'request_invalid']);
    }
  });
});

describe('Ingest by url', () => {
  it.each([
    'http://127.0.0.1:1/a.mp4',
    'http://169.254.169.254/latest',
    'http://[::1]/a.mp4',
    'http://10.1.2.3/',
    'http://localhost/a.mp4',
  ])('refuses the private address %s', async (url) => {
    const answer = await post().send({ url });
    expect([answer.status, answer.body.code]).toEqual([400, 'address_refused']);
  });

  it.each(['file:///etc/passwd', 'gopher://x', 'nonsense'])('refuses %s', async (url) => {
    const answer = await post().send({ url });
    expect([answer.status, answer.body.code]).toEqual([400, 'request_invalid']);
    expect(answer.body.detail).toBe('url: must be an http or https address');
  });

  it('takes a public address, named after its file', async () => {
    const answer = await post().send({ url: 'http://93.184.215.14/videos/My%20talk.mp4?x=1', metadata: { a: 'b' } });
    expect(answer.status).toBe(202);
    expect(answer.body).toMatchObject({
      status: 'queued',
      title: 'My talk',
      filename: 'My talk.mp4',
      source: { kind: 'url', url: 'http://93.184.215.14/videos/My%20talk.mp4?x=1' },
    });
  });

  it('honours the Idempotency-Key', async () => {
    const url = 'http://93.184.215.14/b.mp4';
    const first = await post().set('idempotency-key', 'url').send({ url });
    const second = await post().set('idempotency-key', 'url').send({ url });
    expect(second.body.id).toBe(first.body.id);
    const other = await post().set('idempotency-key', 'url').send({ url, title: 'x' });
    expect(other.status).toBe(422);
  });

  it('refuses unknown fields', async () => {
    const answer = await post().send({ url: 'http://93.184.215.14/b.mp4', colour: 'red' });
    expect(answer.body.code).toBe('request_invalid');
  });
});
