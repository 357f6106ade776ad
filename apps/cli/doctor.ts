import { execFile } from 'node:child_process';
import { accessSync, constants, existsSync, statfsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Command } from 'commander';
import { Redis } from 'ioredis';
import { request } from 'undici';
import type { Config } from '#config';
import { inspectProfile } from '#models';
import { checkFfmpeg, configureFfmpeg } from '#video';
import { ApiClient, findRunningApi } from './client.ts';
import { type Context, dataDirOption, jsonOption, type Run } from './command.ts';
import { findProgram, portIsFree, socketPath } from './embedded/index.ts';
import { configWith } from './environment.ts';
import { CliError, problemOf } from './errors.ts';
import { bytes } from './format.ts';
import { unknownMedia, unknownRows } from './unknown.ts';

/** What a check found; `mend` says what to do about it. */
interface Finding {
  check: string;
  state: 'ok' | 'warn' | 'fail';
  message: string;
  mend?: string;
}
type Check = (config: Config, signal: AbortSignal) => Promise<Omit<Finding, 'check'> | undefined>;

const OLDEST_NODE = [22, 19] as const;
/** Less free space than this is worth a word. */
const COMFORTABLE_BYTES = 10e9;
const REACH_TIMEOUT_MS = 5_000;
/** Ten pages of a bucket take a few seconds, as do the rows of a large index. */
const LOOK_TIMEOUT_MS = 15_000;
const INSTALL =
  process.platform === 'darwin' ? 'brew install ffmpeg redis' : 'sudo apt-get install -y ffmpeg redis-server';

export function addDoctor(program: Command, run: Run): void {
  program
    .command('doctor')
    .description('check that this machine and its settings are fit, and say how to mend what is not')
    .addOption(dataDirOption())
    .addOption(jsonOption())
    .action((options: { dataDir: string }) => run((context) => doctor(options, context)));
}

async function doctor(options: { dataDir: string }, { terminal, signal }: Context): Promise<void> {
  const config = configWith({ DATA_DIR: options.dataDir });
  const findings = await Promise.all(
    Object.entries(CHECKS).map(async ([check, look]): Promise<Finding | undefined> => {
      try {
        const found = await look(config, signal);
        return found && { check, ...found };
      } catch (error) {
        return { check, state: 'fail', message: problemOf(error).message };
      }
    }),
  );
  const marks = { ok: ['green', '✓'], warn: ['yellow', '!'], fail: ['red', '✗'] } as const;
  for (const finding of findings) {
    if (!finding) continue;
    const { check, state, message, mend } = finding;
    const [colour, mark] = marks[state];
    terminal.result(`${terminal.style(colour, mark)} ${check.padEnd(8)} ${message}`);
    if (mend) terminal.result(`           → ${mend}`);
    terminal.record({ type: 'check', ...finding });
  }
  const failed = findings.filter((finding) => finding?.state === 'fail').length;
  terminal.record({ type: 'summary', ok: failed === 0, failed });
  if (failed) process.exitCode = 1;
}

const CHECKS: Record<string, Check> = {
  node: async () => {
    const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
    const fit = major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1]);
    return fit
      ? { state: 'ok', message: `Node ${process.versions.node}` }
      : {
          state: 'fail',
          message: `Node ${process.versions.node} is too old`,
          mend: 'start with npx cuepoint, which brings its own',
        };
  },

  ffmpeg: async (config) => {
    configureFfmpeg(config.ffmpeg);
    try {
      const { ffmpeg, ffprobe } = await checkFfmpeg();
      return { state: 'ok', message: `ffmpeg ${ffmpeg}, ffprobe ${ffprobe}` };
    } catch (error) {
      return { state: 'fail', message: problemOf(error).message, mend: INSTALL };
    }
  },

  redis: async (config) => (config.redisUrl ? checkRedisUrl(config.redisUrl) : checkRedisServer()),

  media: unknownIn(
    unknownMedia,
    'see that REDIS_URL names the Redis they were uploaded with, and that it has its data. Where those are lost: upload the file `source` of each folder again, and remove the folder',
  ),

  vectors: unknownIn(
    unknownRows,
    'see that REDIS_URL names the Redis they were indexed with, and that it has its data. Where those are lost: searches leave them out, and they take room and the place of other hits',
  ),

  data: async ({ dataDir }) => {
    const parent = existingParent(dataDir);
    try {
      accessSync(parent, constants.W_OK);
    } catch {
      return {
        state: 'fail',
        message: `${parent} cannot be written to`,
        mend: 'choose another folder: DATA_DIR or --data-dir',
      };
    }
    return { state: 'ok', message: dataDir };
  },

  disk: async ({ dataDir, http }) => {
    const { bavail, bsize } = statfsSync(existingParent(dataDir));
    const free = bavail * bsize;
    const message = `${bytes(free)} free for ${dataDir}`;
    const mend = 'make room, or choose another folder: DATA_DIR or --data-dir';
    if (free < http.minFreeDiskBytes) return { state: 'fail', message: `${message}: uploads are refused`, mend };
    return free < COMFORTABLE_BYTES ? { state: 'warn', message, mend } : { state: 'ok', message };
  },

  models: async ({ models }, signal) => {
    const parts = await inspectProfile({ ...models, allowFallback: false, signal });
    const needed = parts.filter(({ optional, state }) => !optional || state === 'partly');
    // What is broken in the hub's cache is fetched anew like what is missing there.
    const broken = needed.find(({ state, folder }) => state === 'partly' && !folder?.startsWith(models.cacheDir));
    if (broken) {
      const { file, problem } = broken.files.find((one) => one.problem) ?? {};
      return {
        state: 'fail',
        message: `${file} of ${broken.name} in ${broken.folder} ${problem}`,
        mend: '`cuepoint models verify` looks at every file, `cuepoint models pull` fetches what is broken',
      };
    }
    if (needed.every(({ state }) => state === 'here'))
      return { state: 'ok', message: `\`${models.profile}\` is on this machine` };
    const missing = `\`${models.profile}\` is not on this machine`;
    try {
      await reach(models.hubUrl);
      return { state: 'ok', message: `${missing}; the first start fetches it from ${models.hubUrl}` };
    } catch (error) {
      return {
        state: 'warn',
        message: `${missing} and ${models.hubUrl} is out of reach (${problemOf(error).message}): \`tiny\` is used in its place`,
        mend: 'set HF_ENDPOINT to a mirror, or MODELS_DIR to a folder that has the models',
      };
    }
  },

  qdrant: async ({ qdrant }) => {
    if (!qdrant) return undefined;
    try {
      await reach(`${qdrant.url.replace(/\/+$/, '')}/collections`, qdrant.apiKey ? { 'api-key': qdrant.apiKey } : {});
      return { state: 'ok', message: `Qdrant answers at ${qdrant.url}` };
    } catch (error) {
      return {
        state: 'fail',
        message: `Qdrant at ${qdrant.url}: ${problemOf(error).message}`,
        mend: 'check QDRANT_URL and QDRANT_API_KEY',
      };
    }
  },

  s3: async ({ s3, dataDir }) => {
    if (!s3) return undefined;
    const { openBlobs } = await import('#store');
    try {
      await openBlobs({ dir: dataDir, s3 }).ping(AbortSignal.timeout(REACH_TIMEOUT_MS));
      return { state: 'ok', message: `bucket ${s3.bucket} can be reached` };
    } catch (error) {
      const { message } = error as Error;
      return {
        state: 'fail',
        message: `bucket ${s3.bucket}: ${message}`,
        mend: 'check S3_BUCKET, S3_ENDPOINT and the S3 keys',
      };
    }
  },

  port: async ({ http, dataDir }, signal) => {
    const running = await findRunningApi(dataDir);
    if (running) {
      const client = new ApiClient(running);
      const reasons = await client.notReadyReasons(signal).catch((error: Error) => [error.message]);
      await client.close();
      if (reasons.length === 0) return { state: 'ok', message: `cuepoint runs at ${running}` };
      return {
        state: 'warn',
        message: `cuepoint runs at ${running}, and is not ready: ${reasons.join('; ')}`,
        mend: `${join(dataDir, 'logs')} has more`,
      };
    }
    if (http.port === 0 || (await portIsFree(http.host, http.port)))
      return { state: 'ok', message: `${http.host}:${http.port} is free` };
    return {
      state: 'warn',
      message: `port ${http.port} is in use by another program`,
      mend: '`cuepoint up` takes a free port, or the one you name with --port',
    };
  },

  keys: async ({ http }) => {
    if (http.apiKeys.length)
      return { state: 'ok', message: `API keys for ${new Set(http.apiKeys.map(({ tenant }) => tenant)).size} tenants` };
    if (http.loopback) return { state: 'ok', message: 'this machine only, no key needed' };
    return {
      state: 'fail',
      message: `others reach ${http.host}, and there are no keys`,
      mend: 'set API_KEYS=tenant=key',
    };
  },
};

/** Tells what a store has that Redis knows nothing of. */
function unknownIn(find: typeof unknownMedia, mend: string): Check {
  return async (config, signal) => {
    // The embedded Redis runs while `cuepoint up` does.
    const running = !config.redisUrl && (await findRunningApi(config.dataDir));
    const url = config.redisUrl ?? (running ? `unix:${socketPath(config.dataDir, 'redis.sock')}` : undefined);
    if (!url) return undefined;
    // A store that is away is named by its own check.
    const looking = find(config, connectOnce(url)).catch(() => undefined);
    const found = await Promise.race([looking, sleep(LOOK_TIMEOUT_MS, undefined, { ref: false, signal })]);
    if (!found) return undefined;
    const { unknown, of, where, example } = found;
    return {
      state: 'warn',
      message: `of ${of} videos in ${where}, Redis knows nothing of ${unknown}, such as ${example}`,
      mend,
    };
  };
}

async function checkRedisServer(): Promise<Omit<Finding, 'check'>> {
  const program = findProgram('redis-server', 'valkey-server');
  if (!program)
    return { state: 'fail', message: 'redis-server is not installed', mend: `${INSTALL}, or set REDIS_URL` };
  const { stdout } = await promisify(execFile)(program, ['--version']);
  return { state: 'ok', message: `redis-server ${/v=([\d.]+)/.exec(stdout)?.[1] ?? stdout.trim()}` };
}

/** Tries once and waits for no answer longer than a person would. */
function connectOnce(url: string): Redis {
  const options = {
    lazyConnect: true,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    connectTimeout: REACH_TIMEOUT_MS,
    commandTimeout: REACH_TIMEOUT_MS,
  };
  return url.startsWith('unix:') ? new Redis({ ...options, path: url.slice('unix:'.length) }) : new Redis(url, options);
}

/** A server that may forget what it took would lose uploads that were answered 202. */
async function checkRedisUrl(url: string): Promise<Omit<Finding, 'check'>> {
  const { checkWritable, durabilityRisks } = await import('#store'); // most commands need none of it
  const redis = connectOnce(url);
  const where = url.replace(/\/\/[^@/]*@/, '//…@');
  let lastError: Error | undefined;
  redis.on('error', (error) => {
    lastError = error;
  });
  try {
    await redis.connect();
    const refusal = await checkWritable(redis).then(
      () => undefined,
      (error: Error) => error.message,
    );
    if (refusal)
      return {
        state: 'fail',
        message: `Redis answers at ${where}, but: ${refusal}`,
        mend: 'see to its memory (maxmemory), its disk and what its user may do (ACL), or name the primary where this is a replica',
      };
    const risks = await durabilityRisks(redis);
    return risks.length
      ? { state: 'warn', message: `Redis answers at ${where}, but uploads are at risk`, mend: risks.join(' ') }
      : { state: 'ok', message: `Redis answers at ${where}; no setting that it shows puts uploads at risk` };
  } catch (error) {
    const { message } = error as Error;
    throw new CliError('redis_unreachable', `Redis at ${where} does not answer: ${lastError?.message || message}`);
  } finally {
    redis.disconnect();
  }
}

/** Any answer below 400 will do. */
async function reach(url: string, headers: Record<string, string> = {}): Promise<void> {
  let answer: Awaited<ReturnType<typeof request>>;
  try {
    answer = await request(url, { headers, signal: AbortSignal.timeout(REACH_TIMEOUT_MS) });
  } catch (error) {
    const { name, message, code } = error as Error & { code?: string };
    throw new CliError('unreachable', name === 'TimeoutError' ? 'no answer in 5 s' : code || message);
  }
  await answer.body.dump();
  if (answer.statusCode >= 400) throw new CliError('unreachable', `it answers ${answer.statusCode}`);
}

function existingParent(folder: string): string {
  let parent = folder;
  while (!existsSync(parent) && dirname(parent) !== parent) parent = dirname(parent);
  return parent;
}
