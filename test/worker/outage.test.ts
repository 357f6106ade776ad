/** What is indexed while Qdrant is away waits for it, however long that is, and is whole in the end. So does what finds the disk full. */
import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { isDiskFull } from '../../apps/worker/problems.ts';
import { makeVideo, tempDir } from '../fixtures/media.ts';
import { startQdrantStandIn } from '../store/index-qdrant.ts';
import { startSystem } from './harness.ts';

it('an outage of the store costs a job none of its tries', async () => {
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

it('a full disk costs a job none of its tries', async ({ skip }) => {
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

it('what ffmpeg says of a full disk is known', async ({ skip }) => {
  if (!existsSync('/dev/full')) skip('there is no /dev/full here');
  const input = ['-v', 'error', '-f', 'lavfi', '-i', 'testsrc2=duration=1'];
  const failed = promisify(execFile)('ffmpeg', [...input, '-f', 'rawvideo', '-y', '/dev/full']);
  expect(await failed.catch(isDiskFull)).toBe(true);
});
