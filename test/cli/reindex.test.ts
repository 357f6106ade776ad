import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeVideo } from '../fixtures/media.ts';
import { run, temporaryFolder } from './processes.ts';

test('reindex indexes all videos again, or those named, and says of each how it ended', async () => {
  await using folder = temporaryFolder();
  const data = ['--json', '--data-dir', join(folder.path, 'data')];
  const video = await makeVideo(folder.path, { seconds: 2, picture: 'testsrc2' });
  const first = await run(['index', video, ...data]);
  const [indexed] = first.records as [{ id: string; counts: object }];
  const again = await run(['reindex', ...data]);
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
