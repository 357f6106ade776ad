/** A change of CLIP: the new one's frames are made beside the old one's, whatever happens meanwhile. */
import { execFileSync } from 'node:child_process';
import { appendFileSync, cpSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import type { FrameRow, FramesModel, Video } from '#store';
import { tempDir } from '../fixtures/media.ts';
import { SAMPLE, type System, startSystem, TENANT } from './harness.ts';

vi.setConfig({ testTimeout: 300_000 });

let system: System;
let folder: Awaited<ReturnType<typeof tempDir>>;
let clip: string;
let old: FramesModel;
let next: FramesModel;
let video: Video;
/** A video whose worker dies while it makes the new frames, and the old ones. */
let orphan: Video;
let orphanFrames: FrameRow[];
beforeAll(async () => {
  folder = await tempDir();
  system = await startSystem({ SHARD_MINUTES: '0.1' });
  clip = join(folder.path, 'part.mp4');
  execFileSync('ffmpeg', ['-v', 'error', '-i', SAMPLE, '-t', '20', '-c', 'copy', clip]);
  const first = await system.startWorker();
  video = await system.finished((await system.addVideo(clip)).id, 300_000);
  old = (await system.catalog.framesModel()) as FramesModel;
  await first.stop();
  // The same weights with a remark (field 6, `doc_string`, of ONNX's ModelProto): another model by its id.
  const other = join(folder.path, 'other');
  cpSync(new URL('../../models/tiny/clip', import.meta.url).pathname, other, { recursive: true });
  appendFileSync(join(other, 'onnx/text_model.onnx'), Buffer.from([0x32, 5, ...Buffer.from('other')]));
  await system.startWorker({ CLIP_MODEL: other });
  next = await vi.waitFor(
    async () => {
      const [worker] = await system.catalog.listWorkers();
      expect(worker?.framesModel).toBeDefined();
      return worker?.framesModel as FramesModel;
    },
    { timeout: 180_000, interval: 100 },
  );
}, 400_000);
afterAll(async () => {
  await system?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
});

const frames = (model: FramesModel, id = video.id) => system.index.listFrames(model, TENANT, id);
async function reindex(id: string, beside: FramesModel | undefined = next): Promise<Video> {
  const ref = { tenant: TENANT, videoId: id };
  const run = await system.catalog.startRun(ref, ['ready'], { only: 'frames', beside });
  await system.jobs.addPlan({ ...ref, run: run?.run ?? 0 });
  return run as Video;
}

it('leaves the old model active, and indexes uploads with it, so that they are found at once', async () => {
  expect(await system.catalog.framesModel()).toEqual(old);
  const upload = await system.finished((await system.addVideo(clip)).id, 300_000);
  orphan = upload;
  expect(upload.models).toMatchObject({ clip: old.id, frames: [old.id] });
  expect(await frames(old, upload.id)).toHaveLength(upload.counts.frames);
  expect(await frames(next, upload.id)).toEqual([]);
});

// The dead worker's jobs are free when its locks have run out, half a minute later. Until then other tests go on.
it('stops in the middle when its worker is killed (-9); another worker starts', async () => {
  orphanFrames = await frames(old, orphan.id);
  await reindex(orphan.id);
  await system.until(orphan.id, 'a first shard', ({ stages }) => stages.frames.doneMs > 0);
  expect((await system.get(orphan.id)).models?.frames).toEqual([old.id]);
  await system.workers.at(-1)?.kill();
  await system.startWorker({ CLIP_MODEL: join(folder.path, 'other') });
});

it('makes the new frames beside the old ones, which are there all the time, as are passages and thumbnails', async () => {
  const [rows, passages] = [await frames(old), await system.passages(video)];
  await reindex(video.id);
  let looked = 0;
  for (let now = await system.get(video.id); now.status !== 'ready'; now = await system.get(video.id), looked++) {
    expect(await frames(old)).toEqual(rows);
    expect(await system.passages(video)).toEqual(passages);
  }
  expect(looked).toBeGreaterThan(1);
  const done = await system.get(video.id);
  expect(done).toMatchObject({
    warnings: [],
    counts: video.counts,
    models: { clip: next.id, whisper: video.models?.whisper, frames: [old.id, next.id] },
    stages: { frames: { state: 'done' }, speech: { state: 'done' }, finalize: { state: 'done' } },
  });
  expect((await frames(next)).map((row) => row.vector)).toEqual(rows.map((row) => row.vector));
  expect(await frames(old)).toEqual(rows);
  expect(await system.blobs.stat(`${TENANT}/${video.id}/thumbnails/${rows[0]?.startMs}.jpg`)).toBeDefined();
});

it('keeps a video as it was where its frames cannot be made again, or a person cancels that', async () => {
  const lost = await system.finished((await system.addVideo(clip)).id, 300_000);
  const rows = await frames(old, lost.id);
  await system.blobs.deletePrefix(`${TENANT}/${lost.id}/source`);
  await reindex(lost.id);
  const failed = await system.finished(lost.id, 200_000);
  expect([failed.status, failed.models?.frames, failed.counts]).toEqual(['ready', [old.id], lost.counts]);
  expect(failed.warnings).toHaveLength(1);
  expect(await frames(old, lost.id)).toEqual(rows);

  const { run } = await reindex(video.id);
  const ref = { tenant: TENANT, videoId: video.id };
  await system.until(video.id, 'a first shard', ({ stages }) => stages.frames.doneMs > 0);
  await system.catalog.patchVideo(ref, { status: 'cancelled' });
  await system.jobs.removeWaiting({ ...ref, run });
  await system.jobs.addCleanup(ref);
  const kept = await system.until(video.id, 'what was there before', ({ status }) => status === 'ready');
  expect(kept.models?.frames).toEqual([old.id]);
  expect(await frames(next)).toEqual([]);
  expect(await frames(old)).not.toEqual([]);
});

it('removes the frames of every model with the video', async () => {
  await reindex(video.id);
  await system.finished(video.id, 200_000);
  expect(await frames(next)).not.toEqual([]);
  await system.catalog.markDeleting(TENANT, video.id);
  await system.jobs.addCleanup({ tenant: TENANT, videoId: video.id });
  for (const model of [old, next]) await expect.poll(() => frames(model), { timeout: 60_000 }).toEqual([]);
});

it('does so after kill -9 of the worker in the middle of it, too', async () => {
  const done = await system.finished(orphan.id, 200_000);
  expect([done.status, done.models?.frames]).toEqual(['ready', [old.id, next.id]]);
  expect(await frames(old, orphan.id)).toEqual(orphanFrames);
  expect(await frames(next, orphan.id)).toHaveLength(orphanFrames.length);
});
