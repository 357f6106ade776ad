import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, join } from 'node:path';
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
  expect(stderr).toContain(`id ${videos[0]?.id}`); // for people, too: `labels` asks for it
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

test('what is to become of speech is sent along, of a file and of an address', async () => {
  await using folder = temporaryFolder();
  const path = join(folder.path, 'a.mp4');
  writeFileSync(path, 'not looked at');
  const bodies: string[] = [];
  const api = createServer(async (request, response) => {
    bodies.push(Buffer.concat(await request.toArray()).toString());
    response.writeHead(400, { 'content-type': 'application/problem+json' });
    response.end(JSON.stringify({ code: 'request_invalid', detail: 'enough' }));
  });
  await new Promise<void>((done) => api.listen(0, '127.0.0.1', done));
  const options = ['--json', '--api', `http://127.0.0.1:${(api.address() as AddressInfo).port}`];
  const speech = ['--task', 'translate', '--prompt', 'Krebs cycle'];
  await run(['index', path, ...speech, ...options]);
  await run(['index', 'http://example.com/a.mp4', ...speech, ...options]);
  const wrong = await run(['index', path, '--task', 'sing', ...options]);
  api.close();
  expect(bodies).toHaveLength(2);
  expect(bodies[0]).toMatch(/name="task"\r\n\r\ntranslate\r\n.*name="prompt"\r\n\r\nKrebs cycle\r\n/s);
  const sent = JSON.parse(bodies[1] ?? '');
  expect(sent).toEqual({ url: 'http://example.com/a.mp4', task: 'translate', prompt: 'Krebs cycle' });
  expect(wrong.status).not.toBe(0);
});

test('a folder is searched for what phones, camcorders, discs and recorders write, too', async () => {
  await using folder = temporaryFolder();
  const media = ['memo.amr', 'old-phone.3gp', 'tape.dv', 'title.VOB', 'book.m4b', 'studio.aiff', 'card.m2ts'];
  for (const name of [...media, 'cover.jpg', 'notes.md']) writeFileSync(join(folder.path, name), 'not looked at');
  const api = createServer((_request, response) => {
    response.writeHead(400, { 'content-type': 'application/problem+json' });
    response.end(JSON.stringify({ code: 'request_invalid', detail: 'enough' }));
  });
  await new Promise<void>((done) => api.listen(0, '127.0.0.1', done));
  const { port } = api.address() as AddressInfo;
  const { records } = await run(['index', folder.path, '--json', '--api', `http://127.0.0.1:${port}`]);
  api.close();
  const sources = records.filter(({ type }) => type === 'video').map(({ source }) => basename(String(source)));
  expect(sources.sort()).toEqual(media.sort());
});

test('an api that does not answer is named', async () => {
  const { status, records } = await run(['search', 'x', '--json', '--api', 'http://127.0.0.1:1']);
  expect(records).toMatchObject([
    { type: 'error', code: 'api_unreachable', message: expect.stringContaining('127.0.0.1:1') },
  ]);
  expect(status).toBe(1);
});
