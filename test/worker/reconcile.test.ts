import { createReadStream } from 'node:fs';
import { mkdir, readdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Queue } from 'bullmq';
import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { QUEUE_NAMES, QUEUE_PREFIX } from '#jobs';
import { connectRedis } from '#store';
import { checkHandlers } from '../../apps/worker/handler.ts';
import { makeVideo, tempDir } from '../fixtures/media.ts';
import { collect, type System, startSystem, TENANT } from './harness.ts';

let system: System;
let media: Awaited<ReturnType<typeof tempDir>>;
let path: string;
beforeAll(async () => {
  media = await tempDir();
  system = await startSystem();
  path = await makeVideo(media.path, { picture: 'testsrc', seconds: 2 });
});
afterAll(async () => {
  await system?.[Symbol.asyncDispose]();
  await media?.[Symbol.asyncDispose]();
});

const ref = (videoId: string) => ({ tenant: TENANT, videoId, run: 1 });

describe('a worker that starts', () => {
  it('mends what crashes have left between two writes', async () => {
    const [lostPlan, lostFlow, lostCleanup, poison] = await Promise.all([1, 2, 3, 4].map(() => system.addVideo(path)));
    const ids = [lostPlan, lostFlow, lostCleanup, poison].map((video) => video?.id ?? '');
    const [plan, flow, cleanup, deadly] = ids as [string, string, string, string];
    // The api died between the record and its job.
    await system.jobs.removeWaiting(ref(plan));
    // The jobs of a video are gone, whyever.
    await system.jobs.removeWaiting(ref(flow));
    await system.catalog.patchVideo({ tenant: TENANT, videoId: flow }, { status: 'indexing' });
    // The api died between marking a video and asking for its removal.
    await system.catalog.markDeleting(TENANT, cleanup);
    // A video that has ended five workers: BullMQ leaves this mark, and fails the job when it is taken next.
    const redis = connectRedis(system.redis.url);
    const queue = new Queue('plan', { connection: redis, prefix: QUEUE_PREFIX });
    await redis.hset(queue.toKey(`plan-${deadly}-1`), 'defa', 'job stalled more than allowable limit');
    await queue.close();
    redis.disconnect();

    // A worker died while it fetched a file.
    const incoming = join(system.dataDir, 'blobs', '.incoming');
    await mkdir(incoming, { recursive: true });
    await writeFile(join(incoming, 'half'), 'x');
    await utimes(join(incoming, 'half'), new Date(), new Date(Date.now() - 120_000));

    // An api died between the blob of an upload and its record, yesterday; another one has just stored its own.
    const [yesterday, now] = [v7(), v7()];
    for (const id of [yesterday, now]) {
      await system.catalog.beginUpload(TENANT, id);
      await system.blobs.put(`${TENANT}/${id}/source`, createReadStream(path));
    }
    await system.catalog.redis.zadd('{cuepoint}:uploads', Date.now() / 1000 - 25 * 3600, `${TENANT}:${yesterday}`);

    // An api died between captions and the record that was to name them.
    const captions = `${plan}/captions-${v7()}`;
    await system.catalog.beginUpload(TENANT, captions);
    await system.blobs.put(`${TENANT}/${captions}/file`, createReadStream(path));
    await system.catalog.endUpload(TENANT, captions, false);

    await system.startWorker();
    expect(await system.finished(plan)).toMatchObject({ status: 'ready' });
    expect(await system.finished(flow)).toMatchObject({ status: 'ready' });
    expect(await system.finished(deadly)).toMatchObject({ status: 'failed', error: { code: 'worker_crashed' } });
    const unfinished = async () => (await collect(system.catalog.unfinished())).map(({ videoId }) => videoId);
    await expect.poll(unfinished, { timeout: 10_000 }).toEqual([]);
    expect(await readdir(incoming)).not.toContain('half');
    const folders = await readdir(join(system.dataDir, 'blobs', TENANT));
    expect(folders).toEqual(expect.arrayContaining([plan, flow, now]));
    expect(folders).not.toContain(yesterday);
    const kept = await readdir(join(system.dataDir, 'blobs', TENANT, plan));
    expect(kept.sort()).toEqual(['source', 'thumbnails']);
    await expect(createReadStream(`${system.dataDir}/blobs/${TENANT}/${cleanup}/source`).toArray()).rejects.toThrow(
      'ENOENT',
    );
  });

  it('makes its model the active one again where Redis has lost its data meanwhile', async () => {
    await system.catalog.redis.del('{cuepoint}:frames-model');
    const { id } = await system.addVideo(path);
    const { models } = await system.finished(id);
    expect((await system.catalog.framesModel())?.id).toBe(models?.clip);
  });

  it('takes no shard while its models cannot be had, says why, and keeps the jobs', async () => {
    await using lame = await startSystem({ MODEL_PROFILE: 'tiny', CLIP_MODEL: `${media.path}/nothing-here` });
    await lame.startWorker();
    await expect
      .poll(() => lame.catalog.listWorkers(), { timeout: 15_000 })
      .toMatchObject([{ ready: false, note: expect.stringMatching(/model_/) }]);
    const { id } = await lame.addVideo(path);
    await lame.until(id, 'its plan', ({ stages }) => stages.probe.state === 'done');
    // The shards are added just after the stage is done.
    await expect
      .poll(() => lame.jobs.counts(), { timeout: 15_000 })
      .toMatchObject({ frames: { waiting: 1, active: 0, failed: 0 } });
    expect((await lame.get(id)).status).toBe('indexing');
    // A worker that has them takes over.
    await lame.startWorker({ CLIP_MODEL: '' });
    expect(await lame.finished(id)).toMatchObject({ status: 'ready' });
  });

  it('refuses to start unless each queue has exactly one handler', () => {
    const all = QUEUE_NAMES.map((queue) => ({ queue })) as never[];
    checkHandlers(all);
    expect(() => checkHandlers(all.slice(1))).toThrow('plan has 0 handlers');
    expect(() => checkHandlers([...all, { queue: 'speech' } as never])).toThrow('speech has 2 handlers');
  });
});

describe('a delivery', () => {
  it('whose endpoint is gone is over', async () => {
    const deliveryId = `msg_${v7()}`;
    await system.jobs.addDelivery({ tenant: TENANT, deliveryId });
    await expect
      .poll(async () => (await system.jobs.counts()).deliver, { timeout: 10_000 })
      .toMatchObject({ waiting: 0, active: 0, failed: 0 });
  });
});
