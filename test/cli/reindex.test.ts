import { execFileSync } from 'node:child_process';
import { appendFileSync, cpSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeVideo } from '../fixtures/media.ts';
import { cuepoint, ROOT, run, SAMPLE, temporaryFolder } from './processes.ts';

/** The product on a data folder, until the end of the block: commands find it, and start none of their own. */
async function up(data: string[], env: Record<string, string> = {}): Promise<AsyncDisposable> {
  const running = cuepoint(['up', ...data], { PORT: '0', ...env });
  await running.record('ready');
  return {
    async [Symbol.asyncDispose]() {
      running.signal('SIGTERM');
      await running.ended();
    },
  };
}

test('reindex indexes videos again as a whole, all or those named, and says of each how it ended', async () => {
  await using folder = temporaryFolder();
  const data = ['--json', '--data-dir', join(folder.path, 'data')];
  const video = await makeVideo(folder.path, { seconds: 2, picture: 'testsrc2' });
  await using _ = await up(data);
  const first = await run(['index', video, ...data]);
  const [indexed] = first.records as [{ id: string; counts: object }];
  const again = await run(['reindex', '--all', ...data]);
  const { id, counts } = indexed;
  expect(again.records).toEqual([
    expect.objectContaining({ type: 'video', id, status: 'ready', counts }),
    { type: 'summary', ready: 1, failed: 0 },
  ]);
  expect(again.status).toBe(0);
  const named = await run(['reindex', 'nothing', ...data]);
  expect(named.records).toMatchObject([
    { type: 'video', id: 'nothing', status: 'failed', error: { code: 'video_not_found' } },
    { type: 'summary', ready: 0, failed: 1 },
  ]);
  expect(named.status).toBe(1);
}, 180_000);

test('with another CLIP, search goes on over the old one until reindex has all videos, then changes over', async () => {
  await using folder = temporaryFolder();
  const data = ['--json', '--data-dir', join(folder.path, 'data')];
  const clip = join(folder.path, 'part.mp4');
  execFileSync('ffmpeg', ['-v', 'error', '-i', SAMPLE, '-t', '26', '-c', 'copy', clip]);
  const indexed = async () => {
    await using _ = await up(data);
    return (await run(['index', clip, ...data])).records as [{ id: string; models: { frames: string[] } }];
  };
  const [video] = await indexed();
  const [old] = video.models.frames as [string];
  {
    await using _ = await up(data, { CLIP_MODEL: anotherClip(folder.path) });
    const question = ['search', 'a red car', '--only', 'seen', '--limit', '1', ...data];
    const before = await run(question);
    expect(before.records).toMatchObject([{ videoId: video.id }]);
    const changed = await run(['reindex', ...data]);
    expect(changed.records).toMatchObject([
      { type: 'video', id: video.id, status: 'ready', warnings: [], models: { frames: [old, expect.any(String)] } },
      { type: 'switch', active: expect.stringMatching(/^another@/), previous: old },
      { type: 'summary', ready: 1, failed: 0 },
    ]);
    expect(changed.status).toBe(0);
    // The same weights, so the same second.
    const [{ start }] = before.records as [{ start: number }];
    expect((await run(question)).records).toMatchObject([{ start, videoId: video.id }]);
  }
  // And back again: the old frames are still there.
  const back = await run(['reindex', '--prune', ...data]);
  expect(back.records).toMatchObject([
    { type: 'switch', active: old },
    { type: 'prune', dropped: 1 },
    { type: 'summary', ready: 0, failed: 0 },
  ]);
}, 400_000);

/** The tiny CLIP with other bytes in its text tower, and so another model by its id: a remark is added (field 6, `doc_string`, of ONNX's ModelProto). */
function anotherClip(folder: string): string {
  const clip = join(folder, 'another');
  cpSync(join(ROOT, 'models/tiny/clip'), clip, { recursive: true });
  appendFileSync(join(clip, 'onnx/text_model.onnx'), Buffer.from([0x32, 5, ...Buffer.from('other')]));
  return clip;
}
