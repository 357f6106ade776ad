/** What is indexed while Qdrant is away waits for it, however long that is, and is whole in the end. So does what finds the disk full. */
import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { openBlobs, openVectorIndex, StoreAway } from '#store';
import { isDiskFull } from '../../apps/worker/problems.ts';
import { makeVideo, tempDir } from '../fixtures/media.ts';
import { startQdrantStandIn } from '../store/index-qdrant.ts';
import { frame, MODEL } from '../store/index-rows.ts';
import { startSystem } from './harness.ts';

// Side by side, since most of each is waiting for the next look at what is away.
describe.concurrent('a worker', () => {
  it('an outage of the store costs a job none of its tries', async ({ expect }) => {
    let isAway = true;
    await using media = await tempDir();
    const qdrant = await startQdrantStandIn(undefined, () => (isAway ? { status: 503, error: 'not now' } : undefined));
    await using system = await startSystem({ QDRANT_URL: qdrant.url });
    const worker = await system.startWorker();
    const video = await system.addVideo(await makeVideo(media.path, { seconds: 2, picture: 'testsrc2' }));
    const logged = (msg: string) => worker.logs.filter((line) => line.msg === msg);
    await expect
      .poll(() => logged('a store is away, the job waits for it'), { timeout: 60_000 })
      .toEqual([expect.objectContaining({ code: 'store_unavailable', waits: 1 })]);
    isAway = false;
    const { status, warnings, counts } = await system.finished(video.id);
    expect({ status, warnings, frames: counts.frames > 0 }).toEqual({ status: 'ready', warnings: [], frames: true });
    expect(logged('job failed')).toEqual([]);
    await qdrant.close();
  }, 120_000);

  it('a full disk costs a job none of its tries', async ({ expect, skip }) => {
    await using media = await tempDir();
    await using system = await startSystem();
    const blobs = join(system.dataDir, 'blobs');
    mkdirSync(blobs);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', blobs], { stdio: 'pipe' });
    } catch {
      skip('only root may mount a small disk');
    }
    try {
      const { id } = await system.addVideo(await makeVideo(media.path, { seconds: 2, picture: 'testsrc2' }));
      const filler = join(blobs, 'filler');
      const { bavail, bsize } = statfsSync(blobs);
      writeFileSync(filler, Buffer.alloc(bavail * bsize));
      const worker = await system.startWorker();
      const logged = (msg: string) => worker.logs.filter((line) => line.msg === msg);
      await expect
        .poll(() => logged('the disk is full, the job waits for room'), { timeout: 60_000 })
        .toEqual([expect.objectContaining({ queue: 'frames', code: 'disk_full', waits: 1 })]);
      rmSync(filler);
      const { status, warnings, counts } = await system.finished(id);
      expect({ status, warnings, frames: counts.frames > 0 }).toEqual({ status: 'ready', warnings: [], frames: true });
      await worker.stop();
    } finally {
      execFileSync('umount', [blobs]);
    }
  }, 120_000);

  it('a disk that is not mounted costs a job none of its tries', async ({ expect }) => {
    await using media = await tempDir();
    await using system = await startSystem();
    const video = await system.addVideo(await makeVideo(media.path, { seconds: 2, picture: 'testsrc2' }));
    const blobs = join(system.dataDir, 'blobs');
    renameSync(blobs, `${blobs}-elsewhere`);
    const worker = await system.startWorker();
    const logged = (msg: string) => worker.logs.filter((line) => line.msg === msg);
    await expect
      .poll(() => logged('a store is away, the job waits for it'), { timeout: 60_000 })
      .toEqual([expect.objectContaining({ queue: 'plan', waits: 1 })]);
    renameSync(`${blobs}-elsewhere`, blobs);
    expect(await system.finished(video.id)).toMatchObject({ status: 'ready', warnings: [] });
    expect(logged('job failed')).toEqual([]);
  }, 120_000);
});

it('where a disk is not mounted any more nothing is written, and all is there when it is back', async () => {
  await using folder = await tempDir();
  const disk = join(folder.path, 'disk');
  const blobs = openBlobs({ dir: join(disk, 'blobs') });
  const index = await openVectorIndex({ lanceDir: join(disk, 'lance') });
  await blobs.put('t/v/source', Readable.from(['x']));
  await index.upsertFrames(MODEL, [frame('t', 'v', 0)]);
  const other = { id: 'test/other', dimension: MODEL.dimension };
  renameSync(disk, `${disk}-elsewhere`);
  for (const refused of [
    () => blobs.put('t/w/source', Readable.from(['y'])),
    () => blobs.local('t/v/source'),
    () => blobs.stat('t/v/source'),
    () => blobs.deletePrefix('t/v'),
    () => blobs.ping(),
    () => index.upsertFrames(MODEL, [frame('t', 'w', 0)]),
    () => index.upsertFrames(other, [frame('t', 'w', 0)]),
    () => index.deleteVideo('t', 'v'),
  ])
    await expect(refused(), String(refused)).rejects.toThrow(StoreAway);
  expect(existsSync(disk)).toBe(false);
  renameSync(`${disk}-elsewhere`, disk);
  expect(await blobs.stat('t/v/source')).toEqual({ sizeBytes: 1 });
  await index.upsertFrames(other, [frame('t', 'w', 0)]);
  expect(await index.listFrames(MODEL, 't', 'v')).toHaveLength(1);
  await index.close();
});

it('a disk that is read-only is away', async ({ skip }) => {
  await using folder = await tempDir();
  const mount = (...args: string[]) => execFileSync('mount', [...args, folder.path], { stdio: 'pipe' });
  try {
    mount('-t', 'tmpfs', '-o', 'size=8m', 'tmpfs');
  } catch {
    skip('only root may mount a small disk');
  }
  try {
    const blobs = openBlobs({ dir: join(folder.path, 'blobs') });
    const index = await openVectorIndex({ lanceDir: join(folder.path, 'lance') });
    await blobs.put('t/v/source', Readable.from(['x']));
    await index.upsertFrames(MODEL, [frame('t', 'v', 0)]);
    mount('-o', 'remount,ro');
    for (const refused of [
      () => blobs.put('t/v/source', Readable.from(['y'])),
      () => blobs.put('t/w/source', Readable.from(['y'])),
      () => blobs.putFiles([{ key: 't/w/thumbnails/1.jpg', path: '/dev/null' }]),
      () => blobs.deletePrefix('t/v'),
      () => blobs.ping(),
      () => index.upsertFrames(MODEL, [frame('t', 'w', 0)]),
      () => index.deleteVideo('t', 'v'),
    ])
      await expect(refused(), String(refused)).rejects.toThrow(StoreAway);
    expect(await blobs.stat('t/v/source')).toEqual({ sizeBytes: 1 });
    await index.close();
  } finally {
    execFileSync('umount', [folder.path]);
  }
});

it('what ffmpeg says of a full disk is known', async ({ skip }) => {
  if (!existsSync('/dev/full')) skip('there is no /dev/full here');
  const input = ['-v', 'error', '-f', 'lavfi', '-i', 'testsrc2=duration=1'];
  const failed = promisify(execFile)('ffmpeg', [...input, '-f', 'rawvideo', '-y', '/dev/full']);
  expect(await failed.catch(isDiskFull)).toBe(true);
});
