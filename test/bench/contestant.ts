/** One side of a comparison: a process of its own, warm, that does pieces of work when told to, so that sides can take turns. */
import { type ChildProcess, fork } from 'node:child_process';
import { cpus } from 'node:os';
import { pathToFileURL } from 'node:url';

/** What a contestant is started with. */
export interface Setup {
  model: 'clip' | 'whisper';
  folder: string;
  threads: number;
  /** Of the parts that have several precisions. */
  files: readonly string[];
}
export interface Done {
  ms: number;
  /** Anything counted. */
  [figure: string]: number;
}
export interface Started {
  /** Opening and the first run. */
  loadMs: number;
}

/** Cores of the machine. Every side of a comparison computes with as many threads. */
export const THREADS = cpus().length;

/** Cuepoint's inference threads are this nice (libs/models/worker.ts), so the other sides are too: a busy machine then treats all alike. */
export const NICENESS = 10;

export class Contestant {
  readonly started: Started;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, started: Started) {
    this.#child = child;
    this.started = started;
  }

  static async start(script: string, setup: Setup): Promise<Contestant> {
    const child = fork(new URL(script, pathToFileURL(`${import.meta.dirname}/`)), [JSON.stringify(setup)], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    return new Contestant(child, await answer<Started>(child, script));
  }

  async run(work: Record<string, unknown>): Promise<Done> {
    const done = answer<Done>(this.#child, JSON.stringify(work));
    this.#child.send(work);
    return done;
  }

  /** Ends it; its peak resident memory in MB. */
  async stop(): Promise<number> {
    const { peakMb } = await this.run({ stop: true });
    await new Promise((resolve) => {
      this.#child.once('exit', resolve);
      this.#child.disconnect();
    });
    return peakMb as number;
  }
}

function answer<T>(child: ChildProcess, what: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null) => reject(new Error(`${what}: the process ended (${code})`));
    child.once('exit', onExit);
    child.once('message', (message: T & { error?: string }) => {
      child.off('exit', onExit);
      if (message.error) reject(new Error(`${what}: ${message.error}`));
      else resolve(message);
    });
  });
}

/** In the contestant's process: opens, then works as told. `open` gives the work. */
export async function compete(
  open: (setup: Setup) => Promise<(work: Record<string, unknown>) => Promise<Record<string, number>>>,
): Promise<void> {
  const send = (message: unknown) => process.send?.(message);
  try {
    const startedAt = performance.now();
    const work = await open(JSON.parse(process.argv[2] ?? '{}'));
    send({ loadMs: performance.now() - startedAt });
    process.on('message', async (message: Record<string, unknown>) => {
      try {
        if (message.stop) send({ ms: 0, peakMb: process.resourceUsage().maxRSS / 1024 });
        else {
          const from = performance.now();
          const figures = await work(message);
          send({ ms: performance.now() - from, ...figures });
        }
      } catch (error) {
        send({ error: (error as Error).stack });
      }
    });
    process.on('disconnect', () => process.exit(0));
  } catch (error) {
    send({ error: (error as Error).stack });
    process.exitCode = 1;
  }
}

/** The same pictures on every side: RGB noise of one seed (xorshift), `count` of them one after the other. */
export function pictures(count: number, size: number): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil((count * size * size * 3) / 4));
  let state = 2463534242;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  return new Uint8Array(words.buffer, 0, count * size * size * 3).slice();
}

/** The bytes of a file as float32. */
export const floats = ({ buffer, byteOffset, byteLength }: Buffer) =>
  new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer);
