import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Catalog, connectRedis, type Delivery, durabilityRisks, newId, type Webhook } from '#store';
import { type RedisFixture, startRedis } from '../fixtures/redis.ts';

let server: RedisFixture;
let catalog: Catalog;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());
beforeEach(async () => {
  catalog = new Catalog(connectRedis(server.url));
  await catalog.redis.flushall();
});
afterEach(() => catalog.close());

async function addWebhook(changes: Partial<Webhook> = {}): Promise<Webhook> {
  const webhook: Webhook = {
    id: newId(),
    tenant: 'acme',
    url: 'https://example.com/hook',
    secret: 'whsec_c2VjcmV0',
    events: ['video.ready', 'video.failed'],
    createdAt: Date.now(),
    ...changes,
  };
  await catalog.webhooks.create(webhook);
  return webhook;
}
async function addDelivery(webhookId: string, changes: Partial<Delivery> = {}): Promise<Delivery> {
  const delivery: Delivery = {
    id: newId(),
    tenant: 'acme',
    webhookId,
    videoId: 'v',
    event: 'video.ready',
    payload: '{"type":"video.ready","title":"“ä” \\ud83c"}',
    state: 'pending',
    attempts: [],
    createdAt: Date.now(),
    ...changes,
  };
  await catalog.webhooks.createDelivery(delivery);
  return delivery;
}

describe('webhooks', () => {
  it('are read and listed by their tenant only, oldest first', async () => {
    const newer = await addWebhook({ createdAt: 2 });
    const older = await addWebhook({ createdAt: 1 });
    await addWebhook({ tenant: 'other' });
    expect(await catalog.webhooks.list('acme')).toEqual([older, newer]);
    expect(await catalog.webhooks.get('acme', newer.id)).toEqual(newer);
    expect(await catalog.webhooks.get('other', newer.id)).toBeUndefined();
    expect(await catalog.webhooks.delete('other', newer.id)).toBe(false);
    expect(await catalog.webhooks.list('acme')).toHaveLength(2);
  });
  it('of one upload are listed with that video only', async () => {
    const general = await addWebhook({ createdAt: 1 });
    const special = await addWebhook({ createdAt: 2, videoId: 'v1' });
    expect(await catalog.webhooks.list('acme')).toEqual([general]);
    expect(await catalog.webhooks.list('acme', 'v1')).toEqual([general, special]);
    expect(await catalog.webhooks.list('acme', 'v2')).toEqual([general]);
  });
  it('take their deliveries along when deleted, however many', async () => {
    const { id } = await addWebhook();
    const kept = await addDelivery((await addWebhook()).id);
    const gone = [];
    for (let n = 0; n < 250; n++) gone.push(await addDelivery(id));
    expect(await catalog.webhooks.delete('acme', id)).toBe(true);
    expect(await catalog.webhooks.delete('acme', id)).toBe(false);
    expect(await catalog.webhooks.listDeliveries('acme', id, 10)).toEqual([]);
    expect(await catalog.webhooks.getDelivery('acme', gone[249]?.id as string)).toBeUndefined();
    expect(await catalog.webhooks.getDelivery('acme', kept.id)).toEqual(kept);
    const late = await addDelivery(id);
    expect(await catalog.webhooks.getDelivery('acme', late.id)).toBeUndefined();
  });
});

describe('deliveries', () => {
  it('are written once, however often their job runs', async () => {
    const { id } = await addWebhook();
    const delivery = await addDelivery(id);
    await catalog.webhooks.recordAttempt('acme', delivery.id, { at: 1, status: 200, durationMs: 3 }, 'delivered');
    await addDelivery(id, { id: delivery.id, payload: 'other' });
    expect(await catalog.webhooks.listDeliveries('acme', id, 10)).toEqual([
      { ...delivery, state: 'delivered', attempts: [{ at: 1, status: 200, durationMs: 3 }] },
    ]);
    expect(await catalog.webhooks.getDelivery('other', delivery.id)).toBeUndefined();
  });
  it('keep each attempt, also those of two processes at once', async () => {
    const { id } = await addDelivery((await addWebhook()).id);
    const second = new Catalog(connectRedis(server.url));
    const attempt = (at: number) => ({ at, error: 'connect ECONNREFUSED, "refused"', durationMs: 1 });
    await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        (n % 2 ? catalog : second).webhooks.recordAttempt('acme', id, attempt(n), 'pending'),
      ),
    );
    await second.close();
    const attempts = (await catalog.webhooks.getDelivery('acme', id))?.attempts ?? [];
    expect(attempts.map(({ at }) => at).sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, n) => n));
    await catalog.webhooks.recordAttempt('acme', 'gone', attempt(1), 'failed');
    expect(await catalog.webhooks.getDelivery('acme', 'gone')).toBeUndefined();
  });
  it('are listed newest first, at most as many as asked for', async () => {
    const { id } = await addWebhook();
    const now = Date.now();
    for (let n = 0; n < 5; n++) await addDelivery(id, { id: String(n), createdAt: now + n });
    expect((await catalog.webhooks.listDeliveries('acme', id, 3)).map((each) => each.id)).toEqual(['4', '3', '2']);
  });
  it('are kept for 30 days', async () => {
    const { id } = await addWebhook();
    const day = 86_400_000;
    await addDelivery(id, { id: 'old', createdAt: Date.now() - 31 * day });
    await addDelivery(id, { id: 'recent', createdAt: Date.now() - 29 * day });
    expect((await catalog.webhooks.listDeliveries('acme', id, 9)).map((each) => each.id)).toEqual(['recent']);
    for (const key of await catalog.redis.keys('*deliver*')) {
      expect(Math.round((await catalog.redis.ttl(key)) / 86_400), key).toBe(30);
    }
  });
});

describe('workers', () => {
  it('are listed with what they said last, until 15 s after they fell silent', async () => {
    await catalog.announceWorker({ id: 'b', ready: false, note: 'downloading models' });
    await catalog.announceWorker({ id: 'a', ready: true, device: 'cpu' });
    await catalog.announceWorker({ id: 'b', ready: true });
    expect(await catalog.listWorkers()).toEqual([
      { id: 'a', ready: true, device: 'cpu' },
      { id: 'b', ready: true },
    ]);
    const [key] = (await catalog.redis.keys('*worker:b')) as [string];
    expect(await catalog.redis.ttl(key)).toBe(15);
    await catalog.redis.pexpire(key, 1);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect((await catalog.listWorkers()).map(({ id }) => id)).toEqual(['a']);
  });
});

describe('the check of the server’s durability', () => {
  it('finds nothing to warn of in a server set up as the product sets it up', async () => {
    expect(await durabilityRisks(catalog.redis)).toEqual([]);
  });
  it('says what is at risk under each setting that can lose something', async () => {
    await catalog.redis.config('SET', 'maxmemory-policy', 'allkeys-lru');
    await catalog.redis.config('SET', 'appendfsync', 'everysec');
    const risks = await durabilityRisks(catalog.redis);
    expect(risks).toEqual([
      expect.stringContaining('maxmemory-policy is allkeys-lru'),
      expect.stringContaining('everysec'),
    ]);
    await catalog.redis.config('SET', 'appendonly', 'no');
    expect(await durabilityRisks(catalog.redis)).toEqual([
      expect.anything(),
      expect.stringContaining('appendonly is off'),
    ]);
  });
});
