/** A real worker process on a real Redis, LanceDB and a folder of blobs; videos are put in as the api does. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { v7 } from 'uuid';
import { Jobs } from '#jobs';
import {
  type BlobStore,
  Catalog,
  connectRedis,
  type FrameRow,
  openBlobs,
  openVectorIndex,
  type PassageRow,
  type Stage,
  TERMINAL,
  type VectorIndex,
  type Video,
} from '#store';
import { type RedisFixture, startRedis } from '../fixtures/redis.ts';

const MAIN = new URL('../../dist/apps/worker/main.js', import.meta.url).pathname;
export const SAMPLE = new URL('../fixtures/sample/sample.mp4', import.meta.url).pathname;
export const TENANT = 'default';

export interface WorkerProcess {
  child: ChildProcess;
  /** Parsed log lines, oldest first. */
  logs: Record<string, unknown>[];
  kill(): Promise<void>;
  /** SIGTERM; gives the exit code. */
  stop(): Promise<number | null>;
}

export interface System extends AsyncDisposable {
  redis: RedisFixture;
  dataDir: string;
  catalog: Catalog;
  jobs: Jobs;
  blobs: BlobStore;
  index: VectorIndex;
  workers: WorkerProcess[];
  startWorker(env?: Record<string, string>): Promise<WorkerProcess>;
  /** Stores a file and queues it, as an upload does. */
  addVideo(path: string, extra?: Partial<Video>): Promise<Video>;
  /** Queues a video whose source is an address. */
  addUrl(url: string): Promise<Video>;
  get(id: string): Promise<Video>;
  /** Waits until the video is ready, failed or cancelled. */
  finished(id: string, timeoutMs?: number): Promise<Video>;
  until(id: string, what: string, isSo: (video: Video) => boolean, timeoutMs?: number): Promise<Video>;
  frames(video: Video): Promise<FrameRow[]>;
  passages(video: Video): Promise<PassageRow[]>;
}

const waiting = (): Stage => ({ state: 'waiting', doneMs: 0, totalMs: 0 });

export async function startSystem(env: Record<string, string> = {}): Promise<System> {
  const redis = await startRedis();
  const dataDir = await mkdtemp(join(tmpdir(), 'cuepoint-worker-test-'));
  const connection = connectRedis(redis.url);
  connection.on('error', () => {});
  const catalog = new Catalog(connection);
  const jobs = new Jobs(redis.url);
  const blobs = openBlobs({ dir: join(dataDir, 'blobs') });
  const index = await openVectorIndex({ lanceDir: join(dataDir, 'lance') });
  const workers: WorkerProcess[] = [];

  async function startWorker(more: Record<string, string> = {}): Promise<WorkerProcess> {
    const child = fork(MAIN, [], {
      env: {
        PATH: process.env.PATH,
        HOME: process.env.HOME,
        TMPDIR: process.env.TMPDIR,
        REDIS_URL: redis.url,
        DATA_DIR: dataDir,
        MODEL_PROFILE: 'tiny',
        DEVICE: 'cpu',
        LOG_LEVEL: 'debug',
        ...env,
        ...more,
      },
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    const logs: Record<string, unknown>[] = [];
    if (child.stdout) {
      createInterface(child.stdout).on('line', (line) => {
        if (process.env.WORKER_LOGS) process.stderr.write(`${line}\n`);
        if (line.startsWith('{')) logs.push(JSON.parse(line));
      });
    }
    const exited = once(child, 'exit');
    const ended = async (signal: NodeJS.Signals) => {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      await exited;
      return child.exitCode;
    };
    const worker = { child, logs, kill: async () => void (await ended('SIGKILL')), stop: () => ended('SIGTERM') };
    workers.push(worker);
    await Promise.race([
      once(child, 'message'),
      exited.then(() =>
        Promise.reject(new Error(`The worker did not start:\n${logs.map((line) => JSON.stringify(line)).join('\n')}`)),
      ),
    ]);
    return worker;
  }

  async function create(source: Video['source'], id: string, extra: Partial<Video>): Promise<Video> {
    const video: Video = {
      id,
      tenant: TENANT,
      run: 1,
      status: 'queued',
      title: 'A video',
      filename: 'video.mp4',
      metadata: {},
      source,
      stages: { probe: waiting(), frames: waiting(), speech: waiting(), finalize: waiting() },
      warnings: [],
      counts: { frames: 0, passages: 0 },
      createdAt: Date.now(),
      updatedAt: Date.now(),
      ...extra,
    };
    await catalog.createVideo(video);
    await jobs.addPlan({ tenant: TENANT, videoId: id, run: 1 });
    return video;
  }

  async function until(id: string, what: string, isSo: (video: Video) => boolean, timeoutMs = 120_000): Promise<Video> {
    for (const [start, end] = [Date.now(), Date.now() + timeoutMs]; ; ) {
      const video = await catalog.getVideo(TENANT, id);
      if (video && isSo(video)) return video;
      if (Date.now() > end) {
        const logs = workers.flatMap((worker) => worker.logs).slice(-40);
        throw new Error(
          `Waited in vain for ${what}: ${JSON.stringify(video)}\n${logs.map((l) => JSON.stringify(l)).join('\n')}`,
        );
      }
      // What takes long, such as until a lock has run out, is not asked for as often.
      await sleep(Date.now() - start < 10_000 ? 50 : 250);
    }
  }

  return {
    redis,
    dataDir,
    catalog,
    jobs,
    blobs,
    index,
    workers,
    startWorker,
    async addVideo(path, extra = {}) {
      const id = extra.id ?? v7();
      const blobKey = `${TENANT}/${id}/source`;
      const info = await blobs.put(blobKey, createReadStream(path));
      return create({ kind: 'upload', blobKey, ...info }, id, extra);
    },
    addUrl: (url) => create({ kind: 'url', url }, v7(), {}),
    async get(id) {
      const video = await catalog.getVideo(TENANT, id);
      if (!video) throw new Error(`No video ${id}`);
      return video;
    },
    finished: (id, timeoutMs) => until(id, 'the end of indexing', ({ status }) => TERMINAL.includes(status), timeoutMs),
    until,
    async frames(video) {
      const [worker] = await catalog.listWorkers();
      const id = video.models?.clip ?? worker?.models?.clip ?? 'none';
      return index.listFrames({ id, dimension: TINY_DIMENSION }, TENANT, video.id);
    },
    passages: (video) => index.listPassages(TENANT, video.id),
    async [Symbol.asyncDispose]() {
      await Promise.all(workers.map((worker) => worker.kill()));
      await Promise.allSettled([jobs.close(), catalog.close(), index.close()]);
      connection.disconnect();
      await redis.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** Vector length of the tiny CLIP. */
const TINY_DIMENSION = 128;

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
