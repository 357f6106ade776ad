import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { type ApiFixture, eventually, multipart, rawRequest, startApi } from '../fixtures/api.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
let api: ApiFixture;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cuepoint-test-'));
  vi.stubEnv('TMPDIR', folder);
  api = await startApi();
});
afterAll(async () => {
  await api?.close();
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

it('Pictures of many searches wait in files, not in memory, and are removed when their clients go', async () => {
  const { body, type } = multipart([{ name: 'image', filename: 'a.png', value: Buffer.alloc(15_000_000, 1) }]);
  const head = ['POST /v1/search HTTP/1.1', `content-type: ${type}`, `content-length: ${body.length}`];
  const before = process.memoryUsage().arrayBuffers;
  const sockets = await Promise.all(Array.from({ length: 10 }, () => rawRequest(api.url, head)));
  // All but the end of each.
  await Promise.all(sockets.map((socket) => new Promise((sent) => socket.write(body.subarray(0, -100), sent))));
  const waiting = async () => (await readdir(folder)).filter((name) => name.startsWith('cuepoint-search-')).length;
  await eventually(async () => (await waiting()) === 10, 'each has its file');
  collectGarbage();
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(75_000_000);
  for (const socket of sockets) socket.destroy();
  await eventually(async () => (await waiting()) === 0, 'the files are removed');
}, 20_000);
