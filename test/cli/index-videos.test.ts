import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { run, temporaryFolder } from './processes.ts';

test('without a running api, index starts one for the duration; what is no media fails with its code and says so', async () => {
  await using folder = temporaryFolder();
  const wrong = join(folder.path, 'wrong.mp4');
  writeFileSync(wrong, 'this is not a video');
  writeFileSync(join(folder.path, 'notes.txt'), 'not looked at');
  const { status, records, stderr } = await run([
    'index',
    folder.path,
    '--json',
    '--data-dir',
    join(folder.path, 'data'),
  ]);
  expect(stderr).toContain('starting one for the duration');
  const videos = records.filter(({ type }) => type === 'video');
  expect(videos).toMatchObject([
    { source: wrong, status: 'failed', error: { code: expect.stringMatching(/^media_|^not_/) } },
  ]);
  expect(records.at(-1)).toEqual({ type: 'summary', ready: 0, failed: 1 });
  expect(status).toBe(1);
});

test('a file that is not there is an error before anything is started', async () => {
  const { status, records } = await run(['index', 'nowhere.mp4', '--json']);
  expect(records).toEqual([
    { type: 'error', code: 'file_unreadable', message: 'There is no file or folder nowhere.mp4.' },
  ]);
  expect(status).toBe(66);
});

test('an api that does not answer is named', async () => {
  const { status, records } = await run(['search', 'x', '--json', '--api', 'http://127.0.0.1:1']);
  expect(records).toMatchObject([
    { type: 'error', code: 'api_unreachable', message: expect.stringContaining('127.0.0.1:1') },
  ]);
  expect(status).toBe(1);
});
