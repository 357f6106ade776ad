import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import request from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Catalog, connectRedis } from '#store';
import { eventually, KEYS, multipart, rawRequest } from '../fixtures/api.ts';
import { type RedisFixture, startRedis } from '../fixtures/redis.ts';

const MAIN = fileURLToPath(new URL('../../dist/apps/api/main.js', import.meta.url));
let redis: RedisFixture;
let dataDir: string;
const children: ChildProcess[] = [];
beforeAll(async () => {
  redis = await startRedis();
  dataDir = await mkdtemp('/tmp/cuepoint-process-');
});
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await redis?.stop();
  await rm(dataDir, { recursive: true, force: true });
});

const environment = (more: Record<string, string> = {}) => ({
  PATH: process.env.PATH,
  HOST: '127.0.0.1',
  PORT: '0',
  DATA_DIR: dataDir,
  REDIS_URL: redis.url,
  MODEL_PROFILE: 'tiny',
  MIN_FREE_DISK: '1MB',
  ...more,
});

/** Runs to its end. */
async function run(env: Record<string, string | undefined>) {
  const child = spawn(process.execPath, [MAIN], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  let errors = '';
  child.stderr.on('data', (chunk) => (errors += chunk));
  const [code] = await once(child, 'exit');
  return { code, errors };
}

/** Starts it as the supervisor does. */
async function start(more: Record<string, string> = {}) {
  const child = fork(MAIN, [], { env: environment(more), stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
  children.push(child);
  let output = '';
  child.stdout?.on('data', (chunk) => (output += chunk));
  child.stderr?.on('data', (chunk) => (output += chunk));
  const [message] = (await once(child, 'message')) as [{ type: string; url: string }];
  return { child, message, url: message.url, output: () => output };
}

describe('The api process', () => {
  it('refuses an address that others can reach without keys', async () => {
    const { code, errors } = await run(environment({ HOST: '0.0.0.0' }));
    expect(code).toBe(78);
    expect(errors).toContain('API_KEYS');
  });

  it('refuses to start without Redis, and says how to get one', async () => {
    const { code, errors } = await run(environment({ REDIS_URL: '' }));
    expect(code).toBe(78);
    expect(errors).toMatch(/cuepoint up.*REDIS_URL/);
  });

  it('refuses a setting that is wrong', async () => {
    const { code, errors } = await run(environment({ PORT: 'eighty' }));
    expect(code).toBe(78);
    expect(errors).toContain('PORT');
  });

  it('says where it listens, once in the log and once to its parent, and finishes a running upload before it ends', async () => {
    const { child, message, url, output } = await start();
    expect(message).toEqual({ type: 'listening', url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/) });
    expect((await request(url).get('/health/live')).status).toBe(200);
    const lines = output()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.filter((line) => line.msg === 'listening')).toEqual([expect.objectContaining({ url, level: 30 })]);

    const { body, type } = multipart([{ name: 'file', value: Buffer.alloc(200_000, 3), filename: 'late.mp4' }]);
    const head = ['POST /v1/videos HTTP/1.1', `content-type: ${type}`, `content-length: ${body.length}`];
    const socket = await rawRequest(url, head);
    socket.write(body.subarray(0, 100_000));
    await eventually(
      async () => (await readdir(join(dataDir, 'blobs', '.incoming')).catch(() => [])).length > 0,
      'the upload has begun',
    );
    child.kill('SIGTERM');
    await eventually(() => output().includes('shutting down'), 'the end has begun');
    const ended = once(child, 'exit');
    const answer = once(socket, 'data');
    socket.write(body.subarray(100_000));
    expect(String((await answer)[0])).toMatch(/^HTTP\/1.1 202 /);
    expect(await ended).toEqual([0, null]);
  });

  it('marks an upload whose file is stored and that kill -9 keeps from its record, so that a worker can remove it', async () => {
    const { child, url } = await start();
    const { body, type } = multipart([{ name: 'file', value: Buffer.alloc(5000, 3), filename: 'a.mp4' }]);
    const head = ['POST /v1/videos HTTP/1.1', `content-type: ${type}`, `content-length: ${body.length + 1000}`];
    const socket = await rawRequest(url, head);
    // The last bytes of the form are still to come.
    socket.write(`${body.subarray(0, body.length - 4)}\r\ncontent-disposition: form-data; name="title"\r\n\r\n`);
    const stored = (): Promise<string[]> => readdir(join(dataDir, 'blobs', 'default')).catch(() => []);
    const before = await stored();
    await eventually(async () => (await stored()).length > before.length, 'the file is stored');
    child.kill('SIGKILL');
    const [videoId] = (await stored()).filter((id) => !before.includes(id));
    const catalog = new Catalog(connectRedis(redis.url));
    expect(await catalog.abandonedUploads(0)).toEqual([{ tenant: 'default', videoId }]);
    await catalog.close();
  });

  it('keeps an acknowledged upload through kill -9 of itself and of Redis, ends when its parent is gone, and leaves nothing temporary', async () => {
    const TMPDIR = await mkdtemp(join(dataDir, 'tmp-'));
    const first = await start({ TMPDIR });
    const { body } = await request(first.url).post('/v1/videos').attach('file', Buffer.alloc(5000, 5), 'kept.mp4');
    first.child.kill('SIGKILL');
    await redis.kill();
    await redis.start();
    const second = await start({ TMPDIR });
    const read = await request(second.url).get(`/v1/videos/${body.id}`);
    expect(read.body).toMatchObject({ id: body.id, title: 'kept' });
    expect((await request(second.url).get(`/v1/videos/${body.id}/source`)).body.length).toBe(5000);
    // And it ends when its parent is gone.
    second.child.disconnect();
    expect(await once(second.child, 'exit')).toEqual([0, null]);
    // Of the first one neither, nor of LanceDB.
    expect(await readdir(TMPDIR)).toEqual([]);
  });

  it('logs no keys, secrets or signatures', async () => {
    const { child, url, output } = await start({ API_KEYS: `alice=${KEYS.alice}` });
    const secret = `whsec_${Buffer.alloc(24, 9).toString('base64')}`;
    const added = await request(url)
      .post('/v1/videos')
      .set('authorization', `Bearer ${KEYS.alice}`)
      .field('webhookUrl', 'http://93.184.215.14/hook?token=hidden')
      .field('webhookSecret', secret)
      .attach('file', Buffer.alloc(50, 5), 'x.mp4');
    expect(added.status).toBe(202);
    await request(url).get(added.body.links.source);
    await request(url).get(`${added.body.links.source}x`);
    await request(url).get('/v1/videos').set('x-api-key', 'wrong-key-wrong-key');
    await eventually(() => output().includes('/v1/videos/:id/source'), 'the requests are logged');
    expect(output()).toContain(added.body.id);
    for (const hidden of [KEYS.alice, secret, 'signature', 'expires', 'wrong-key', 'hidden']) {
      expect(output()).not.toContain(hidden);
    }
    child.kill('SIGTERM');
    await once(child, 'exit');
  });
});
