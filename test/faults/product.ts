/** The whole product, for tests that kill its processes. */
import { execFileSync } from 'node:child_process';
import { openAsBlob, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { cuepoint, type Running, SAMPLE, temporaryFolder, until } from '../cli/processes.ts';

/** `cuepoint up` on a folder of its own, however often it is started; all of it ends with the block. */
export class Product implements AsyncDisposable {
  readonly folder = temporaryFolder();
  #running?: Running;
  async up(): Promise<string> {
    this.#running = cuepoint(['up', '--json', '--data-dir', this.folder.path], { PORT: '0', SHARD_MINUTES: '0.25' });
    return String((await this.#running.record('ready')).url);
  }
  /** Waits for the end of what was killed. */
  async ended(): Promise<void> {
    await this.#running?.ended();
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.#running?.signal('SIGTERM');
    await this.ended();
    await this.folder[Symbol.asyncDispose]();
  }
}

/** Pids of the product on a data folder, by what they are (Linux). */
export function pidsOf(dataDir: string): { kind: string; pid: number }[] {
  const found = [];
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      const environment = readFileSync(`/proc/${pid}/environ`, 'utf8');
      if (!command.includes(dataDir) && !environment.includes(`DATA_DIR=${dataDir}`)) continue;
      const kind = /(api|worker|cli)\/main\.js|(redis)|(ffmpeg)/.exec(command)?.slice(1).find(Boolean);
      if (kind) found.push({ kind, pid });
    } catch {
      // gone meanwhile
    }
  }
  return found;
}
export function kill(dataDir: string, kinds: string[]): string[] {
  const victims = pidsOf(dataDir).filter(({ kind }) => kinds.includes(kind));
  for (const { pid } of victims) process.kill(pid, 'SIGKILL');
  return victims.map(({ kind }) => kind);
}

export async function upload(url: string, path: string): Promise<string> {
  const form = new FormData();
  form.append('title', 'Under fire');
  form.append('file', await openAsBlob(path), 'video.mp4');
  const response = await fetch(`${url}/v1/videos`, { method: 'POST', body: form });
  expect(response.status).toBe(202);
  return ((await response.json()) as { id: string }).id;
}
export async function video(
  url: string,
  id: string,
): Promise<{ status: string; progress: number; counts: object } | undefined> {
  const response = await fetch(`${url}/v1/videos/${id}`).catch(() => undefined);
  return response?.ok ? ((await response.json()) as never) : undefined;
}
export const ready = (url: string, id: string) =>
  until(async () => (await video(url, id))?.status === 'ready', `video ${id} ready`, 180_000);

export function clip(folder: string): string {
  const path = join(folder, 'clip.mp4');
  execFileSync('ffmpeg', ['-v', 'error', '-i', SAMPLE, '-t', '30', '-c', 'copy', path]);
  return path;
}
