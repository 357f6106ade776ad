import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const CLI = join(ROOT, 'dist', 'apps', 'cli', 'main.js');
export const SAMPLE = join(ROOT, 'test', 'fixtures', 'sample', 'sample.mp4');

type Json = Record<string, unknown>;
export interface Ended {
  status: number | null;
  stdout: string;
  stderr: string;
  /** stdout as JSON lines; throws when there is anything else. */
  records: Json[];
  tookMs: number;
}

// The settings of whoever runs the tests must not reach what is tested.
const SETTINGS = [
  'REDIS_URL',
  'QDRANT_URL',
  'S3_BUCKET',
  'S3_ENDPOINT',
  'API_KEYS',
  'PORT',
  'HOST',
  'DATA_DIR',
  'CUEPOINT_URL',
  'LLM_MODEL',
];
function environment(extra: Record<string, string>): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = { ...process.env, MODEL_PROFILE: 'tiny', ...extra };
  for (const name of SETTINGS) if (!(name in extra)) delete env[name];
  return env;
}

/** A Node process under test, with what it says. */
export class Running {
  stdout = '';
  stderr = '';
  readonly #started = Date.now();
  readonly #ended: Promise<number | null>;
  private constructor(readonly child: ChildProcess) {
    child.stdout?.on('data', (chunk) => {
      this.stdout += chunk;
    });
    child.stderr?.on('data', (chunk) => {
      this.stderr += chunk;
    });
    this.#ended = new Promise((resolve) => child.once('close', (status) => resolve(status)));
  }
  static start(args: string[], env: Record<string, string> = {}, program = process.execPath): Running {
    const options = {
      cwd: ROOT,
      env: environment(env),
      stdio: ['ignore', 'pipe', 'pipe'] as ['ignore', 'pipe', 'pipe'],
    };
    return new Running(spawn(program, args, options));
  }
  async ended(): Promise<Ended> {
    const status = await this.#ended;
    const { stdout, stderr } = this;
    return {
      status,
      stdout,
      stderr,
      tookMs: Date.now() - this.#started,
      get records() {
        return lines(stdout);
      },
    };
  }
  /** The first record of a type; throws when the process ends without it. */
  async record(type: string): Promise<Json> {
    let over = false;
    void this.#ended.then(() => {
      over = true;
    });
    for (;;) {
      const complete = this.stdout.slice(0, this.stdout.lastIndexOf('\n') + 1);
      const found = lines(complete).find((value) => value.type === type);
      if (found) return found;
      if (over) throw new Error(`ended without ${type}:\n${this.stdout}${this.stderr}`);
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
  }
  async says(text: string): Promise<void> {
    await until(() => this.stderr.includes(text), `“${text}” in:\n${this.stderr}`);
  }
  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }
}

export const cuepoint = (args: string[], env?: Record<string, string>) => Running.start([CLI, ...args], env);
export const run = (args: string[], env?: Record<string, string>) => cuepoint(args, env).ended();

export async function until(check: () => boolean | Promise<boolean>, what: string, timeoutMs = 30_000): Promise<void> {
  const start = Date.now();
  while (!(await check())) {
    const waitedMs = Date.now() - start;
    if (waitedMs > timeoutMs) throw new Error(`never came: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, waitedMs < 10_000 ? 50 : 250));
  }
}

/** A temporary folder that goes with the `await using` block. */
export function temporaryFolder(): { path: string } & AsyncDisposable {
  const path = mkdtempSync(join(tmpdir(), 'cuepoint-test-'));
  return {
    path,
    async [Symbol.asyncDispose]() {
      rmSync(path, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

function lines(text: string): Json[] {
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Json);
}
