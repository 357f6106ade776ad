import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
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

test('a folder in place of a video is an error before anything is started', async () => {
  await using folder = temporaryFolder();
  const { status, records } = await run(['demo', folder.path, '--exit', '--json']);
  expect(records).toEqual([{ type: 'error', code: 'file_unreadable', message: `${folder.path} is not a file.` }]);
  expect(status).toBe(66);
});

test('what the api finds wrong is said once', async () => {
  const api = createServer((_request, response) => {
    response.writeHead(400, { 'content-type': 'application/problem+json' });
    const errors = [{ path: 'query', message: 'Too long' }];
    response.end(JSON.stringify({ code: 'request_invalid', detail: 'query: Too long', errors }));
  });
  await new Promise<void>((done) => api.listen(0, '127.0.0.1', done));
  const { port } = api.address() as AddressInfo;
  const { records } = await run(['search', 'x', '--json', '--api', `http://127.0.0.1:${port}`]);
  api.close();
  expect(records).toEqual([{ type: 'error', code: 'request_invalid', message: 'query: Too long' }]);
});

test('an api that does not answer is named', async () => {
  const { status, records } = await run(['search', 'x', '--json', '--api', 'http://127.0.0.1:1']);
  expect(records).toMatchObject([
    { type: 'error', code: 'api_unreachable', message: expect.stringContaining('127.0.0.1:1') },
  ]);
  expect(status).toBe(1);
});
