import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Video } from '#store';
import { until } from '../cli/processes.ts';
import { ffmpeg, tempDir } from '../fixtures/media.ts';
import { SAMPLE, type System, startSystem } from '../worker/harness.ts';
import { clip, kill, Product, pidsOf, ready, upload, video } from './product.ts';

/** A dead worker's jobs are free when its lock is (30 s) and the next look for such jobs comes (15 s). */
vi.setConfig({ testTimeout: 180_000 });

const VIDEO = v7();
/** Two shards. */
const SECONDS = 36;
const SHARD_MINUTES = '0.3';
let media: Awaited<ReturnType<typeof tempDir>>;
let path: string;
/** What indexing gives that nobody disturbs. */
let undisturbed: ReturnType<typeof everything>;

/** The index of the video, byte for byte: ids, times, vectors, texts. */
async function everything(system: System, video: Video) {
  const frames = await system.frames(video);
  return {
    counts: video.counts,
    frames: frames.map(({ vector, ...row }) => ({
      ...row,
      vector: Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('hex'),
    })),
    passages: await system.passages(video),
  };
}

/** A system with the video in work, some of it indexed and some not. */
async function halfIndexed(): Promise<System> {
  const system = await startSystem({ SHARD_MINUTES });
  await system.startWorker();
  await system.addVideo(path, { id: VIDEO });
  const video = await system.until(
    VIDEO,
    'half of it',
    ({ stages: { frames, speech } }) => frames.doneMs > 18_000 && frames.doneMs + speech.doneMs < 2 * SECONDS * 1000,
  );
  expect(video.status).toBe('indexing');
  return system;
}

beforeAll(async () => {
  media = await tempDir();
  path = join(media.path, 'part.mp4');
  await ffmpeg('-i', SAMPLE, '-t', `${SECONDS}`, '-c', 'copy', path);
  undisturbed = (async () => {
    await using system = await startSystem({ SHARD_MINUTES });
    await system.startWorker();
    const { id } = await system.addVideo(path, { id: VIDEO });
    const index = await everything(system, await system.finished(id));
    expect(index.frames.length).toBeGreaterThan(3);
    expect(index.passages.length).toBeGreaterThan(3);
    return index;
  })();
  // A failure is each test's that compares with it.
  undisturbed.catch(() => {});
});
afterAll(async () => {
  await undisturbed?.catch(() => {});
  await media?.[Symbol.asyncDispose]();
});

// All side by side, since most of each is waiting for a lock to run out.
describe.concurrent('a video that is half indexed becomes ready by itself, with the same index byte for byte', () => {
  it('after kill -9 of its worker, by another one, within a minute', async ({ expect }) => {
    await using system = await halfIndexed();
    const [frames, speech] = await active(system);
    expect(frames + speech).toBeGreaterThan(0);
    await killWorkers(system);
    const killedAt = Date.now();
    await system.startWorker();
    const video = await system.finished(VIDEO);
    expect(Date.now() - killedAt).toBeLessThan(90_000);
    expect(await everything(system, video)).toEqual(await undisturbed);
  });

  it('after kill -9 of redis-server, by the same worker', async ({ expect }) => {
    await using system = await halfIndexed();
    await system.redis.kill();
    await sleep(2_000);
    await system.redis.start();
    expect(await everything(system, await system.finished(VIDEO))).toEqual(await undisturbed);
  });

  it('after a redis-server that took no writes, and then hung for longer than locks last, by the same worker', async ({
    expect,
  }) => {
    await using system = await halfIndexed();
    await system.catalog.redis.config('SET', 'maxmemory', '1');
    await sleep(3_000);
    await system.catalog.redis.config('SET', 'maxmemory', '0');
    system.redis.pause();
    await sleep(32_000);
    system.redis.resume();
    expect(await everything(system, await system.finished(VIDEO))).toEqual(await undisturbed);
  });

  it('after kill -9 of everything at once', async ({ expect }) => {
    await using system = await halfIndexed();
    await Promise.all([killWorkers(system), system.redis.kill()]);
    await system.redis.start();
    await system.startWorker();
    expect(await everything(system, await system.finished(VIDEO))).toEqual(await undisturbed);
  });
});

describe.concurrent('the whole product', () => {
  it('an upload that was answered 202 survives kill -9 of every process in that moment', async ({ expect }) => {
    await using product = new Product();
    const { folder } = product;
    const path = clip(folder.path);
    const url = await product.up();
    const id = await upload(url, path);
    expect(kill(folder.path, ['cli', 'api', 'worker', 'redis'])).toEqual(
      expect.arrayContaining(['cli', 'api', 'worker', 'redis']),
    );
    await until(() => pidsOf(folder.path).length === 0, 'all processes gone');
    await product.ended();

    const again = await product.up();
    await ready(again, id);
    const search = await fetch(`${again}/v1/search`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query: 'a house with a blue roof' }),
    });
    const { moments } = (await search.json()) as { moments: { videoId: string; start: number }[] };
    expect(moments[0]).toMatchObject({ videoId: id });
  });

  it('with api, Redis and worker killed one after the other at work, the video becomes ready by itself', async ({
    expect,
  }) => {
    await using product = new Product();
    const { folder } = product;
    const url = await product.up();
    const id = await upload(url, clip(folder.path));
    for (const kind of ['api', 'redis', 'worker']) {
      await until(async () => (await video(url, id)) !== undefined, 'an answer', 60_000);
      expect(kill(folder.path, [kind])).toEqual([kind]);
      await sleep(1_500);
    }
    await ready(url, id);
  });
});

const killWorkers = (system: System) => Promise.all(system.workers.map((worker) => worker.kill()));
async function active(system: System): Promise<[number, number]> {
  const counts = await system.jobs.counts();
  return [counts.frames.active, counts.speech.active];
}
