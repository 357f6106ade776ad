import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { CliError } from '../errors.ts';

const FIRST_BACKOFF_MS = 500;
const LAST_BACKOFF_MS = 10_000;
/** One that ran this long was well: the next restart is quick again. */
const HEALTHY_MS = 60_000;
const CRASHES_TO_TELL = 4;
/** A little more than api and worker give their own work to end. */
const STOP_GRACE_MS = 12_000;
const KEPT_LINES = 12;

/** Everything that runs. Whatever way this process ends in, they end with it. */
const running = new Set<ChildProcess>();
export function killAll(): void {
  for (const child of running) child.kill('SIGKILL');
}
process.on('exit', killAll);

export interface ServiceOptions {
  name: string;
  /** Asked anew at every start. */
  command: () => { file: string; args: string[]; env: Record<string, string | undefined>; ipc: boolean };
  /** Resolves when the process can do its work; rejects only when it never will. */
  ready: (child: ChildProcess, signal: AbortSignal) => Promise<void>;
  onLine: (line: string) => void;
  /** What the supervisor itself has to say of it. */
  onNews: (text: string) => void;
}

/** One child process that is kept running: started again when it dies, with growing pauses. */
export class Service {
  readonly #options: ServiceOptions;
  readonly #stopping = new AbortController();
  readonly #lastLines: string[] = [];
  #child: ChildProcess | undefined;
  #watching: Promise<void> = Promise.resolve();
  constructor(options: ServiceOptions) {
    this.#options = options;
  }

  /** Resolves when it is ready for the first time. One that ends before that is not tried again: CliError `service_failed` with its last words. */
  async start(): Promise<void> {
    const { child, exited } = this.#spawn();
    const first = new AbortController();
    const died = exited.then((how) => {
      first.abort();
      throw new CliError('service_failed', `${this.#options.name} ${how} before it was ready.${this.#words()}`);
    });
    await Promise.race([this.#options.ready(child, AbortSignal.any([first.signal, this.#stopping.signal])), died]);
    died.catch(() => {});
    this.#watching = this.#watch(exited);
  }

  /** Asks it to end, insists when it takes too long, and waits until it is gone. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const child = this.#child;
    if (child && running.has(child)) {
      const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
      child.kill('SIGTERM');
      const insist = setTimeout(() => child.kill('SIGKILL'), STOP_GRACE_MS);
      await gone;
      clearTimeout(insist);
    }
    await this.#watching;
  }

  async #watch(exited: Promise<string>): Promise<void> {
    const { name, onNews, ready } = this.#options;
    let backoffMs = FIRST_BACKOFF_MS;
    let crashes = 0;
    let startedAt = Date.now();
    for (;;) {
      const how = await exited;
      if (this.#stopping.signal.aborted) return;
      if (Date.now() - startedAt > HEALTHY_MS) {
        backoffMs = FIRST_BACKOFF_MS;
        crashes = 0;
      }
      crashes += 1;
      onNews(
        crashes % CRASHES_TO_TELL === 0
          ? `${name} keeps stopping (${crashes} times, now: ${how}).${this.#words()}`
          : `${name} ${how}; starting it again in ${backoffMs / 1000} s`,
      );
      try {
        await sleep(backoffMs, undefined, { signal: this.#stopping.signal });
      } catch {
        return;
      }
      backoffMs = Math.min(backoffMs * 2, LAST_BACKOFF_MS);
      startedAt = Date.now();
      const next = this.#spawn();
      exited = next.exited;
      const ended = new AbortController();
      void exited.then(() => ended.abort());
      ready(next.child, AbortSignal.any([ended.signal, this.#stopping.signal])).then(
        () => onNews(`${name} is back`),
        () => {},
      );
    }
  }

  #spawn(): { child: ChildProcess; exited: Promise<string> } {
    const { file, args, env, ipc } = this.#options.command();
    const options: SpawnOptions = {
      env: env as NodeJS.ProcessEnv,
      stdio: ['ignore', 'pipe', 'pipe', ...(ipc ? (['ipc'] as const) : [])],
      // A process group of its own: Ctrl-C reaches the supervisor only, which stops things in their order.
      detached: true,
    };
    const child = spawn(file, args, options);
    this.#child = child;
    running.add(child);
    for (const stream of [child.stdout, child.stderr]) this.#listen(stream);
    const exited = new Promise<string>((resolve) => {
      const over = (how: string) => {
        running.delete(child);
        resolve(how);
      };
      child.once('error', (error) => {
        if (child.pid === undefined) over(`could not be started (${error.message})`);
      });
      child.once('exit', (status, signal) => over(signal ? `was ended by ${signal}` : `stopped with status ${status}`));
    });
    return { child, exited };
  }

  #listen(stream: Readable | null): void {
    if (!stream) return;
    stream.on('error', () => {});
    createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on('line', (line) => {
      this.#lastLines.push(line);
      if (this.#lastLines.length > KEPT_LINES) this.#lastLines.shift();
      this.#options.onLine(line);
    });
  }

  #words(): string {
    const lines = this.#lastLines.map(lastWords).filter(Boolean);
    return lines.length ? ` Its last words:\n${lines.map((line) => `    ${line}`).join('\n')}` : '';
  }
}

/** The message of a JSON log line; other lines as they are. */
function lastWords(line: string): string {
  try {
    const { msg, err } = JSON.parse(line) as { msg?: string; err?: { message?: string } };
    return [msg, err?.message].filter(Boolean).join(': ');
  } catch {
    return line;
  }
}

/** Resolves with the first message of a type that a child sends. */
export function message<T extends { type: string }>(
  child: ChildProcess,
  type: T['type'],
  signal: AbortSignal,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const listen = (value: unknown) => {
      if ((value as { type?: unknown } | null)?.type !== type) return;
      child.off('message', listen);
      resolve(value as T);
    };
    child.on('message', listen);
    signal.addEventListener('abort', () => {
      child.off('message', listen);
      reject(new Error('gone'));
    });
  });
}
