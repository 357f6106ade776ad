import { mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Webhook } from 'standardwebhooks';
import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { connectRedis } from '#store';
import { importBuilt } from '../fixtures/api.ts';
import { ffmpeg, makeAudio, makeVideo, overwriteMedia, tempDir, truncate } from '../fixtures/media.ts';
import { collect, SAMPLE, type System, startSystem, TENANT, type WorkerProcess } from './harness.ts';

vi.setConfig({ testTimeout: 150_000 });

let system: System;
let worker: WorkerProcess;
let media: Awaited<ReturnType<typeof tempDir>>;
let temporary: string;
beforeAll(async () => {
  media = await tempDir();
  // Half a minute a shard, so that the sample is several jobs.
  system = await startSystem({ SHARD_MINUTES: '0.5', INGEST_ADDRESSES: 'loopback' });
  temporary = await mkdtemp(join(media.path, 'tmp-'));
  worker = await system.startWorker({ TMPDIR: temporary });
});
afterAll(async () => {
  await system?.[Symbol.asyncDispose]();
  await media?.[Symbol.asyncDispose]();
});

const ref = (videoId: string, run = 1) => ({ tenant: TENANT, videoId, run });

/** An endpoint that answers with the given statuses in turn, the last one for ever. */
async function endpoint(...statuses: number[]) {
  const requests: { headers: Record<string, string>; body: string }[] = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    requests.push({ headers: request.headers as Record<string, string>, body });
    response.writeHead(statuses[Math.min(requests.length, statuses.length) - 1] ?? 200).end();
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
  return { url, requests, [Symbol.dispose]: () => server.close() };
}
async function listen(url: string, videoId?: string): Promise<{ id: string; secret: string }> {
  const webhook = { id: v7(), secret: `whsec_${Buffer.alloc(24, 7).toString('base64')}` };
  await system.catalog.webhooks.create({
    ...webhook,
    tenant: TENANT,
    url,
    events: ['video.ready', 'video.failed'],
    videoId,
    createdAt: Date.now(),
  });
  return webhook;
}

describe('a worker', () => {
  it('announces itself, ready, with its models', async () => {
    await expect
      .poll(() => system.catalog.listWorkers(), { timeout: 20_000 })
      .toMatchObject([
        {
          ready: true,
          profile: 'tiny',
          models: { clip: expect.any(String), whisper: expect.any(String) },
          eventLoopP99Ms: expect.any(Number),
        },
      ]);
  });

  it('indexes the sample: stages, counts, thumbnails, and few vectors for what stands still', async () => {
    const { id } = await system.addVideo(SAMPLE);
    const video = await system.finished(id);
    expect(video).toMatchObject({
      status: 'ready',
      warnings: [],
      media: { durationMs: 180_000, video: { width: 640, height: 360 }, audio: {} },
      models: { profile: 'tiny' },
      stages: {
        probe: { state: 'done' },
        frames: { state: 'done', doneMs: 180_000, totalMs: 180_000 },
        speech: { state: 'done', doneMs: 180_000, totalMs: 180_000 },
        finalize: { state: 'done' },
      },
    });
    const frames = await system.frames(video);
    const passages = await system.passages(video);
    expect(video.counts).toEqual({ frames: frames.length, passages: passages.length });
    expect(frames.length).toBeGreaterThan(17);
    expect(frames.length).toBeLessThan(50);
    expect(passages.length).toBeGreaterThan(10);

    // A kept frame stands until the next: no gap, no overlap.
    expect(frames[0]?.startMs).toBe(0);
    expect(frames.at(-1)?.endMs).toBe(180_000);
    for (const [index, frame] of frames.entries()) {
      if (index > 0) expect(frame.startMs).toBe(frames[index - 1]?.endMs);
    }
    const { stills } = JSON.parse(await readFile(SAMPLE.replace('.mp4', '.json'), 'utf8')) as {
      stills: { start: number; end: number }[];
    };
    for (const still of stills) {
      const within = frames.filter(({ startMs }) => startMs >= still.start * 1000 && startMs < still.end * 1000);
      expect(within.length).toBeLessThanOrEqual(1 + Math.ceil((still.end - still.start) / 30)); // one more for each shard border
    }
    const thumbnails = await readdir(join(system.dataDir, 'blobs', TENANT, id, 'thumbnails'));
    expect(thumbnails.sort()).toEqual(frames.map(({ startMs }) => `${Math.round(startMs)}.jpg`).sort());

    const words = passages
      .map(({ text }) => text)
      .join(' ')
      .toLowerCase();
    expect(words).toContain('welcome to the first lesson');
    for (const [index, passage] of passages.entries()) {
      if (index > 0) expect(passage.startMs).toBeGreaterThanOrEqual(passages[index - 1]?.endMs ?? 0);
    }
  });

  it('skips the stage of a stream that is not there, and takes sound without speech for what it is', async () => {
    const silent = await system.addVideo(
      await makeVideo(media.path, { name: 'silent.mp4', picture: 'testsrc', seconds: 3 }),
    );
    const sound = await system.addVideo(await makeAudio(media.path, { name: 'tone.wav', seconds: 3 }));
    expect(await system.finished(silent.id)).toMatchObject({
      status: 'ready',
      counts: { passages: 0 },
      stages: { frames: { state: 'done' }, speech: { state: 'skipped' } },
    });
    expect(await system.finished(sound.id)).toMatchObject({
      status: 'ready',
      counts: { frames: 0 },
      warnings: [],
      stages: { frames: { state: 'skipped' }, speech: { state: 'done' } },
    });
  });

  it('fails what is not media or broken with a code, says so to the webhook, and goes on with the next', async () => {
    using hook = await endpoint(200);
    const { id: webhookId } = await listen(hook.url);
    const whole = await makeVideo(media.path, { name: 'whole.mp4', picture: 'testsrc', seconds: 3 });
    const cut = await system.addVideo(await truncate(whole, join(media.path, 'cut.mp4'), 0.5));
    const text = await system.addVideo(new URL(import.meta.url).pathname);
    const next = await system.addVideo(whole);
    expect(await system.finished(cut.id)).toMatchObject({
      status: 'failed',
      error: { code: 'media_broken', message: expect.any(String) },
      stages: { probe: { state: 'failed' }, frames: { state: 'skipped' }, speech: { state: 'skipped' } },
    });
    expect(await system.finished(text.id)).toMatchObject({ status: 'failed', error: { code: 'media_not_recognised' } });
    expect(await system.finished(next.id)).toMatchObject({ status: 'ready' });
    await expect.poll(() => hook.requests.length, { timeout: 10_000 }).toBe(3);
    expect(hook.requests.map(({ body }) => JSON.parse(body).type).sort()).toEqual([
      'video.failed',
      'video.failed',
      'video.ready',
    ]);
    await system.catalog.webhooks.delete(TENANT, webhookId);
  });

  it('fails what says it is a video but has nothing that can be decoded, and leaves no rows of a failed run', async () => {
    const whole = await makeVideo(media.path, { name: 'fine.mp4', picture: 'testsrc', seconds: 2 });
    const id = v7();
    const model = { id: 'cuepoint/other', dimension: 2 };
    const row = { id: v7(), tenant: TENANT, videoId: id, startMs: 0, endMs: 1, vector: new Float32Array([1, 0]) };
    await system.index.upsertFrames(model, [row]); // as a shard that fails midway does
    await system.addVideo(await overwriteMedia(whole, join(media.path, 'rubbish.mp4')), { id });
    expect(await system.finished(id)).toMatchObject({
      status: 'failed',
      error: { code: 'media_broken' },
      stages: { frames: { state: 'failed' }, speech: { state: 'skipped' } },
    });
    expect(await system.index.listFrames(model, TENANT, id)).toEqual([]);
  });

  it('indexes what is there of a file that is cut off or damaged, and warns', async () => {
    const output = ['-movflags', '+faststart'];
    const whole = await makeVideo(media.path, { name: 'front.mp4', picture: 'testsrc', seconds: 30, output });
    const cut = await system.addVideo(await truncate(whole, join(media.path, 'half.mp4'), 0.5));
    const bytes = await readFile(whole);
    bytes.fill(0xff, Math.floor(bytes.length * 0.4), Math.floor(bytes.length * 0.6));
    await writeFile(join(media.path, 'hole.mp4'), bytes);
    const hole = await system.addVideo(join(media.path, 'hole.mp4'));
    const fragments = join(media.path, 'fragments.mp4');
    await ffmpeg('-i', whole, '-c', 'copy', '-movflags', 'frag_keyframe+empty_moov+default_base_moof', fragments);
    const recorded = await readFile(fragments);
    await writeFile(fragments, recorded.subarray(0, recorded.lastIndexOf('moof') + 60));
    const killed = await system.addVideo(fragments);
    const half = await system.finished(cut.id);
    expect(half).toMatchObject({ status: 'ready', warnings: [{ code: 'media_truncated' }, {}] });
    expect((await system.frames(half)).at(-1)?.endMs).toBe(half.media?.durationMs);
    expect(half.media?.durationMs).toBeLessThan(20_000);
    const message = expect.stringMatching(/ends after 2\d s in the midst of a fragment/);
    expect(await system.finished(killed.id)).toMatchObject({
      status: 'ready',
      warnings: [{ code: 'media_truncated', message }],
    });
    expect(await system.finished(hole.id)).toMatchObject({
      status: 'ready',
      media: { durationMs: 30_000 },
      warnings: [{ code: 'media_damaged' }],
    });
  });

  it('indexes one part of recordings joined end to end, and warns', async () => {
    const part = await makeVideo(media.path, { name: 'part.ts', picture: 'testsrc', seconds: 5 });
    const bytes = await readFile(part);
    await writeFile(join(media.path, 'joined.ts'), Buffer.concat([bytes, bytes]));
    const joined = await system.finished((await system.addVideo(join(media.path, 'joined.ts'))).id);
    expect(joined).toMatchObject({
      status: 'ready',
      media: { durationMs: 5000 },
      warnings: [{ code: 'media_joined' }],
    });
    const other = join(media.path, 'other.ts');
    await ffmpeg('-i', part, '-c', 'copy', '-output_ts_offset', '5', '-streamid', '0:0x300', other);
    await writeFile(join(media.path, 'moves.ts'), Buffer.concat([bytes, await readFile(other)]));
    const moves = await system.addVideo(join(media.path, 'moves.ts'));
    const message = expect.stringMatching(/other tracks or codecs/);
    expect((await system.finished(moves.id)).warnings).toMatchObject([{ code: 'media_joined', message }]);
  });

  it('warns of files joined with `cat`, and of sound that was cut off', async () => {
    const part = await makeVideo(media.path, { name: 'sound.mp4', picture: 'testsrc', seconds: 12, audio: 'tone' });
    const bytes = await readFile(part);
    await writeFile(join(media.path, 'joined.mp4'), Buffer.concat([bytes, bytes]));
    const joined = await system.addVideo(join(media.path, 'joined.mp4'));
    const chunks = bytes.lastIndexOf('stco') + 12; // of the sound, the second track
    const count = bytes.readUInt32BE(chunks - 4);
    for (let n = count >> 1; n < count; n++) bytes.writeUInt32BE(bytes.length, chunks + 4 * n);
    await writeFile(join(media.path, 'mute.mp4'), bytes);
    const mute = await system.addVideo(join(media.path, 'mute.mp4'));
    expect((await system.finished(joined.id)).warnings).toMatchObject([{ code: 'media_joined' }]);
    const message = expect.stringMatching(/^The file lasts 12 s but its sound ends after \d s/);
    expect(await system.finished(mute.id)).toMatchObject({
      status: 'ready',
      warnings: [{ code: 'media_truncated', message }],
    });
  });

  it('keeps a slide until the next one, through shards that have no picture of their own', async () => {
    const path = await makeVideo(media.path, {
      name: 'slides.mp4',
      picture: 'testsrc',
      seconds: 0.12,
      setpts: 'N*70*90000',
    });
    const video = await system.finished((await system.addVideo(path)).id);
    const spans = (await system.frames(video)).map(({ startMs, endMs }) => [startMs, endMs]);
    expect(spans).toEqual([
      [0, 70_000],
      [70_000, 140_000],
      [140_000, video.media?.durationMs],
    ]);
  });

  it('tells the webhook of a video, signed, once more after a 500, with the same id and body', async () => {
    const { webhookPayloadSchema } =
      await importBuilt<typeof import('../../apps/api/schemas/index.ts')>('schemas/index.js');
    using hook = await endpoint(500, 204);
    const id = v7();
    const { id: webhookId, secret } = await listen(hook.url, id);
    const path = await makeVideo(media.path, { name: 'told.mp4', picture: 'testsrc', seconds: 2 });
    await system.addVideo(path, { id, metadata: { course: 'history' } });
    await system.finished(id);
    await expect.poll(() => hook.requests.length, { timeout: 20_000 }).toBe(2);
    const [first, second] = hook.requests;
    expect(second?.body).toBe(first?.body);
    expect(second?.headers['webhook-id']).toBe(first?.headers['webhook-id']);
    for (const { headers, body } of hook.requests) {
      const sent = new Webhook(secret).verify(body, headers);
      expect(webhookPayloadSchema.parse(sent)).toEqual(sent); // as /openapi.json describes it, and no field more
      expect(sent).toMatchObject({
        type: 'video.ready',
        timestamp: expect.any(String),
        data: {
          videoId: id,
          status: 'ready',
          durationSeconds: 2,
          metadata: { course: 'history' },
          counts: { frames: expect.any(Number) },
        },
      });
    }
    await expect
      .poll(async () => (await system.catalog.webhooks.listDeliveries(TENANT, webhookId, 10))[0])
      .toMatchObject({
        state: 'delivered',
        attempts: [{ status: 500 }, { status: 204 }],
      });
  });

  it('does not send webhooks to private addresses', async () => {
    const id = v7();
    const { id: webhookId } = await listen('http://10.255.255.1/hook', id);
    await system.addVideo(await makeVideo(media.path, { name: 'private.mp4', picture: 'testsrc', seconds: 1 }), { id });
    await system.finished(id);
    await expect
      .poll(async () => (await system.catalog.webhooks.listDeliveries(TENANT, webhookId, 10))[0], { timeout: 10_000 })
      .toMatchObject({
        state: 'failed',
        attempts: [{ error: expect.stringContaining('private address') }],
      });
  });

  it('takes a video from an address, following redirects, and fails one that is not there', async () => {
    const bytes = await readFile(await makeVideo(media.path, { name: 'remote.mp4', picture: 'testsrc', seconds: 2 }));
    const server = createServer((request, response) => {
      if (request.url === '/moved') response.writeHead(302, { location: '/video' }).end();
      else if (request.url === '/video') response.writeHead(200, { 'content-type': 'text/plain' }).end(bytes);
      else response.writeHead(404).end();
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const found = await system.addUrl(`${base}/moved`);
    const missing = await system.addUrl(`${base}/nothing`);
    const inside = await system.addUrl('http://10.255.255.1/video');
    expect(await system.finished(found.id)).toMatchObject({
      status: 'ready',
      source: { kind: 'url', sizeBytes: bytes.length, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
    });
    expect(await system.finished(missing.id)).toMatchObject({ status: 'failed', error: { code: 'source_refused' } });
    expect(await system.finished(inside.id)).toMatchObject({ status: 'failed', error: { code: 'address_refused' } });
    server.close();
  });

  it('indexes again from scratch, leaving nothing of the run before', async () => {
    const path = await makeVideo(media.path, { name: 'again.mp4', picture: 'testsrc', seconds: 2 });
    const { id } = await system.addVideo(path);
    const before = await system.frames(await system.finished(id));
    await system.index.upsertFrames({ id: 'cuepoint/other', dimension: 2 }, [
      { id: v7(), tenant: TENANT, videoId: id, startMs: 0, endMs: 1, vector: new Float32Array([1, 0]) },
    ]);
    const { run } = (await system.catalog.startRun({ tenant: TENANT, videoId: id }, ['ready'])) ?? { run: 0 };
    expect(run).toBe(2);
    await system.jobs.addPlan(ref(id, 2));
    const video = await system.finished(id);
    expect(await system.frames(video)).toEqual(before);
    expect(await system.index.listFrames({ id: 'cuepoint/other', dimension: 2 }, TENANT, id)).toEqual([]);
  });
});

describe('a video that is wanted no more', () => {
  /** Long enough to be caught at work: many frames that all differ. */
  const longVideo = async () => {
    const path = join(media.path, 'long.mp4');
    await ffmpeg('-stream_loop', '3', '-i', SAMPLE, '-c', 'copy', path);
    return path;
  };
  const working = (id: string) =>
    system.until(
      id,
      'the first shard',
      ({ stages }) => stages.frames.doneMs > 5_000 && stages.frames.doneMs < stages.frames.totalMs,
    );

  it('stops when it is cancelled, and leaves its source but no rows, thumbnails or jobs', async () => {
    const { id } = await system.addVideo(await longVideo());
    await working(id);
    await system.catalog.patchVideo({ tenant: TENANT, videoId: id }, { status: 'cancelled' }, { status: ['indexing'] });
    await system.jobs.removeWaiting(ref(id));
    await system.jobs.addCleanup({ tenant: TENANT, videoId: id });
    await expect.poll(() => system.jobs.countActive(id), { timeout: 10_000 }).toBe(0);
    await expect.poll(async () => (await system.frames(await system.get(id))).length, { timeout: 10_000 }).toBe(0);
    await expect
      .poll(() => readdir(join(system.dataDir, 'blobs', TENANT, id)), { timeout: 10_000 })
      .toEqual(['source']);
    // The clean-up may not have come yet where no frame had been written.
    await expect.poll(async () => system.passages(await system.get(id)), { timeout: 10_000 }).toEqual([]);
    expect(await system.jobs.find('finalize', ref(id))).not.toMatchObject({ state: 'waiting' });
    expect((await system.get(id)).status).toBe('cancelled');
  });

  it('is gone for good when it is deleted at work: rows, blobs, jobs, record', async () => {
    const { id } = await system.addVideo(await longVideo());
    const video = await working(id);
    expect(await system.catalog.markDeleting(TENANT, id)).toBe(true);
    await system.jobs.removeWaiting(ref(id));
    await system.jobs.addCleanup({ tenant: TENANT, videoId: id });
    const unfinished = async () => (await collect(system.catalog.unfinished())).filter((each) => each.videoId === id);
    await expect.poll(unfinished, { timeout: 15_000 }).toEqual([]);
    expect(await system.catalog.getVideo(TENANT, id)).toBeUndefined();
    expect(await system.frames(video)).toEqual([]);
    expect(await system.passages(video)).toEqual([]);
    expect(await readdir(join(system.dataDir, 'blobs', TENANT))).not.toContain(id);
    expect(await system.jobs.countActive(id)).toBe(0);
  });

  it('leaves no key in Redis when it is deleted, whatever has become of it before', async () => {
    const { id } = await system.addVideo(await makeVideo(media.path, { seconds: 2, picture: 'testsrc2' }));
    await system.finished(id);
    await system.catalog.startRun({ tenant: TENANT, videoId: id }, ['ready']);
    await system.jobs.addPlan({ ...ref(id), run: 2 });
    await system.until(id, 'the second run', ({ run, status }) => run === 2 && status === 'ready');
    await system.jobs.addCaptions({ tenant: TENANT, videoId: id });
    const redis = connectRedis(system.redis.url);
    const keys = async () => (await redis.keys('*')).filter((key) => key.includes(id));
    expect((await keys()).length).toBeGreaterThan(4);
    await system.catalog.markDeleting(TENANT, id);
    await system.jobs.addCleanup({ tenant: TENANT, videoId: id });
    await expect.poll(keys, { timeout: 15_000 }).toEqual([]);
    redis.disconnect();
  });
});

describe('a worker that is told to stop', () => {
  it('gives its jobs back at once, ends with code 0, and leaves nothing in its temporary folder', async () => {
    const path = join(media.path, 'minute.mp4');
    await ffmpeg('-i', SAMPLE, '-t', '60', '-c', 'copy', path);
    const { id } = await system.addVideo(path);
    await system.until(id, 'work', ({ stages }) => stages.frames.doneMs > 0);
    const asked = Date.now();
    expect(await worker.stop()).toBe(0);
    expect(Date.now() - asked).toBeLessThan(10_000);
    expect(await readdir(temporary)).toEqual([]);
    expect(await system.jobs.countActive(id)).toBe(0);
    expect((await system.jobs.counts()).frames.failed).toBe(0);
    const next = await system.startWorker();
    expect(await system.finished(id)).toMatchObject({ status: 'ready' });
    expect(next.logs.some(({ msg }) => String(msg).includes('left by its worker'))).toBe(false);
    await next.stop();
  });
});
