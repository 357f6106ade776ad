/** A worker takes no frames and no speech before its models are there and whole, says what it waits for, and goes on by itself. */
import { cpSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { PROFILES } from '#models';
import { type Fault, startHub } from '../fixtures/hub.ts';
import { ffmpeg, tempDir } from '../fixtures/media.ts';
import { SAMPLE, type System, startSystem } from './harness.ts';

const tiny = new URL('../../models/tiny/', import.meta.url).pathname;
const PATIENCE = { timeout: 120_000 };
const startBaseHub = () =>
  startHub({ [PROFILES.base.clip]: join(tiny, 'clip'), [PROFILES.base.whisper]: join(tiny, 'whisper') });

const worker = async (system: System) => (await system.catalog.listWorkers()).at(0);
const isReady = async (system: System) => (await worker(system))?.ready;
const note = async (system: System) => (await worker(system))?.note;
/** With several workers: of one that is not ready. */
const noteOfUnready = async (system: System) => (await system.catalog.listWorkers()).find((one) => !one.ready)?.note;

// All side by side, since most of each is waiting for the next try, or for the next sign of life.
describe.concurrent('a worker that lacks models', () => {
  test('while the hub is slow, and after it refused, videos wait; then the worker is ready and indexes them', async ({
    expect,
  }) => {
    await using folder = await tempDir();
    await using hub = await startBaseHub();
    await using system = await startSystem();
    let fault: Fault | undefined = 429;
    hub.fault = (_, file) => (fault === 'stall' && !file?.includes('vision') ? undefined : fault);
    await system.startWorker({
      MODEL_PROFILE: 'base',
      VAD_MODEL: 'none',
      HF_ENDPOINT: hub.url,
      HF_HUB_CACHE: join(folder.path, 'cache'),
    });
    await expect.poll(() => note(system), PATIENCE).toMatch(/hub_refused.*429/);
    const part = join(folder.path, 'part.mp4');
    await ffmpeg('-i', SAMPLE, '-t', '15', '-c', 'copy', part);
    const video = await system.addVideo(part);
    fault = 'stall';
    await expect
      .poll(() => note(system), PATIENCE)
      .toMatch(/downloading Xenova\/clip-vit-base-patch32\/onnx\/vision_model\.onnx: [1-9]/);
    await sleep(1000);
    const { stages } = await system.get(video.id);
    expect([stages.frames.state, stages.speech.state]).toEqual(['waiting', 'waiting']);
    expect(await isReady(system)).toBe(false);

    fault = undefined;
    await expect.poll(() => isReady(system), PATIENCE).toBe(true);
    expect(await worker(system)).toMatchObject({
      profile: 'base',
      models: { clip: expect.stringContaining(PROFILES.base.clip) },
    });
    expect((await system.finished(video.id)).status).toBe('ready');
  }, 240_000);

  test('a folder with a broken file is named until it is mended; a worker for speech only does not mind', async ({
    expect,
  }) => {
    await using folder = await tempDir();
    await using system = await startSystem();
    const clip = join(folder.path, 'clip');
    cpSync(join(tiny, 'clip'), clip, { recursive: true });
    writeFileSync(join(clip, 'onnx/vision_model.onnx'), 'version https://git-lfs.github.com/spec/v1\n');
    const speechOnly = await system.startWorker({ CLIP_MODEL: clip, FRAMES_CONCURRENCY: '0' });
    await expect.poll(() => isReady(system), PATIENCE).toBe(true);
    await speechOnly.stop();
    const both = await system.startWorker({ CLIP_MODEL: clip });
    await expect
      .poll(() => noteOfUnready(system), PATIENCE)
      .toMatch(/model_incomplete.*vision_model\.onnx.*Git LFS pointer/);
    expect(both.child.exitCode).toBeNull();
    cpSync(join(tiny, 'clip/onnx/vision_model.onnx'), join(clip, 'onnx/vision_model.onnx'));
    await expect
      .poll(async () => (await system.catalog.listWorkers()).some((one) => one.ready && one.models?.clip), PATIENCE)
      .toBe(true);
  }, 240_000);

  test('an optional model that is broken is left out; one that was asked for by name is waited for', async ({
    expect,
  }) => {
    await using folder = await tempDir();
    await using hub = await startBaseHub();
    await using system = await startSystem();
    const models = join(folder.path, 'models');
    for (const part of ['clip', 'whisper'] as const)
      cpSync(join(tiny, part), join(models, PROFILES.base[part]), { recursive: true });
    const vad = join(models, PROFILES.base.vad as string, 'onnx/model.onnx');
    cpSync(join(tiny, 'clip/onnx/text_model.onnx'), vad, { recursive: true });
    truncateSync(vad, 100_000);
    const settings = { MODEL_PROFILE: 'base', MODELS_DIR: models, TEXT_MODEL: 'none', HF_ENDPOINT: hub.url };
    const without = await system.startWorker(settings);
    await expect.poll(() => isReady(system), PATIENCE).toBe(true);
    await without.stop();
    await system.startWorker({ ...settings, VAD_MODEL: vad });
    await expect.poll(() => noteOfUnready(system), PATIENCE).toMatch(/model_incomplete.*model\.onnx/);
  }, 240_000);
});

test.each([
  ['cannot say which models it has, since Redis is away', 4_000], // They are open by then.
  ['opens its models, and Redis is away', 0],
])('a worker that is told to stop while it %s, ends', async (_when, waitMs) => {
  await using system = await startSystem();
  const { child, stop } = await system.startWorker({ REDIS_URL: 'redis://127.0.0.1:1' });
  await sleep(waitMs);
  expect(await stop()).toBe(0);
  expect(child.signalCode).toBeNull();
});

test('a Redis user who may not do what is needed ends the worker, which says so', async () => {
  await using system = await startSystem();
  await system.catalog.redis.call('ACL', 'SETUSER', 'default', '-info');
  const { child, logs } = await system.startWorker();
  await expect.poll(() => child.exitCode, { timeout: 20_000 }).toBe(1);
  const told = logs.filter(({ level }) => level === 60).map(({ msg }) => msg);
  expect(told).toEqual([expect.stringContaining("no permissions to run the 'info' command")]);
});
