import { getEventListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { Catalog, connectRedis, newId, StoreAway, type Video, type VideoStatus } from '#store';
import { type RedisFixture, startRedis } from '../fixtures/redis.ts';

let server: RedisFixture;
let catalog: Catalog;
const open = () => new Catalog(connectRedis(server.url));
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());
beforeEach(async () => {
  catalog = open();
  await catalog.redis.flushall();
});
afterEach(() => catalog.close());

function video(changes: Partial<Video> = {}): Video {
  const waiting = () => ({ state: 'waiting', doneMs: 0, totalMs: 0 }) as const;
  return {
    id: newId(),
    tenant: 'acme',
    run: 1,
    status: 'queued',
    title: 'Keynote “2026” \u{1F3AC} \ud800',
    filename: 'keynote.mp4',
    metadata: {},
    source: { kind: 'upload', blobKey: 'acme/x/source', sizeBytes: 20 * 1024 ** 3 },
    stages: { probe: waiting(), frames: waiting(), speech: waiting(), finalize: waiting() },
    warnings: [],
    counts: { frames: 0, passages: 0 },
    createdAt: 1_700_000_000_000,
    updatedAt: 1_700_000_000_000,
    ...changes,
  };
}
async function add(changes: Partial<Video> = {}) {
  const added = video(changes);
  await catalog.createVideo(added);
  return { ...added, ref: { tenant: added.tenant, videoId: added.id, run: added.run } };
}
async function unfinished() {
  const all: string[] = [];
  for await (const each of catalog.unfinished()) all.push(`${each.tenant} ${each.videoId} ${each.run} ${each.status}`);
  return all.sort();
}
const titles = (page: { videos: Video[] }) => page.videos.map(({ title }) => title);

describe('a video in the catalog', () => {
  it('is read as it was written, down to lone surrogates, empty lists and fractions', async () => {
    const whole = video({
      language: 'en',
      metadata: { 'key "quoted"': 'välue\n' },
      media: {
        container: 'mp4',
        durationMs: 7_200_123.456789012,
        startMs: 0,
        audio: { codec: 'aac', channels: 2, sampleRate: 48000 },
      },
      models: { profile: 'tiny' },
    });
    await catalog.createVideo(whole);
    expect(await catalog.getVideo('acme', whole.id)).toEqual(whole);
  });
  it('has a name, which is read without the rest; not of what is being deleted, is not there, or is of another tenant', async () => {
    const [first, second, gone, other] = [
      await add({ metadata: { a: 'b' } }),
      await add(),
      await add(),
      await add({ tenant: 'other' }),
    ];
    await catalog.markDeleting('acme', gone.id);
    const names = await catalog.namesOf('acme', [first.id, newId(), second.id, gone.id, other.id]);
    expect([...names]).toEqual([
      [first.id, { title: first.title, metadata: { a: 'b' }, createdAt: first.createdAt }],
      [second.id, { title: second.title, metadata: {}, createdAt: second.createdAt }],
    ]);
    expect(await catalog.namesOf('acme', [])).toEqual(new Map());
  });
  it('is listed by name, newest first, and told of when what it is called has changed', async () => {
    expect(await catalog.renamedSince('acme', 0)).toEqual({ ids: [], mark: 0 });
    const [first, second] = [await add({ title: 'first' }), await add({ title: 'second' })];
    await add({ tenant: 'other' });
    const page = await catalog.listNames('acme', { limit: 1 });
    expect([...page.names.values()].map(({ title }) => title)).toEqual(['second']);
    const rest = await catalog.listNames('acme', { limit: 5, before: second.id });
    expect([[...rest.names.keys()], rest.last]).toEqual([[first.id], first.id]);
    expect(await catalog.listNames('acme', { limit: 5, before: first.id })).toEqual({ names: new Map() });

    let { ids, mark } = await catalog.renamedSince('acme', 0);
    expect(ids).toEqual([first.id, second.id]);
    const changed = async () => {
      ({ ids, mark } = await catalog.renamedSince('acme', mark));
      return ids;
    };
    await catalog.setStage(first.ref, 'probe', { state: 'active' });
    await catalog.patchVideo(first.ref, { status: 'indexing' });
    expect(await changed()).toEqual([]);
    const media = { container: 'mp4', durationMs: 9000, startMs: 0, recordedAt: 1_600_000_000_000 };
    for (const patch of [{ title: 'changed' }, { metadata: { a: 'b' } }, { media }]) {
      await catalog.patchVideo(first.ref, patch);
      expect(await changed()).toEqual([first.id]);
    }
    expect((await catalog.namesOf('acme', [first.id])).get(first.id)).toEqual({
      ...{ title: 'changed', metadata: { a: 'b' } },
      ...{ createdAt: first.createdAt, durationMs: 9000, recordedAt: media.recordedAt },
    });
    await catalog.markDeleting('acme', second.id);
    expect(await changed()).toEqual([second.id]);
    for (let i = 0; i < 1001; i++) await catalog.redis.zadd('{cuepoint}:renamed:acme', mark + i + 2, `v${i}`);
    await catalog.patchVideo(first.ref, { title: 'one of many' });
    expect(await changed()).toBeUndefined();
    expect(await changed()).toEqual([]);
  });
  it('is not written over by a second one of the same id', async () => {
    const first = await add({ title: 'first' });
    await expect(catalog.createVideo(video({ id: first.id, title: 'second' }))).rejects.toThrow(/already/);
    expect((await catalog.getVideo('acme', first.id))?.title).toBe('first');
  });
  it('belongs to its tenant: another one neither reads, lists, changes nor deletes it', async () => {
    const { id, ref } = await add();
    const other = { ...ref, tenant: 'other' };
    expect(await catalog.getVideo('other', id)).toBeUndefined();
    expect(await catalog.listVideos('other', { limit: 10 })).toEqual({ videos: [] });
    expect(await catalog.patchVideo(other, { title: 'stolen' })).toBeUndefined();
    expect(await catalog.setStage(other, 'probe', { state: 'done' })).toBe(false);
    expect(await catalog.reportProgress(other, { stage: 'frames', shard: 0, doneMs: 1 })).toBe(false);
    expect(await catalog.startRun(other, ['queued'])).toBeUndefined();
    expect(await catalog.markDeleting('other', id)).toBe(false);
    await catalog.removeVideo('other', id);
    expect((await catalog.getVideo('acme', id))?.title).toBe(video().title);
    expect(await unfinished()).toEqual([`acme ${id} 1 queued`]);
  });
  it('cannot be reached through a tenant or an id with separators in it', async () => {
    const { id } = await add({ tenant: 'a' });
    expect(await catalog.getVideo('a:x', id)).toBeUndefined();
    expect(await catalog.getVideo('', `a:${id}`)).toBeUndefined();
  });
  it('loses no update when two processes change different fields of it at once', async () => {
    const { id, ref } = await add();
    const second = open();
    onTestFinished(() => second.close());
    const rounds = Array.from({ length: 100 }, (_, index) => index);
    await Promise.all([
      ...rounds.map((n) => catalog.patchVideo(ref, { title: `title ${n}` })),
      ...rounds.map((n) => second.patchVideo(ref, { metadata: { n: String(n) } })),
      ...rounds.map((n) => second.setStage(ref, 'frames', { state: 'active', totalMs: 1000 + n })),
      ...rounds.map((n) => catalog.setStage(ref, 'speech', { state: 'active', totalMs: 2000 + n })),
      ...rounds.map((n) => second.reportProgress(ref, { stage: 'frames', shard: n % 10, doneMs: n })),
    ]);
    const end = await catalog.getVideo('acme', id);
    expect(end).toMatchObject({ title: 'title 99', metadata: { n: '99' } });
    expect(end?.stages.frames).toEqual({ state: 'active', totalMs: 1099, doneMs: 945 });
    expect(end?.stages.speech).toEqual({ state: 'active', totalMs: 2099, doneMs: 0 });
  });
  it('is started by one of two processes that both want to start it, never by both', async () => {
    const second = open();
    onTestFinished(() => second.close());
    for (let round = 0; round < 20; round++) {
      const { ref } = await add({ status: 'failed' });
      const results = await Promise.all([catalog.startRun(ref, ['failed']), second.startRun(ref, ['failed'])]);
      expect(results.filter((result) => result?.run === 2)).toHaveLength(1);
      expect(results.filter((result) => result === undefined)).toHaveLength(1);
    }
  });
  it('is changed only in the run and the statuses that the guard names', async () => {
    const { ref } = await add({ run: 3, status: 'indexing' });
    expect(await catalog.patchVideo(ref, { title: 'no' }, { run: 2 })).toBeUndefined();
    expect(await catalog.patchVideo(ref, { title: 'no' }, { status: ['ready', 'failed'] })).toBeUndefined();
    expect(await catalog.patchVideo(ref, { title: 'yes' }, { run: 3, status: ['queued', 'indexing'] })).toMatchObject({
      title: 'yes',
      status: 'indexing',
    });
  });
  it('drops an optional field that a patch gives as undefined, and keeps a required one', async () => {
    const { ref } = await add({ language: 'de', error: { code: 'x', message: 'x' } });
    const patched = await catalog.patchVideo(ref, { language: undefined, error: undefined, title: undefined });
    expect(patched).not.toHaveProperty('language');
    expect(patched).not.toHaveProperty('error');
    expect(patched?.title).toBe(video().title);
  });
  it('has a time of change that goes forward with each change, of progress too, and never back', async () => {
    const { id, ref } = await add();
    const patched = await catalog.patchVideo(ref, { title: 'b' });
    expect(Date.now() - (patched?.updatedAt ?? 0)).toBeLessThan(5000);
    await sleep(5);
    await catalog.reportProgress(ref, { stage: 'frames', shard: 0, doneMs: 1 });
    const reported = await catalog.getVideo('acme', id);
    expect(reported?.updatedAt).toBeGreaterThan(patched?.updatedAt ?? 0);
    const ahead = await add({ updatedAt: Date.now() + 60_000 });
    expect((await catalog.patchVideo(ahead.ref, { title: 'c' }))?.updatedAt).toBe(ahead.updatedAt);
  });
});

describe('progress', () => {
  it('is the sum over shards, never goes back, and never passes the total', async () => {
    const { id, ref } = await add({ status: 'indexing' });
    await catalog.setStage(ref, 'frames', { state: 'active', totalMs: 1000 });
    const report = (shard: number, doneMs: number) => catalog.reportProgress(ref, { stage: 'frames', shard, doneMs });
    const done = async () => (await catalog.getVideo('acme', id))?.stages.frames.doneMs;
    expect(await report(0, 300)).toBe(true);
    expect(await report(1, 200)).toBe(true);
    expect(await done()).toBe(500);
    expect(await report(0, 100)).toBe(true);
    expect(await done()).toBe(500);
    await report(1, 900);
    expect(await done()).toBe(1000);
  });
  it.each<VideoStatus>(['cancelled', 'deleting'])('tells the jobs of a %s video to stop', async (status) => {
    const { ref } = await add({ status: 'indexing' });
    await catalog.patchVideo(ref, { status });
    expect(await catalog.reportProgress(ref, { stage: 'speech', shard: 0, doneMs: 1 })).toBe(false);
    expect(await catalog.setStage(ref, 'speech', { state: 'done' })).toBe(false);
  });
  it('of an older run is refused, and a new run begins at zero without the old errors', async () => {
    const { id, ref } = await add({ status: 'indexing', warnings: [{ code: 'w', message: 'w' }], startedAt: 5 });
    await catalog.setStage(ref, 'frames', { state: 'failed', totalMs: 1000, error: { code: 'e', message: 'e' } });
    await catalog.reportProgress(ref, { stage: 'frames', shard: 0, doneMs: 400 });
    await catalog.patchVideo(ref, { status: 'failed', error: { code: 'e', message: 'e' }, finishedAt: 6 });
    const started = await catalog.startRun(ref, ['failed', 'cancelled']);
    expect(started).toMatchObject({ run: 2, status: 'queued', warnings: [] });
    for (const field of ['error', 'startedAt', 'finishedAt']) expect(started).not.toHaveProperty(field);
    expect(started?.stages.frames).toEqual({ state: 'waiting', doneMs: 0, totalMs: 0 });
    expect(await catalog.reportProgress(ref, { stage: 'frames', shard: 0, doneMs: 500 })).toBe(false);
    expect(await catalog.setStage(ref, 'frames', { state: 'done' })).toBe(false);
    expect(await catalog.getVideo('acme', id)).toEqual(started);
  });
});

describe('deleting a video', () => {
  it('hides it at once, keeps it among the unfinished until it is removed, and leaves no key behind', async () => {
    const { id, ref } = await add({ status: 'ready' });
    await catalog.reportProgress(ref, { stage: 'frames', shard: 0, doneMs: 1 });
    expect(await unfinished()).toEqual([]);
    expect(await catalog.markDeleting('acme', id)).toBe(true);
    expect(await catalog.markDeleting('acme', id)).toBe(false);
    expect(await catalog.getVideo('acme', id)).toBeUndefined();
    expect(await catalog.listVideos('acme', { limit: 10 })).toEqual({ videos: [] });
    expect(await unfinished()).toEqual([`acme ${id} 1 deleting`]);
    await catalog.removeVideo('acme', id);
    expect(await unfinished()).toEqual([]);
    expect(await catalog.redis.keys('*')).toEqual([]);
  });
  it('is final: no late change of a job brings it back', async () => {
    const { id, ref } = await add({ status: 'indexing' });
    const late = async () => {
      expect(await catalog.patchVideo(ref, { status: 'ready' })).toBeUndefined();
      expect(await catalog.setStage(ref, 'frames', { state: 'done' })).toBe(false);
      expect(await catalog.reportProgress(ref, { stage: 'frames', shard: 0, doneMs: 9 })).toBe(false);
      expect(await catalog.startRun(ref, ['indexing', 'ready', 'deleting'])).toBeUndefined();
    };
    await catalog.markDeleting('acme', id);
    await late();
    await catalog.removeVideo('acme', id);
    await late();
    expect(await catalog.redis.keys('*')).toEqual([]);
  });
  it('takes its own webhooks and every delivery about it along, and nothing else', async () => {
    const { id } = await add();
    const hook = { tenant: 'acme', url: 'https://example.com', secret: 'whsec_eA==', events: [], createdAt: 1 };
    await catalog.webhooks.create({ ...hook, id: 'tenant-wide' });
    await catalog.webhooks.create({ ...hook, id: 'of the upload', videoId: id });
    const delivery = {
      tenant: 'acme',
      event: 'video.ready',
      payload: '{}',
      state: 'pending',
      attempts: [],
      createdAt: 1,
    } as const;
    const about = (deliveryId: string, webhookId: string, videoId: string) =>
      catalog.webhooks.createDelivery({
        ...delivery,
        id: deliveryId,
        webhookId,
        videoId,
        attempts: [],
        createdAt: Date.now(),
      });
    await about('d1', 'tenant-wide', id);
    await about('d2', 'of the upload', id);
    await about('d3', 'tenant-wide', newId());
    await catalog.removeVideo('acme', id);
    expect((await catalog.webhooks.list('acme', id)).map((each) => each.id)).toEqual(['tenant-wide']);
    expect((await catalog.webhooks.listDeliveries('acme', 'tenant-wide', 10)).map((each) => each.id)).toEqual(['d3']);
    expect(await catalog.webhooks.get('acme', 'of the upload')).toBeUndefined();
    expect(await catalog.webhooks.getDelivery('acme', 'd2')).toBeUndefined();
  });
});

describe('an upload', () => {
  it('that is silent is given up: nothing makes a video of it any more, and it is told of until its end', async () => {
    const [alive, dead, accepted] = [video(), video(), video()];
    for (const { tenant, id } of [alive, dead, accepted]) await catalog.beginUpload(tenant, id);
    await catalog.createVideo(accepted, { begun: true });
    expect(await catalog.abandonedUploads()).toEqual([]);
    const { redis } = catalog;
    await redis.zadd('{cuepoint}:uploads', Math.round(Date.now() / 1000) - 25 * 3600, `${dead.tenant}:${dead.id}`);
    const givenUp = [{ tenant: dead.tenant, videoId: dead.id }];
    for (let round = 0; round < 2; round++) expect(await catalog.abandonedUploads()).toEqual(givenUp);
    // Its machine slept for a day.
    const late = () => expect(catalog.createVideo(dead, { begun: true })).rejects.toBeInstanceOf(StoreAway);
    await late();
    await catalog.endUpload(dead.tenant, dead.id, true);
    await late();
    await catalog.createVideo(alive, { begun: true });
    expect(await redis.exists('{cuepoint}:uploads')).toBe(0);
  });

  it('to a video is accepted in the step that names it, or not at all, and what it replaces is left in that step', async () => {
    const given = video();
    await catalog.createVideo(given);
    const { tenant, id } = given;
    const ref = { tenant, videoId: id };
    const give = async (name: string) => {
      const captionsFile = { sha256: 'x', name };
      const left = (await catalog.getVideo(tenant, id))?.captionsFile?.name;
      return (
        await catalog.patchVideo(ref, { captionsFile }, { begun: `${id}/${name}`, left: left && `${id}/${left}` })
      )?.captionsFile?.name;
    };
    expect(await give('never begun')).toBeUndefined();
    await catalog.beginUpload(tenant, `${id}/a`);
    expect(await give('a')).toBe('a');
    await catalog.beginUpload(tenant, `${id}/b`);
    await catalog.endUpload(tenant, `${id}/b`, false);
    expect(await give('b')).toBeUndefined();
    await catalog.beginUpload(tenant, `${id}/c`);
    expect(await give('c')).toBe('c');
    const left = (await catalog.abandonedUploads()).map(({ videoId }) => videoId);
    expect(left.sort()).toEqual([`${id}/a`, `${id}/b`]);
    for (const each of left) await catalog.endUpload(tenant, each, true);
  });
});

describe('the list of videos', () => {
  it('is newest first and pages through all of them once, also while videos come and go', async () => {
    const ids = [];
    for (let n = 0; n < 25; n++) ids.push((await add({ title: String(n) })).id);
    const first = await catalog.listVideos('acme', { limit: 10 });
    expect(titles(first)).toEqual(['24', '23', '22', '21', '20', '19', '18', '17', '16', '15']);
    await add({ title: 'newer' });
    await catalog.markDeleting('acme', ids[15] as string);
    await catalog.removeVideo('acme', ids[14] as string);
    const second = await catalog.listVideos('acme', { limit: 10, cursor: first.nextCursor });
    expect(titles(second)).toEqual(['13', '12', '11', '10', '9', '8', '7', '6', '5', '4']);
    const third = await catalog.listVideos('acme', { limit: 10, cursor: second.nextCursor });
    expect(titles(third)).toEqual(['3', '2', '1', '0']);
    expect(third.nextCursor).toBeUndefined();
  });
  it('filtered by status costs no more than its own page, whatever lies between', async () => {
    await add({ title: 'old', status: 'failed' });
    for (let n = 0; n < 300; n++) await add({ title: String(n), status: 'ready' });
    await add({ title: 'new', status: 'failed' });
    const first = await catalog.listVideos('acme', { limit: 1, status: 'failed' });
    expect(titles(first)).toEqual(['new']);
    const second = await catalog.listVideos('acme', { limit: 1, status: 'failed', cursor: first.nextCursor });
    expect(titles(second)).toEqual(['old']);
    expect(second.nextCursor).toBeUndefined();
  });
  it('follows a video from status to status', async () => {
    const { id, ref } = await add();
    const listed = async () => {
      const found = [];
      for (const status of ['queued', 'indexing', 'ready', 'failed', 'cancelled', 'deleting'] as const) {
        if ((await catalog.listVideos('acme', { limit: 9, status })).videos.length) found.push(status);
      }
      return found;
    };
    expect(await listed()).toEqual(['queued']);
    for (const status of ['indexing', 'ready', 'failed', 'cancelled'] as const) {
      await catalog.patchVideo(ref, { status });
      expect(await listed()).toEqual([status]);
      expect(await unfinished()).toEqual(status === 'indexing' ? [`acme ${id} 1 indexing`] : []);
    }
    await catalog.startRun(ref, ['cancelled']);
    expect(await listed()).toEqual(['queued']);
    expect(await unfinished()).toEqual([`acme ${id} 2 queued`]);
  });
  it.each([
    '',
    'x',
    '****',
    Buffer.from('not an id').toString('base64url'),
    `${Buffer.from(newId()).toString('base64url')}=`,
  ])('refuses the cursor %j with cursor_invalid', async (cursor) => {
    await expect(catalog.listVideos('acme', { limit: 5, cursor })).rejects.toMatchObject({
      name: 'StoreError',
      code: 'cursor_invalid',
    });
  });
  it('of unfinished ones reaches all tenants and more videos than one page', async () => {
    for (let n = 0; n < 150; n++) await add({ tenant: n % 2 ? 'acme' : 'a_b-C' });
    const all = await unfinished();
    expect(new Set(all)).toHaveProperty('size', 150);
    expect(all.filter((line) => line.startsWith('a_b-C '))).toHaveLength(75);
  });
});

describe('watching a video', () => {
  async function subscribers() {
    const channels = (await catalog.redis.pubsub('CHANNELS', '*')) as string[];
    return channels.length;
  }
  async function until(reached: () => Promise<boolean>) {
    while (!(await reached())) await sleep(10);
  }

  it('yields it now and after each change of another process, and ends when it is deleted', async () => {
    const { id, ref } = await add({ title: 'a' });
    const second = open();
    onTestFinished(() => second.close());
    const watch = catalog.watch('acme', id, new AbortController().signal);
    expect((await watch.next()).value.title).toBe('a');
    await second.patchVideo(ref, { title: 'b' });
    expect((await watch.next()).value.title).toBe('b');
    await second.setStage(ref, 'frames', { state: 'active', totalMs: 100 });
    await second.reportProgress(ref, { stage: 'frames', shard: 0, doneMs: 50 });
    let now: Video = (await watch.next()).value;
    while (now.stages.frames.doneMs !== 50) now = (await watch.next()).value;
    await second.markDeleting('acme', id);
    expect(await watch.next()).toEqual({ done: true, value: undefined });
    await until(async () => (await subscribers()) === 0);
  });
  it('makes a burst of changes a few, of which the last is the last', async () => {
    const { id, ref } = await add();
    const seen: string[] = [];
    const stop = new AbortController();
    const watching = (async () => {
      for await (const each of catalog.watch('acme', id, stop.signal)) {
        seen.push(each.title);
        if (each.title === '499') stop.abort();
      }
    })();
    for (let n = 0; n < 500; n++) await catalog.patchVideo(ref, { title: String(n) });
    await watching;
    expect(seen.at(-1)).toBe('499');
    expect(seen.length).toBeLessThan(25);
  });
  it('is read once for all who watch, who are told in turns that leave room for other work', async () => {
    const { id, ref } = await add();
    const stop = new AbortController();
    const watches = Array.from({ length: 200 }, () => catalog.watch('acme', id, stop.signal));
    await Promise.all(watches.map((watch) => watch.next()));
    let turn = 0;
    const toldIn = new Set<number>();
    const waiting = watches.map((watch) => watch.next().finally(() => toldIn.add(turn)));
    const count = () => {
      turn++;
      if (!stop.signal.aborted) setImmediate(count);
    };
    count();
    await catalog.patchVideo(ref, { title: 'b' });
    const records = new Set((await Promise.all(waiting)).map(({ value }) => value));
    stop.abort();
    expect([...records].map(({ title }) => title)).toEqual(['b']);
    expect(toldIn.size).toBeGreaterThan(1);
  });
  it('of nothing ends at once', async () => {
    const watch = catalog.watch('acme', newId(), new AbortController().signal);
    expect((await watch.next()).done).toBe(true);
  });
  it('ends when aborted and leaves no listener and no subscription behind', async () => {
    const { id } = await add();
    const stop = new AbortController();
    const watches = Array.from({ length: 20 }, () => catalog.watch('acme', id, stop.signal));
    await Promise.all(watches.map((watch) => watch.next()));
    await until(async () => (await subscribers()) === 1);
    const waiting = watches.map((watch) => watch.next());
    stop.abort();
    for (const end of await Promise.all(waiting)) expect(end.done).toBe(true);
    expect(getEventListeners(stop.signal, 'abort')).toHaveLength(0);
    await until(async () => (await subscribers()) === 0);
    const clients = String(await catalog.redis.client('LIST'))
      .trim()
      .split('\n');
    expect(clients).toHaveLength(2);
  });
  it('ends when its reader leaves while it waits, and when the catalog is closed', async () => {
    const { id } = await add();
    const signal = new AbortController().signal;
    const left = catalog.watch('acme', id, signal);
    await left.next();
    const waiting = left.next();
    await left.return(undefined);
    expect((await waiting).done).toBe(true);
    const second = open();
    const closed = second.watch('acme', id, signal);
    await closed.next();
    const last = closed.next();
    await second.close();
    expect((await last).done).toBe(true);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });
});

describe('an Idempotency-Key', () => {
  it('is won by one of many requests at once, over all processes', async () => {
    const second = open();
    onTestFinished(() => second.close());
    const claims = await Promise.all(
      Array.from({ length: 40 }, (_, n) => (n % 2 ? catalog : second).claimIdempotencyKey('acme', 'key', 'same')),
    );
    expect(claims.filter(({ state }) => state === 'new')).toHaveLength(1);
    expect(claims.filter(({ state }) => state === 'in_progress')).toHaveLength(39);
  });
  it('gives the video it led to, for a day, and refuses another request under the same key', async () => {
    expect(await catalog.claimIdempotencyKey('acme', 'key', 'upload 1')).toEqual({ state: 'new' });
    expect(await catalog.claimIdempotencyKey('acme', 'key', 'upload 2')).toEqual({ state: 'mismatch' });
    await catalog.finishIdempotencyKey('acme', 'key', 'the-video');
    expect(await catalog.claimIdempotencyKey('acme', 'key', 'upload 1')).toEqual({
      state: 'done',
      videoId: 'the-video',
    });
    expect(await catalog.claimIdempotencyKey('acme', 'key', 'upload 2')).toEqual({ state: 'mismatch' });
    expect(await catalog.claimIdempotencyKey('other', 'key', 'upload 2')).toEqual({ state: 'new' });
    const [key] = (await catalog.redis.keys('*:acme:*')) as [string];
    expect(Math.round((await catalog.redis.pttl(key)) / 3600_000)).toBe(24);
  });
  it('is free again once released, but not once finished', async () => {
    await catalog.claimIdempotencyKey('acme', 'key', 'f');
    await catalog.releaseIdempotencyKey('acme', 'key');
    expect(await catalog.claimIdempotencyKey('acme', 'key', 'other request')).toEqual({ state: 'new' });
    await catalog.finishIdempotencyKey('acme', 'key', 'v');
    await catalog.releaseIdempotencyKey('acme', 'key');
    expect(await catalog.claimIdempotencyKey('acme', 'key', 'other request')).toEqual({ state: 'done', videoId: 'v' });
  });
  it('stays claimed during a long upload, and is free soon after the process that claimed it died', async () => {
    const uploading = new Catalog(connectRedis(server.url), { claimMs: 300 });
    await uploading.claimIdempotencyKey('acme', 'key', 'f');
    await sleep(900);
    expect(await catalog.claimIdempotencyKey('acme', 'key', 'f')).toEqual({ state: 'in_progress' });
    await uploading.close();
    await sleep(400);
    expect(await catalog.claimIdempotencyKey('acme', 'key', 'f')).toEqual({ state: 'new' });
  });
});
