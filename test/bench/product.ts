/**
 * Time and memory while indexing, measured on the embedded product as a user runs it, with the tiny models. One fresh product for each length
 * of video, so that the peak memory of one says nothing of the other.
 */
import { execFile, spawn } from 'node:child_process';
import { openAsBlob, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { progress, ROOT, type Row } from './report.ts';

const SAMPLE = join(ROOT, 'test/fixtures/sample/sample.mp4');

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
  const up = spawn(process.execPath, [join(ROOT, 'dist/apps/cli/main.js'), 'up'], {
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
      progress(`product: ${name}: ${now.status} ${Math.round(now.progress * 100)} %`);
      return ['ready', 'failed'].includes(now.status) ? now : undefined;
    });
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

/** `longMinutes` of video against three. */
export async function product(longMinutes: number): Promise<Row[]> {
  const scratch = await mkdtemp(join(tmpdir(), 'cuepoint-bench-media-'));
  try {
    const path = join(scratch, 'long.mp4');
    await repeated(path, longMinutes * 60);
    const short = await measure('the sample, 3 minutes', SAMPLE);
    const long = await measure(`the sample for ${longMinutes} minutes`, path);
    const loopP99Ms = Math.max(...[short, long].flatMap((run) => [run.apiLoopP99Ms, run.workerLoopP99Ms]));
    const part = 'product';
    return [
      ...[short, long].map(({ video, realtimeFactor, frames, passages }): Row => {
        const note = `tiny models, ${frames} frames, ${passages} passages`;
        return { part, measure: `times real time, ${video}`, value: realtimeFactor, unit: 'x', note };
      }),
      { part, measure: 'event-loop delay in api and worker, p99', value: loopP99Ms, unit: 'ms', bar: { atMost: 50 } },
      { part, measure: 'worker peak memory', value: long.workerPeakMb, unit: 'MB', note: long.video },
      {
        part,
        measure: `worker peak memory, ${longMinutes} minutes over 3`,
        value: long.workerPeakMb - short.workerPeakMb,
        unit: 'MB',
        bar: { atMost: 200 },
      },
      { part, measure: 'api peak memory', value: long.apiPeakMb, unit: 'MB', note: long.video },
    ];
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
