/**
 * `npm run bench`: what the product promises about time and memory while it indexes, measured on the embedded product as a user runs it.
 * One fresh product for each length of video, so that the peak memory of one says nothing of the other. Figures are of this machine: compare
 * within one run. JSON goes to bench/results/.
 */
import { execFile, spawn } from 'node:child_process';
import { openAsBlob, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const root = new URL('../../', import.meta.url).pathname;
const SAMPLE = join(root, 'test/fixtures/sample/sample.mp4');

interface Result {
  video: string;
  mediaSeconds: number;
  indexingSeconds: number;
  realtimeFactor: number;
  frames: number;
  passages: number;
  workerPeakMb: number;
  apiPeakMb: number;
  workerLoopP99Ms: number;
  apiLoopP99Ms: number;
}

const freePort = () =>
  new Promise<number>((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });

/** Peak resident memory of a process in MB, as the kernel counts it (Linux). */
function peakMb(pid: number): number {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
}

/** Pid of the child of `parent` whose command line names `script`. */
async function childOf(parent: number, script: string): Promise<number> {
  const { stdout } = await promisify(execFile)('ps', ['-o', 'pid=,args=', '--ppid', String(parent)]);
  const line = stdout.split('\n').find((row) => row.includes(script));
  if (!line) throw new Error(`No ${script} below process ${parent}`);
  return Number.parseInt(line, 10);
}

async function json<T>(url: string, init?: RequestInit): Promise<T> {
  const response = await fetch(url, init);
  if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`);
  return (await response.json()) as T;
}

async function waitFor<T>(what: string, timeoutMs: number, probe: () => Promise<T | undefined>): Promise<T> {
  for (const end = Date.now() + timeoutMs; ; ) {
    const value = await probe().catch(() => undefined);
    if (value !== undefined) return value;
    if (Date.now() > end) throw new Error(`Waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

interface Health {
  workers: { ready: boolean; eventLoopP99Ms?: number }[];
}

async function measure(name: string, path: string): Promise<Result> {
  const dataDir = await mkdtemp(join(tmpdir(), 'cuepoint-bench-'));
  const port = await freePort();
  const base = `http://127.0.0.1:${port}`;
  const up = spawn(process.execPath, [join(root, 'dist/apps/cli/main.js'), 'up'], {
    env: { ...process.env, DATA_DIR: dataDir, PORT: String(port), MODEL_PROFILE: 'tiny' },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  try {
    await waitFor('a ready worker', 60_000, async () => {
      const health = (await (await fetch(`${base}/health/ready`)).json()) as Health;
      return health.workers.some((worker) => worker.ready) || undefined;
    });
    const form = new FormData();
    form.append('title', name);
    form.append('file', await openAsBlob(path, { type: 'video/mp4' }), 'video.mp4');
    const created = await json<{ id: string }>(`${base}/v1/videos`, { method: 'POST', body: form });
    await apiLoopP99(base); // what came before the upload does not count
    // The worst of the worker's pulses, each the 99th percentile of five seconds.
    let workerLoopP99Ms = 0;
    const started = Date.now();
    const video = await waitFor('the video to be ready', 30 * 60_000, async () => {
      const health = (await (await fetch(`${base}/health/ready`)).json()) as Health;
      workerLoopP99Ms = Math.max(workerLoopP99Ms, ...health.workers.map((worker) => worker.eventLoopP99Ms ?? 0));
      const now = await json<{
        status: string;
        media: { duration: number };
        counts: { frames: number; passages: number };
        progress: number;
      }>(`${base}/v1/videos/${created.id}`);
      process.stderr.write(`\r${name}: ${now.status} ${Math.round(now.progress * 100)} %   `);
      return ['ready', 'failed'].includes(now.status) ? now : undefined;
    });
    process.stderr.write('\n');
    if (video.status !== 'ready') throw new Error(`Indexing ended ${video.status}`);
    const indexingSeconds = (Date.now() - started) / 1000;
    if (up.pid === undefined) throw new Error('No supervisor');
    return {
      video: name,
      mediaSeconds: video.media.duration,
      indexingSeconds,
      realtimeFactor: video.media.duration / indexingSeconds,
      frames: video.counts.frames,
      passages: video.counts.passages,
      workerPeakMb: peakMb(await childOf(up.pid, 'worker/main.js')),
      apiPeakMb: peakMb(await childOf(up.pid, 'api/main.js')),
      workerLoopP99Ms,
      apiLoopP99Ms: await apiLoopP99(base),
    };
  } finally {
    const gone = new Promise((resolve) => up.once('exit', resolve));
    up.kill('SIGTERM');
    await gone;
    await rm(dataDir, { recursive: true, force: true });
  }
}

/** 99th percentile of the api's event-loop delay since the last call. */
async function apiLoopP99(base: string): Promise<number> {
  const metrics = await (await fetch(`${base}/metrics`)).text();
  const seconds = /^cuepoint_event_loop_delay_p99_seconds\S* (\S+)$/m.exec(metrics)?.[1];
  if (seconds === undefined) throw new Error('The api shows no event-loop delay');
  return Number(seconds) * 1000;
}

/** The sample over and over, to a given length, without encoding it again. */
async function repeated(path: string, seconds: number): Promise<void> {
  const args = [
    '-v',
    'error',
    '-y',
    '-stream_loop',
    '-1',
    '-i',
    SAMPLE,
    '-t',
    String(seconds),
    '-c',
    'copy',
    '-movflags',
    '+faststart',
    path,
  ];
  await promisify(execFile)('ffmpeg', args);
}

const scratch = await mkdtemp(join(tmpdir(), 'cuepoint-bench-media-'));
try {
  const hour = join(scratch, 'hour.mp4');
  await repeated(hour, 3600);
  const results = [await measure('sample, 3 minutes', SAMPLE), await measure('the sample for 60 minutes', hour)];
  const [short, long] = results;
  const growthMb = (long?.workerPeakMb ?? 0) - (short?.workerPeakMb ?? 0);
  console.table(
    results.map((row) =>
      Object.fromEntries(
        Object.entries(row).map(([key, value]) => [
          key,
          typeof value === 'number' ? Math.round(value * 10) / 10 : value,
        ]),
      ),
    ),
  );
  const checks = [
    {
      promise: 'event-loop delay in api and worker: p99 under 50 ms',
      value: Math.max(...results.flatMap((row) => [row.apiLoopP99Ms, row.workerLoopP99Ms])),
      limit: 50,
    },
    { promise: 'worker peak memory: 60 minutes within 200 MB of 3 minutes', value: growthMb, limit: 200 },
  ];
  for (const { promise, value, limit } of checks)
    console.log(`${value < limit ? 'ok  ' : 'MISS'} ${promise}: ${value.toFixed(1)}`);
  const folder = join(root, 'bench/results');
  await mkdir(folder, { recursive: true });
  const file = join(folder, `indexing-${new Date().toISOString().replaceAll(':', '-')}.json`);
  await writeFile(
    file,
    `${JSON.stringify({ machine: { cpu: cpus()[0]?.model, cores: cpus().length }, results, checks }, null, 2)}\n`,
  );
  console.log(`Written to ${file}`);
  process.exitCode = checks.every(({ value, limit }) => value < limit) ? 0 : 1;
} finally {
  await rm(scratch, { recursive: true, force: true });
}
