import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { connectRedis } from '#store';
import { kill } from '../faults/product.ts';
import { cuepoint, Running, run, SAMPLE, temporaryFolder, until } from './processes.ts';

const started: Running[] = [];
function up(dataDir: string, args: string[] = []): Running {
  const running = cuepoint(['up', '--json', '--data-dir', dataDir, ...args], { PORT: '0' });
  started.push(running);
  return running;
}
afterEach(async () => {
  for (const running of started.splice(0)) {
    running.signal('SIGTERM');
    await running.ended();
  }
});

/** Command lines of all that runs and has this text in it or in its environment's DATA_DIR: what works on a data folder. */
function processesOf(dataDir: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
        const mine =
          command.includes(dataDir) || readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`DATA_DIR=${dataDir}`);
        return command && mine ? [command] : [];
      } catch {
        return [];
      }
    });
}

// Safety nets for a busy machine; an idle one takes a fraction.
vi.setConfig({ testTimeout: 180_000 });

test('what was indexed is there again after kill -9 of the supervisor, and nothing of it is left running', async () => {
  await using folder = temporaryFolder();
  const first = up(folder.path);
  await first.record('ready');
  // The first 36 seconds: a title, a car, a house, the beginning of a balloon.
  const clip = join(folder.path, 'clip.mp4');
  execFileSync('ffmpeg', ['-v', 'error', '-i', SAMPLE, '-t', '36', '-c', 'copy', clip]);
  const { status, records, stderr } = await run([
    'index',
    clip,
    '--title',
    'Part one',
    '--json',
    '--data-dir',
    folder.path,
  ]);
  expect(stderr).not.toContain('starting one');
  expect(records).toContainEqual(expect.objectContaining({ type: 'video', status: 'ready', title: 'Part one' }));
  expect(records.at(-1)).toEqual({ type: 'summary', ready: 1, failed: 0 });
  expect(status).toBe(0);

  const second = await up(folder.path).ended();
  expect(second.status).toBe(75);
  expect(second.records).toContainEqual(expect.objectContaining({ type: 'error', code: 'data_dir_in_use' }));
  expect(second.stderr).toContain(String(first.child.pid));

  first.signal('SIGKILL');
  await first.ended();
  await until(() => processesOf(folder.path).length === 0, 'api, worker and Redis end with their supervisor');
  const third = up(folder.path);
  const { url } = await third.record('ready');
  const { videos } = (await (await fetch(`${url}/v1/videos`)).json()) as { videos: { status: string }[] };
  expect(videos).toMatchObject([{ status: 'ready' }]);

  const { records: moments } = await run([
    'search',
    'a house with a blue roof',
    '--json',
    '--limit',
    '3',
    '--data-dir',
    folder.path,
  ]);
  expect(moments[0]).toMatchObject({ type: 'moment', videoTitle: 'Part one' });
  expect(Math.abs((moments[0]?.start as number) - 22)).toBeLessThan(3);
  const words = await run(['search', 'seven yellow birds', '--data-dir', folder.path]);
  expect(words.stdout.split('\n')[0]).toMatch(/^Part one +00:2\d.*birds/);

  third.signal('SIGTERM');
  expect((await third.ended()).status).toBe(0);
  expect(processesOf(folder.path)).toEqual([]);
  expect(existsSync(join(folder.path, 'api.json'))).toBe(false);
});

test('api, worker and Redis that die are started again, at the same address', async () => {
  await using folder = temporaryFolder();
  const running = up(folder.path);
  const { url } = await running.record('ready');
  const children = readFileSync(`/proc/${running.child.pid}/task/${running.child.pid}/children`, 'utf8')
    .trim()
    .split(' ');
  expect(children).toHaveLength(3);
  for (const pid of children) process.kill(Number(pid), 'SIGKILL');
  for (const name of ['redis', 'api', 'worker']) await running.says(`${name} is back`);
  await until(async () => (await fetch(`${url}/health/ready`).catch(() => undefined))?.status === 200, 'ready again');
});

test('a Redis that was left behind on the data folder is ended before npm start starts a new one, and all ends with npm', async () => {
  await using folder = temporaryFolder();
  mkdirSync(join(folder.path, 'redis'), { recursive: true });
  mkdirSync(join(folder.path, 'run'));
  const socket = join(folder.path, 'run', 'redis.sock');
  const appendOnly = ['--appendonly', 'yes', '--appendfsync', 'always', '--save', ''];
  const leftover = spawn(
    'redis-server',
    ['--port', '0', '--unixsocket', socket, '--dir', join(folder.path, 'redis'), ...appendOnly],
    {
      stdio: 'ignore',
    },
  );
  const ended = new Promise((resolve) => leftover.once('exit', resolve));
  await until(() => existsSync(socket), 'the socket');
  const before = connectRedis(`unix:${socket}`);
  await before.set('kept', 'yes');
  before.disconnect();

  const npm = Running.start(['start', '--', '--json', '--data-dir', folder.path], { PORT: '0' }, 'npm');
  await npm.record('ready');
  await ended;
  const after = connectRedis(`unix:${socket}`);
  expect(await after.get('kept')).toBe('yes');
  after.disconnect();
  npm.signal('SIGKILL');
  await until(() => processesOf(folder.path).length === 0, 'all ends');
});

test('an api that dies while all is being started is told with its last words, or started again once it has listened', async () => {
  await using folder = temporaryFolder();
  const first = up(folder.path);
  await until(() => kill(folder.path, ['api']).length > 0, 'an api to kill');
  const { status, records } = await first.ended();
  expect(records).toMatchObject([{ type: 'error', code: 'service_failed', message: expect.stringContaining('api') }]);
  expect(status).toBe(1);
  expect(processesOf(folder.path)).toEqual([]);

  const second = up(folder.path);
  const log = join(folder.path, 'logs', 'api.log');
  await until(() => existsSync(log) && readFileSync(log, 'utf8').includes('"listening"'), 'the api to listen');
  expect(kill(folder.path, ['api'])).toEqual(['api']);
  const { url } = await second.record('ready');
  expect((await fetch(`${url}/health/ready`)).status).toBe(200);
});

test('Ctrl-C while all is being started ends it all, with its own status and no other words', async () => {
  await using folder = temporaryFolder();
  const running = up(folder.path);
  await until(() => existsSync(join(folder.path, 'logs')), 'Redis to be started');
  running.signal('SIGINT');
  const { status, records, stderr } = await running.ended();
  expect({ status, records }).toEqual({ status: 130, records: [] });
  expect(stderr).not.toContain('✗');
  expect(processesOf(folder.path)).toEqual([]);
});

test('a busy port is an error when it was asked for by name, and so are a public address without keys and a data folder that is none', async () => {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as { port: number };
  await using folder = temporaryFolder();
  const busy = await run(['up', '--json', '--port', String(port), '--data-dir', folder.path]);
  expect(busy.records).toContainEqual(expect.objectContaining({ type: 'error', code: 'port_in_use' }));
  server.close();
  const file = await run(['up', '--json', '--data-dir', SAMPLE]);
  expect(file.records).toMatchObject([{ type: 'error', code: 'data_dir_unusable' }]);
  expect(file.status).toBe(73);
  const open = await run(['up', '--json', '--host', '0.0.0.0', '--data-dir', folder.path]);
  expect(open.records).toContainEqual(expect.objectContaining({ type: 'error', code: 'keys_required' }));
  expect(processesOf(folder.path)).toEqual([]);
});
