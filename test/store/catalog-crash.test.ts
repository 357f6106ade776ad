import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Catalog, connectRedis, newId, type Video } from '#store';
import { type RedisFixture, startRedis } from '../fixtures/redis.ts';

let server: RedisFixture;
let catalog: Catalog;
beforeEach(async () => {
  server = await startRedis();
  const redis = connectRedis(server.url);
  redis.on('error', () => {});
  catalog = new Catalog(redis);
});
afterEach(async () => {
  await catalog.close();
  await server.stop();
});

const waiting = { state: 'waiting', doneMs: 0, totalMs: 0 } as const;
const video = (title: string): Video => ({
  id: newId(),
  tenant: 'acme',
  run: 1,
  status: 'queued',
  title,
  filename: 'a.mp4',
  metadata: {},
  source: { kind: 'upload' },
  stages: { probe: waiting, frames: waiting, speech: waiting, finalize: waiting },
  warnings: [],
  counts: { frames: 0, passages: 0 },
  createdAt: 1,
  updatedAt: 1,
});

describe('when redis-server is killed (kill -9) and started again', () => {
  it('nothing that was acknowledged is lost, and calls made meanwhile are carried out once', async () => {
    const acknowledged: string[] = [];
    let stop = false;
    const writers = Array.from({ length: 8 }, async () => {
      while (!stop) {
        const next = video('written');
        await catalog.createVideo(next);
        acknowledged.push(next.id);
      }
    });
    for (let crash = 0; crash < 3; crash++) {
      const before = acknowledged.length;
      while (acknowledged.length < before + 20) await sleep(5);
      await server.kill();
      await server.start();
    }
    stop = true;
    await Promise.all(writers);
    const listed = new Set<string>();
    for (let cursor: string | undefined, more = true; more; more = cursor !== undefined) {
      const page = await catalog.listVideos('acme', { limit: 100, cursor });
      for (const { id } of page.videos) listed.add(id);
      cursor = page.nextCursor;
    }
    expect(acknowledged.filter((id) => !listed.has(id))).toEqual([]);
    expect(listed.size).toBe(acknowledged.length);
  });
  it('every call that was made while it was away waits for it', async () => {
    const { id } = video('a');
    await server.kill();
    const hook = { id: 'hook', tenant: 'acme', url: 'https://example.com', secret: 's', events: [], createdAt: 1 };
    const calls = Promise.all([
      catalog.createVideo({ ...video('a'), id }),
      catalog.webhooks.create({ ...hook, events: ['video.ready'] }),
      catalog.claimIdempotencyKey('acme', 'key', 'f'),
      catalog.announceWorker({ id: 'w', ready: true }),
    ]);
    await sleep(300);
    await server.start();
    await calls;
    expect(await catalog.getVideo('acme', id)).toBeDefined();
    expect(await catalog.webhooks.list('acme')).toHaveLength(1);
    expect(await catalog.listWorkers()).toHaveLength(1);
  });
  it('a guarded change whose answer was lost is not refused by its own effect when it is sent again', async () => {
    const added = video('a');
    await catalog.createVideo(added);
    // A proxy would do the same: the server carries the command out, the connection breaks before the answer.
    const twice = async <T>(call: () => Promise<T>): Promise<T> => {
      const scripted = catalog.redis as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
      const name = 'cuepointChangeVideo';
      const send = scripted[name]?.bind(catalog.redis) as (...args: unknown[]) => Promise<unknown>;
      scripted[name] = async (...args) => {
        await send(...args);
        return send(...args);
      };
      try {
        return await call();
      } finally {
        scripted[name] = send;
      }
    };
    const ref = { tenant: 'acme', videoId: added.id };
    expect((await twice(() => catalog.patchVideo(ref, { status: 'failed' }, { status: ['queued'] })))?.status).toBe(
      'failed',
    );
    expect((await twice(() => catalog.startRun(ref, ['failed', 'queued'])))?.run).toBe(2);
    expect(await twice(() => catalog.markDeleting('acme', added.id))).toBe(true);
    await twice(() => catalog.createVideo(video('b')));
  });
  it('a watcher goes on with the next change, and one that was aborted meanwhile ends at once', async () => {
    const added = video('before');
    await catalog.createVideo(added);
    const stop = new AbortController();
    const watch = catalog.watch('acme', added.id, stop.signal);
    const aborted = catalog.watch('acme', added.id, stop.signal);
    const going = catalog.watch('acme', added.id, new AbortController().signal);
    for (const each of [watch, aborted, going]) expect((await each.next()).value.title).toBe('before');
    const next = going.next();
    await server.kill();
    const ended = aborted.next();
    stop.abort();
    expect((await ended).done).toBe(true);
    expect((await watch.next()).done).toBe(true);
    const patching = catalog.patchVideo({ tenant: 'acme', videoId: added.id }, { title: 'after' });
    await server.start();
    await patching;
    expect((await next).value.title).toBe('after');
    await catalog.patchVideo({ tenant: 'acme', videoId: added.id }, { title: 'later' });
    expect((await going.next()).value.title).toBe('later');
  });
  it('a change whose message never came is seen within a few seconds', async () => {
    const added = video('before');
    await catalog.createVideo(added);
    const watch = catalog.watch('acme', added.id, new AbortController().signal);
    await watch.next();
    const next = watch.next();
    await sleep(1000); // past the rings of a new subscription
    const [key] = (await catalog.redis.keys('*:video:*')) as [string];
    await catalog.redis.hset(key, 'title', JSON.stringify('unheard'));
    expect((await next).value.title).toBe('unheard');
  });
  it('a catalog can be closed while the server is away', async () => {
    await server.kill();
    const read = catalog.getVideo('acme', newId());
    const refused = expect(read).rejects.toThrow();
    await sleep(50);
    await catalog.close();
    await refused;
  });
});
