import { afterEach, beforeEach, expect, test } from 'vitest';
import { Catalog, connectRedis, lacksFramesOf, type Video } from '#store';
import { type RedisFixture, startRedis } from '../fixtures/redis.ts';

const OLD = { id: 'old@1', dimension: 8, name: 'old' };
const NEW = { id: 'new@2', dimension: 16, name: 'new' };
let redis: RedisFixture;
let catalog: Catalog;
beforeEach(async () => {
  redis = await startRedis();
  catalog = new Catalog(connectRedis(redis.url));
});
afterEach(async () => {
  await catalog.close();
  await redis.stop();
});

const stage = { state: 'done', doneMs: 0, totalMs: 0 } as const;
async function add(id: string, patch: Partial<Video> = {}): Promise<Video> {
  const video: Video = {
    id,
    tenant: 'a tenant: ü',
    run: 1,
    status: 'ready',
    title: '',
    filename: '',
    metadata: {},
    source: { kind: 'upload' },
    stages: { probe: stage, frames: stage, speech: stage, finalize: stage },
    warnings: [],
    models: { profile: 'tiny', clip: OLD.id, frames: [OLD.id] },
    counts: { frames: 3, passages: 0 },
    createdAt: 1,
    updatedAt: 1,
    ...patch,
  };
  await catalog.createVideo(video);
  return video;
}

test('the first model offered is active, and another one takes its place only where no video needs it', async () => {
  expect(await catalog.framesModel()).toBeUndefined();
  expect(await catalog.offerFramesModel(OLD)).toEqual(OLD);
  expect(await catalog.offerFramesModel(NEW)).toEqual(NEW);
  expect(await catalog.offerFramesModel(OLD)).toEqual(OLD);
  const { tenant, id: videoId } = await add('one', {
    status: 'queued',
    models: undefined,
    counts: { frames: 0, passages: 0 },
  });
  expect(await catalog.offerFramesModel(NEW)).toEqual(OLD);
  await catalog.patchVideo(
    { tenant, videoId },
    { status: 'ready', models: { profile: 'tiny', frames: [OLD.id] }, counts: { frames: 3, passages: 0 } },
  );
  expect(await catalog.offerFramesModel(NEW)).toEqual(OLD);
  await catalog.markDeleting(tenant, videoId);
  expect(await catalog.offerFramesModel(NEW)).toEqual(NEW);
});

test('a model that only stood in gives way at once, and never takes the place of one that was asked for', async () => {
  await add('one');
  await catalog.offerFramesModel({ ...OLD, isFallback: true });
  expect(await catalog.offerFramesModel(NEW)).toEqual(NEW);
  expect(await catalog.offerFramesModel({ ...OLD, isFallback: true })).toEqual(NEW);
  expect(await catalog.framesModel()).toEqual(NEW);
});

test('all videos of all tenants are gone through, more than a page of them', async () => {
  for (let i = 0; i < 230; i++) await add(`video-${i}`, { tenant: `tenant ${i % 3}` });
  const found: string[] = [];
  for await (const { id, stages } of catalog.allVideos()) {
    expect(stages.frames.state).toBe('done');
    found.push(id);
  }
  expect(new Set(found).size).toBe(230);
  expect(found).toHaveLength(230);
});

test('a video lacks a model when its frames are of others only, or not there yet; not when it has none', async () => {
  const video = await add('one');
  expect(lacksFramesOf(video, OLD.id)).toBe(false);
  expect(lacksFramesOf(video, NEW.id)).toBe(true);
  expect(lacksFramesOf({ ...video, models: { profile: 'tiny', frames: [OLD.id, NEW.id] } }, NEW.id)).toBe(false);
  expect(lacksFramesOf({ ...video, status: 'queued', models: undefined }, OLD.id)).toBe(true);
  expect(lacksFramesOf({ ...video, models: { profile: 'tiny', clip: NEW.id } }, NEW.id)).toBe(false);
  for (const status of ['failed', 'cancelled'] as const)
    expect(lacksFramesOf({ ...video, status }, NEW.id)).toBe(false);
  expect(lacksFramesOf({ ...video, counts: { frames: 0, passages: 4 } }, NEW.id)).toBe(false);
});
