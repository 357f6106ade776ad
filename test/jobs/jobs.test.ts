import { Worker } from 'bullmq';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cutShards, Jobs, QUEUE_PREFIX, type QueueName } from '#jobs';
import { connectRedis } from '#store';
import { type RedisFixture, startRedis } from '../fixtures/redis.ts';

let redis: RedisFixture;
let jobs: Jobs;
const workers: Worker[] = [];
beforeAll(async () => {
  redis = await startRedis();
  jobs = new Jobs(redis.url);
});
afterAll(async () => {
  await Promise.all(workers.map((worker) => worker.close(true)));
  await jobs?.close();
  await redis?.stop();
});

const refOf = (videoId: string) => ({ tenant: 'default', videoId, run: 1 });
const shards = (count: number) => cutShards(count * 1000, 1000, 1000);

function work(
  queue: QueueName,
  handle: (job: { id?: string; data: { videoId?: string } }) => Promise<unknown>,
): Worker {
  const worker = new Worker(queue, handle, { connection: connectRedis(redis.url), prefix: QUEUE_PREFIX });
  workers.push(worker);
  return worker;
}

describe('shards', () => {
  it('cover the video without gap or overlap, on the sampling grid', () => {
    const cut = cutShards(1_234_567, 600_000, 7000);
    expect(cut.map(({ shard }) => shard)).toEqual([0, 1, 2]);
    expect(cut[0]?.startMs).toBe(0);
    expect(cut.at(-1)?.endMs).toBe(1_234_567);
    for (const [index, { startMs, endMs }] of cut.entries()) {
      expect(startMs % 7000).toBe(0);
      expect(endMs - startMs).toBeLessThanOrEqual(600_000);
      expect(startMs).toBe(index ? cut[index - 1]?.endMs : 0);
    }
  });
  it('are one for a short video, and as long as the grid when that is longer than a shard', () => {
    expect(cutShards(10, 600_000, 1000)).toEqual([{ shard: 0, startMs: 0, endMs: 10 }]);
    expect(cutShards(5000, 1000, 2500)).toHaveLength(2);
  });
});

describe('jobs', () => {
  it('are taken as soon as the user may do what was forbidden when they were opened', async () => {
    const connection = connectRedis(redis.url);
    const may = (rule: string) => connection.call('ACL', 'SETUSER', 'default', rule);
    await may('-info');
    const early = new Jobs(redis.url);
    const ref = refOf('forbidden');
    await expect(early.addPlan(ref)).rejects.toThrow('NOPERM');
    await expect(early.addPlan(ref)).rejects.toThrow('NOPERM');
    await may('+info');
    await early.addPlan(ref);
    await early.addIndexFlow(ref, { frames: shards(1), speech: [] });
    expect((await early.counts()).frames.waiting).toBe(1);
    await early.removeWaiting(ref);
    await early.close();
    connection.disconnect();
  });
  it('added twice are there once', async () => {
    const ref = refOf('twice');
    await jobs.addPlan(ref);
    await jobs.addPlan(ref);
    await jobs.addIndexFlow(ref, { frames: shards(2), speech: shards(2) });
    await jobs.addIndexFlow(ref, { frames: shards(2), speech: shards(2) });
    const counts = await jobs.counts();
    expect([counts.plan.waiting, counts.frames.waiting, counts.speech.waiting]).toEqual([1, 2, 2]);
    await jobs.removeWaiting(ref);
  });

  it('of a cancelled run that nobody works on yet are removed, parent and children, and no others', async () => {
    const [gone, kept] = [refOf('gone'), refOf('kept')];
    for (const ref of [gone, kept]) {
      await jobs.addPlan(ref);
      await jobs.addIndexFlow(ref, { frames: shards(3), speech: [] });
    }
    await jobs.removeWaiting(gone);
    expect(await jobs.find('plan', gone)).toBeUndefined();
    expect(await jobs.find('finalize', gone)).toBeUndefined();
    expect(await jobs.find('finalize', kept)).toMatchObject({ state: 'waiting' });
    const counts = await jobs.counts();
    expect([counts.plan.waiting, counts.frames.waiting]).toEqual([1, 3]);
    await jobs.removeWaiting(kept);
    expect((await jobs.counts()).frames.waiting).toBe(0);
  });

  it('let their parent run when all have ended, failed ones too, even when the flow is added again after a failure', async () => {
    const ref = refOf('failing');
    await jobs.addIndexFlow(ref, { frames: shards(2), speech: [] });
    const { promise: failures, resolve } = Promise.withResolvers<Record<string, string>>();
    const { promise: oneFailed, resolve: failed } = Promise.withResolvers<void>();
    const { promise: readded, resolve: goOn } = Promise.withResolvers<void>();
    const frames = work('frames', async ({ id }) => {
      if (!id?.endsWith('-0')) return readded;
      throw Object.assign(new Error('media_broken: nothing decodes'), { name: 'UnrecoverableError' });
    });
    frames.on('failed', () => failed());
    work('finalize', async (job) => {
      if (job.data.videoId === ref.videoId)
        resolve(
          await (
            job as never as { getIgnoredChildrenFailures(): Promise<Record<string, string>> }
          ).getIgnoredChildrenFailures(),
        );
    });
    await oneFailed;
    await jobs.addIndexFlow(ref, { frames: shards(2), speech: [] });
    goOn();
    expect(Object.values(await failures)).toEqual(['media_broken: nothing decodes']);
  });

  it('of a lost run are planned again, and a plan that failed for good still ends in a finalize', async () => {
    const ref = refOf('replanned');
    await jobs.addPlan(ref);
    await jobs.replan(ref);
    expect(await jobs.find('plan', ref)).toMatchObject({ state: 'waiting' });
    await jobs.addFailure(ref, { code: 'worker_crashed', message: 'gone' });
    await expect.poll(async () => (await jobs.find('finalize', ref))?.state).toBe('completed');
  });

  it('count as active while a worker has them in hand', async () => {
    const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
    work('speech', () => held);
    await jobs.addIndexFlow(refOf('busy'), { frames: [], speech: shards(1) });
    await expect.poll(() => jobs.countActive('busy')).toBe(1);
    expect(await jobs.countActive('other')).toBe(0);
    // A running shard cannot be taken away: it stays, and so does its parent.
    await jobs.removeWaiting(refOf('busy'));
    expect(await jobs.countActive('busy')).toBe(1);
    letGo();
    await expect.poll(() => jobs.countActive('busy')).toBe(0);
  });
});
