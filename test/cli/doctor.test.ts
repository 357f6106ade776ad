import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { connectRedis } from '#store';
import { startApi } from '../fixtures/api.ts';
import { startRedis } from '../fixtures/redis.ts';
import { run, temporaryFolder } from './processes.ts';

const checks = (records: Record<string, unknown>[]) =>
  Object.fromEntries(records.filter(({ type }) => type === 'check').map(({ check, state }) => [check, state]));

test('the doctor finds nothing wrong here, and says so in JSON lines', async () => {
  await using folder = temporaryFolder();
  const { status, records } = await run(['doctor', '--json', '--data-dir', folder.path]);
  const found = checks(records);
  expect(found).toMatchObject({ node: 'ok', ffmpeg: 'ok', redis: 'ok', data: 'ok', models: 'ok', keys: 'ok' });
  expect(records.at(-1)).toEqual({ type: 'summary', ok: true, failed: 0 });
  expect(status).toBe(0);
});

test('the doctor fails when Redis or Qdrant can not be reached, and says how to mend it', async () => {
  const { status, records } = await run(['doctor', '--json'], {
    REDIS_URL: 'redis://127.0.0.1:1',
    QDRANT_URL: 'http://127.0.0.1:1',
  });
  expect(checks(records)).toMatchObject({ redis: 'fail', qdrant: 'fail' });
  expect(records.find(({ check }) => check === 'qdrant')?.mend).toContain('QDRANT_URL');
  expect(status).toBe(1);
});

test('the doctor warns of a Redis that may forget jobs', async () => {
  const redis = await startRedis();
  const connection = connectRedis(redis.url);
  await connection.config('SET', 'appendonly', 'no', 'maxmemory-policy', 'allkeys-lru');
  const { status, records } = await run(['doctor', '--json'], { REDIS_URL: redis.url });
  connection.disconnect();
  await redis.stop();
  const found = records.find(({ check }) => check === 'redis');
  expect(found?.state).toBe('warn');
  expect(found?.mend).toMatch(/noeviction.*appendonly yes/);
  expect(status).toBe(0);
});

test('the doctor tells of videos that Redis knows nothing of, and of a Redis that hangs', async () => {
  const api = await startApi();
  const upload = async () => {
    const form = new FormData();
    form.append('file', new Blob(['some bytes']), 'a.mp4');
    return (await fetch(`${api.url}/v1/videos`, { method: 'POST', body: form })).json() as Promise<{ id: string }>;
  };
  const [{ id: lost }] = [await upload(), await upload()];
  const doctor = async () => {
    const { records } = await run(['doctor', '--json', '--data-dir', api.config.dataDir], { REDIS_URL: api.redis.url });
    return Object.fromEntries(records.map((record) => [record.check, record]));
  };
  await api.index.upsertFrames({ id: 'a', dimension: 2 }, [
    { id: lost, tenant: 'default', videoId: lost, startMs: 0, endMs: 1, vector: new Float32Array([1, 0]) },
  ]);
  const before = await doctor();
  expect(before).not.toHaveProperty('media');
  expect(before).not.toHaveProperty('vectors');
  await api.connection.del(`{cuepoint}:video:default:${lost}`);
  const { media, vectors } = await doctor();
  for (const found of [media, vectors])
    expect(found).toMatchObject({ state: 'warn', message: expect.stringContaining(`of 1, such as default/${lost}`) });
  expect(await api.blobFiles()).toHaveLength(2);
  api.redis.pause();
  expect((await doctor()).redis).toMatchObject({ state: 'fail', message: expect.stringContaining('does not answer') });
  api.redis.resume();
  await api.close();
});

test('the doctor fails where Redis answers but takes no writes', async () => {
  const redis = await startRedis();
  const connection = connectRedis(redis.url);
  await connection.config('SET', 'maxmemory', '1');
  const { status, records } = await run(['doctor', '--json'], { REDIS_URL: redis.url });
  const found = records.find(({ check }) => check === 'redis');
  expect(found).toMatchObject({ state: 'fail', message: expect.stringContaining('takes no writes: OOM') });
  expect(status).toBe(1);
  // Without a channel nobody hears of changes, and without INFO BullMQ takes no job.
  await connection.config('SET', 'maxmemory', '0');
  for (const forbidden of [['resetchannels'], ['allchannels', '-info']]) {
    await connection.call('ACL', 'SETUSER', 'default', ...forbidden);
    const redisCheck = (await run(['doctor', '--json'], { REDIS_URL: redis.url })).records.find(
      ({ check }) => check === 'redis',
    );
    expect(redisCheck, String(forbidden)).toMatchObject({
      state: 'fail',
      message: expect.stringMatching(/takes no writes: (NOPERM|.*can't publish)/),
    });
  }
  connection.disconnect();
  await redis.stop();
});

test('the doctor says what the api that runs on the folder lacks', async () => {
  await using folder = temporaryFolder();
  const api = await startApi();
  writeFileSync(join(folder.path, 'api.json'), JSON.stringify({ url: api.url, pid: process.pid }));
  await api.redis.kill();
  const { records } = await run(['doctor', '--json', '--data-dir', folder.path]);
  await api.redis.start();
  await api.close();
  const found = records.find(({ check }) => check === 'port');
  expect(found).toMatchObject({ state: 'warn', message: expect.stringMatching(/is not ready: Redis: /) });
});

test('a setting that is wrong is named', async () => {
  const { status, stderr } = await run(['doctor'], { MODEL_PROFILE: 'huge' });
  expect(stderr).toMatch(/config_invalid.*\n.*MODEL_PROFILE/);
  expect(status).toBe(78);
});
