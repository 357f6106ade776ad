import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Catalog, connectRedis, newId, type Video } from '#store';
import { importBuilt } from '../fixtures/api.ts';
import { type RedisFixture, startRedis } from '../fixtures/redis.ts';

type NamesModule = typeof import('../../apps/api/search/names.service.ts');
type FilterModule = typeof import('../../apps/api/search/video-filter.ts');

/** What is built works on a catalog of its own kind, on the same Redis as ours. */
type BuiltCatalog = ConstructorParameters<NamesModule['NamesService']>[0];

let server: RedisFixture;
let catalog: Catalog;
let names: InstanceType<NamesModule['NamesService']>;
let NamesService: NamesModule['NamesService'];
let videosOf: FilterModule['videosOf'];
beforeAll(async () => {
  server = await startRedis();
  catalog = new Catalog(connectRedis(server.url));
  ({ NamesService } = await importBuilt<NamesModule>('search/names.service.js'));
  ({ videosOf } = await importBuilt<FilterModule>('search/video-filter.js'));
});
beforeEach(async () => {
  await catalog.redis.flushall();
  names = new NamesService(catalog as unknown as BuiltCatalog);
});
afterAll(async () => {
  await catalog.close();
  await server.stop();
});

async function add(changes: Partial<Video> = {}): Promise<string> {
  const waiting = () => ({ state: 'waiting', doneMs: 0, totalMs: 0 }) as const;
  const video: Video = {
    ...{ id: newId(), tenant: 'acme', run: 1, status: 'queued', title: 'Talk', filename: 'talk.mp4', metadata: {} },
    source: { kind: 'upload', blobKey: 'acme/x/source', sizeBytes: 1 },
    stages: { probe: waiting(), frames: waiting(), speech: waiting(), finalize: waiting() },
    ...{ warnings: [], counts: { frames: 0, passages: 0 }, createdAt: 1_700_000_000_000, updatedAt: 1_700_000_000_000 },
    ...changes,
  };
  await catalog.createVideo(video);
  return video.id;
}
const rename = (videoId: string, title: string) => catalog.patchVideo({ tenant: 'acme', videoId }, { title });
const titleOf = async (id: string) => (await names.of('acme')).byId.get(id)?.title;
const tagged = (course: string) => videosOf(names, 'acme', { filter: { metadata: { course } } });

describe('names in memory', () => {
  it('are as they were when they were asked for, or newer, also while they are being read for others', async () => {
    const id = await add();
    const heard: unknown[] = [];
    for (let i = 0; i < 50; i++) {
      void names.of('acme');
      await rename(id, `Talk ${i}`);
      heard.push(await titleOf(id));
    }
    expect(heard).toEqual(Array.from({ length: 50 }, (_, i) => `Talk ${i}`));
  });

  it('are forgotten with their videos, be it the last of all', async () => {
    const ids = [await add(), await add()];
    await names.of('acme');
    for (const id of ids) {
      await catalog.markDeleting('acme', id);
      await catalog.removeVideo('acme', id);
    }
    const later = await add({ title: 'Later' });
    expect([...(await names.of('acme')).byId].map(([id, { title }]) => [id, title])).toEqual([[later, 'Later']]);
  });

  it('answer filters, which read the catalog where a tenant has more videos than are kept', async () => {
    const oldest = await add({ metadata: { course: 'history' } });
    expect(await tagged('history')).toEqual([oldest]);
    for (let i = 0; i < 10_100; i += 100)
      await Promise.all(Array.from({ length: 100 }, () => add({ metadata: { course: 'biology' } })));
    expect(await tagged('history')).toEqual([oldest]);
    expect((await names.of('acme')).byId.has(oldest)).toBe(false);
    expect((await names.forIds('acme', [oldest], await names.of('acme'))).get(oldest)?.title).toBe('Talk');
    await expect(tagged('biology')).rejects.toThrow(/more than 10000 videos match/);
  });
});
