import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { inherited } from '../environment.ts';
import { CliError } from '../errors.ts';
import { Service } from './service.ts';
import { socketPath } from './sockets.ts';

/** Full path of a program on the PATH. */
export function findProgram(...names: string[]): string | undefined {
  const folders = [...(inherited.PATH ?? '').split(delimiter), '/opt/homebrew/bin', '/usr/local/bin'];
  for (const name of names)
    for (const folder of folders) if (folder && existsSync(join(folder, name))) return join(folder, name);
  return undefined;
}

/**
 * A real redis-server of our own in the data folder: reached by a unix socket only, every write on disk before it is answered.
 * One that an earlier supervisor left behind (kill -9) is shut down first, since two on one folder would spoil its append-only file.
 */
export async function redisServer(
  dataDir: string,
  hooks: { onLine: (line: string) => void; onNews: (text: string) => void },
): Promise<{ service: Service; url: string }> {
  const program = findProgram('redis-server', 'valkey-server');
  if (!program)
    throw new CliError('redis_missing', 'redis-server is not installed. `cuepoint doctor` says how to get it.', 69);
  const folder = join(dataDir, 'redis');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const socket = socketPath(dataDir, 'redis.sock');
  const pidFile = join(folder, 'redis.pid');
  await stopLeftover(socket, pidFile);

  const settings = {
    dir: folder,
    pidfile: pidFile,
    port: '0',
    unixsocket: socket,
    unixsocketperm: '700',
    appendonly: 'yes',
    appendfsync: 'always',
    save: '',
    'maxmemory-policy': 'noeviction',
  };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
  // Where the system can tell a child of its parent's death, a killed supervisor leaves no Redis behind.
  const setpriv = process.platform === 'linux' ? findProgram('setpriv') : undefined;
  const service = new Service({
    name: 'redis',
    command: () => ({
      file: setpriv ?? program,
      args: setpriv ? ['--pdeathsig', 'TERM', '--', program, ...args] : args,
      env: inherited,
      ipc: false,
    }),
    ready: (_child, signal) => untilReady(socket, signal),
    ...hooks,
  });
  return { service, url: `unix:${socket}` };
}

/** Waits for PONG: the socket is there before the data are loaded. */
async function untilReady(socket: string, signal: AbortSignal): Promise<void> {
  for (;;) {
    if ((await ask(socket, (redis) => redis.ping())) === 'PONG') return;
    await sleep(30, undefined, { signal });
  }
}

async function stopLeftover(socket: string, pidFile: string): Promise<void> {
  const pids = new Set<number>();
  const info = await ask(socket, (redis) => redis.info('server'));
  const listening = Number(/process_id:(\d+)/.exec(info ?? '')?.[1]);
  if (listening) pids.add(listening);
  // One that does not answer, or whose socket is gone, is known by its pid file and its command line.
  const noted = existsSync(pidFile) ? Number(readFileSync(pidFile, 'utf8')) : 0;
  if (noted && commandLine(noted).includes(socket)) pids.add(noted);
  for (const pid of pids) {
    kill(pid, 'SIGTERM');
    for (let waited = 0; alive(pid); waited += 50) {
      if (waited === 10_000) kill(pid, 'SIGKILL');
      if (waited > 15_000)
        throw new CliError('redis_stuck', `A redis-server from earlier (process ${pid}) does not end.`);
      await sleep(50);
    }
  }
}

/** One question to whoever listens there; undefined when nobody answers, or not yet (LOADING). */
async function ask<T>(socket: string, question: (redis: Redis) => Promise<T>): Promise<T | undefined> {
  if (!existsSync(socket)) return undefined;
  const redis = new Redis({
    path: socket,
    lazyConnect: true,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    enableReadyCheck: false,
    connectTimeout: 2_000,
    commandTimeout: 2_000,
  });
  redis.on('error', () => {});
  try {
    await redis.connect();
    return await question(redis);
  } catch {
    return undefined;
  } finally {
    redis.disconnect();
  }
}

/** redis-server shows its socket in its process title. */
function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    try {
      return execFileSync('ps', ['-p', String(pid), '-o', 'command='], { encoding: 'utf8', stdio: 'pipe' });
    } catch {
      return '';
    }
  }
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone in the meantime.
  }
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  try {
    // In a container whose first process does not reap, what ended stays as a zombie.
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return true;
  }
}
