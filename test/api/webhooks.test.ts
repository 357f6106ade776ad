import request from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { API_KEYS, type ApiFixture, KEYS, startApi } from '../fixtures/api.ts';

let api: ApiFixture;
beforeAll(async () => {
  api = await startApi({ API_KEYS, WEBHOOK_ADDRESSES: 'loopback' });
});
afterAll(() => api?.close());

const as = (key = KEYS.alice) => request.agent(api.url).set('x-api-key', key);
const URL_ = 'http://127.0.0.1:9999/hook';
const create = async () => (await as().post('/v1/webhooks').send({ url: URL_ })).body as { id: string; secret: string };

describe('A webhook', () => {
  it('is created with a secret that is shown once', async () => {
    const answer = await as()
      .post('/v1/webhooks')
      .send({ url: URL_, events: ['video.ready'] });
    expect(answer.status).toBe(201);
    const { secret, ...shown } = answer.body;
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{32,}=*$/);
    expect(shown).toEqual({
      id: expect.any(String),
      url: URL_,
      events: ['video.ready'],
      createdAt: expect.any(String),
    });
    expect(answer.headers.location).toBe(`/v1/webhooks/${shown.id}`);
    expect((await as().get(`/v1/webhooks/${shown.id}`)).body).toEqual(shown);
    expect((await as().get('/v1/webhooks')).body.webhooks).toContainEqual(shown);
  });

  it('hears of everything where nothing is said, and can be deleted', async () => {
    const { id } = await create();
    expect((await as().get(`/v1/webhooks/${id}`)).body.events).toEqual(['video.ready', 'video.failed']);
    expect((await as().delete(`/v1/webhooks/${id}`)).status).toBe(204);
    for (const path of ['', '/deliveries']) {
      const answer = await as().get(`/v1/webhooks/${id}${path}`);
      expect([answer.status, answer.body.code]).toEqual([404, 'webhook_not_found']);
    }
    expect((await as().delete(`/v1/webhooks/${id}`)).status).toBe(404);
  });

  it.each([
    [{ url: 'http://10.0.0.1/x' }, 'address_refused'],
    [{ url: 'http://169.254.169.254/' }, 'address_refused'],
    [{ url: 'ftp://example.com' }, 'request_invalid'],
    [{ url: 'http://127.0.0.1:25/' }, 'url_invalid'],
    [{ url: URL_, events: ['video.deleted'] }, 'request_invalid'],
    [{ url: URL_, events: [] }, 'request_invalid'],
    [{}, 'request_invalid'],
  ])('is refused for %j', async (body, code) => {
    const answer = await as().post('/v1/webhooks').send(body);
    expect([answer.status, answer.body.code]).toEqual([400, code]);
  });

  it('is refused where its tenant has a hundred, until one is deleted', async () => {
    const mine = async () => (await as(KEYS.bob).get('/v1/webhooks')).body.webhooks as { id: string }[];
    const add = () => as(KEYS.bob).post('/v1/webhooks').send({ url: URL_ });
    const answers = await Promise.all(Array.from({ length: 105 }, add));
    const refused = answers.filter(({ status }) => status !== 201).map(({ status, body }) => [status, body.code]);
    expect(refused).toEqual(Array(5).fill([409, 'too_many_webhooks']));
    const all = await mine();
    expect(all).toHaveLength(100);
    for (const { id } of all) await as(KEYS.bob).delete(`/v1/webhooks/${id}`);
    expect((await add()).status).toBe(201);
    await as(KEYS.bob).delete(`/v1/webhooks/${(await mine())[0]?.id}`);
  });

  it('belongs to its tenant', async () => {
    const { id } = await create();
    expect((await as(KEYS.bob).get(`/v1/webhooks/${id}`)).status).toBe(404);
    expect((await as(KEYS.bob).delete(`/v1/webhooks/${id}`)).status).toBe(404);
    expect((await as(KEYS.bob).get('/v1/webhooks')).body).toEqual({ webhooks: [] });
  });
});

describe('A delivery', () => {
  const delivery = (webhookId: string, id: string) => ({
    id,
    tenant: 'alice',
    webhookId,
    videoId: '0190f8a4-5a0e-7b63-9c1d-2f4a6b8c0d1e',
    event: 'video.ready' as const,
    payload: '{"type":"video.ready"}',
    state: 'pending' as const,
    attempts: [],
    createdAt: Date.now(),
  });

  it('is listed with its tries, and can be sent again', async () => {
    const { id } = await create();
    await api.catalog.webhooks.createDelivery(delivery(id, 'msg_1'));
    await api.catalog.webhooks.recordAttempt(
      'alice',
      'msg_1',
      { at: Date.now(), status: 500, durationMs: 12 },
      'failed',
    );
    const { body } = await as().get(`/v1/webhooks/${id}/deliveries`);
    expect(body.deliveries).toEqual([
      {
        id: 'msg_1',
        videoId: expect.any(String),
        event: 'video.ready',
        state: 'failed',
        attempts: [{ at: expect.stringMatching(/Z$/), status: 500, durationMs: 12 }],
        payload: '{"type":"video.ready"}',
        createdAt: expect.any(String),
      },
    ]);
    const again = await as().post(`/v1/webhooks/${id}/deliveries/msg_1/redeliver`);
    expect([again.status, again.body.id]).toEqual([202, 'msg_1']);
    expect((await as().get('/metrics')).text).toMatch(/cuepoint_jobs\{queue="deliver",state="waiting"\} 1/);
  });

  it('is found under its own webhook only', async () => {
    const [one, other] = [await create(), await create()];
    await api.catalog.webhooks.createDelivery(delivery(one.id, 'msg_2'));
    for (const path of [`${other.id}/deliveries/msg_2`, `${one.id}/deliveries/none`]) {
      const answer = await as().post(`/v1/webhooks/${path}/redeliver`);
      expect([answer.status, answer.body.code]).toEqual([404, 'delivery_not_found']);
    }
    expect((await as().get(`/v1/webhooks/${one.id}/deliveries?limit=0`)).body.code).toBe('request_invalid');
  });
});
