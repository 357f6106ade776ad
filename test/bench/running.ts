/** The embedded product as a user runs it, and what is asked of it from outside. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { openAsBlob, readFileSync } from 'node:fs';
import { Agent, type IncomingMessage, request } from 'node:http';
import { createServer } from 'node:net';
import { basename, join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { ROOT } from './report.ts';

interface Health {
  workers: { ready: boolean; eventLoopP99Ms?: number }[];
}

export class Running implements AsyncDisposable {
  readonly url: string;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #up: ReturnType<typeof spawn>;

  private constructor(url: string, up: ReturnType<typeof spawn>) {
    this.url = url;
    this.#up = up;
  }

  /** `cuepoint up`; resolves when its worker takes jobs. */
  static async start(dataDir: string, env: Record<string, string> = {}): Promise<Running> {
    const port = await freePort();
    const up = spawn(process.execPath, [join(ROOT, 'dist/apps/cli/main.js'), 'up'], {
      env: { ...process.env, MODEL_PROFILE: 'tiny', ...env, DATA_DIR: dataDir, PORT: String(port) },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const running = new Running(`http://127.0.0.1:${port}`, up);
    try {
      await waitFor('a ready worker', 120_000, async () => {
        if (up.exitCode !== null) throw new Error(`cuepoint up ended with ${up.exitCode}`);
        return (await running.#health()).workers.some((worker) => worker.ready) || undefined;
      });
      return running;
    } catch (error) {
      await running[Symbol.asyncDispose]();
      throw error;
    }
  }

  async json<T>(path: string, init?: RequestInit): Promise<T> {
    const response = await fetch(this.url + path, init);
    const text = await response.text();
    if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`);
    return (text && JSON.parse(text)) as T;
  }

  /**
   * POST of JSON, over connections that stay open. By `node:http`: `fetch` takes most of a millisecond more for itself on two cores, and whoever asks is not
   * what is measured.
   */
  async post<T>(path: string, body: unknown): Promise<T> {
    const json = JSON.stringify(body);
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(json) };
    const sent = request(this.url + path, { method: 'POST', agent: this.#agent, headers }).end(json);
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    const answer = (await buffer(response)).toString();
    if (response.statusCode !== 200) throw new Error(`${path}: ${response.statusCode} ${answer}`);
    return JSON.parse(answer);
  }

  async upload(path: string, title: string): Promise<string> {
    const form = new FormData();
    form.append('title', title);
    form.append('file', await openAsBlob(path, { type: 'video/mp4' }), basename(path));
    return (await this.json<{ id: string }>('/v1/videos', { method: 'POST', body: form })).id;
  }

  /** 99th percentile of the api's event-loop delay since the last call. */
  async apiLoopP99Ms(): Promise<number> {
    const metrics = await (await fetch(`${this.url}/metrics`)).text();
    const seconds = /^cuepoint_event_loop_delay_p99_seconds\S* (\S+)$/m.exec(metrics)?.[1];
    if (seconds === undefined) throw new Error('The api shows no event-loop delay');
    return Number(seconds) * 1000;
  }
  /** Of the worker's last pulse, which is the 99th percentile of five seconds. */
  async workerLoopP99Ms(): Promise<number> {
    return Math.max(0, ...(await this.#health()).workers.map((worker) => worker.eventLoopP99Ms ?? 0));
  }

  /** Peak resident memory in MB, as the kernel counts it (Linux). */
  async peakMb(app: 'api' | 'worker'): Promise<number> {
    if (this.#up.pid === undefined) throw new Error('No supervisor');
    const status = readFileSync(`/proc/${await childOf(this.#up.pid, `${app}/main.js`)}/status`, 'utf8');
    return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#agent.destroy();
    if (this.#up.exitCode !== null || this.#up.signalCode !== null) return;
    const gone = new Promise((resolve) => this.#up.once('exit', resolve));
    this.#up.kill('SIGTERM');
    await gone;
  }

  async #health(): Promise<Health> {
    return (await (await fetch(`${this.url}/health/ready`)).json()) as Health;
  }
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

/** Pid of the child of `parent` whose command line names `script`. */
async function childOf(parent: number, script: string): Promise<number> {
  const { stdout } = await promisify(execFile)('ps', ['-o', 'pid=,args=', '--ppid', String(parent)]);
  const line = stdout.split('\n').find((row) => row.includes(script));
  if (!line) throw new Error(`No ${script} below process ${parent}`);
  return Number.parseInt(line, 10);
}

export async function waitFor<T>(what: string, timeoutMs: number, probe: () => Promise<T | undefined>): Promise<T> {
  let last: unknown;
  for (const end = Date.now() + timeoutMs; ; ) {
    const value = await probe().catch((error) => {
      last = error;
      return undefined;
    });
    if (value !== undefined) return value;
    if (Date.now() > end) throw new Error(`Waited in vain for ${what}`, { cause: last });
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

/** A video over and over, to a given length, without encoding it again. */
export async function repeated(source: string, path: string, seconds: number): Promise<void> {
  const loop = ['-stream_loop', '-1', '-i', source, '-t', String(seconds), '-c', 'copy', '-movflags', '+faststart'];
  await promisify(execFile)('ffmpeg', ['-v', 'error', '-y', ...loop, path]);
}
