/** The embedded product, with a data folder of its own that is kept: what was indexed once is not indexed again. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, openAsBlob } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';

const CLI = new URL('../../dist/apps/cli/main.js', import.meta.url).pathname;

export interface FoundMoment {
  videoId: string;
  start: number;
  end: number;
  confidence: number;
}
export interface Answer {
  moments: FoundMoment[];
  tookMs: number;
  /** Milliseconds of each step, where the api tells. */
  steps?: Record<string, number>;
}
interface Video {
  id: string;
  status: string;
  metadata: Record<string, string>;
  progress: number;
  error?: { message: string };
}

export class Product implements AsyncDisposable {
  readonly #url: string;
  readonly #stop: () => Promise<void>;
  private constructor(url: string, stop: () => Promise<void>) {
    this.#url = url;
    this.#stop = stop;
  }

  static async start(dataDir: string, settings: Record<string, string>): Promise<Product> {
    await mkdir(dataDir, { recursive: true });
    const up = spawn(process.execPath, [CLI, 'up', '--json'], {
      env: { ...process.env, ...settings, DATA_DIR: dataDir, HOST: '127.0.0.1', PORT: '0', API_KEYS: '' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const gone = new Promise<void>((resolve) => up.once('exit', () => resolve()));
    const stop = async () => {
      up.kill('SIGTERM');
      await gone;
    };
    for await (const line of createInterface({ input: up.stdout })) {
      const record = JSON.parse(line) as { type: string; url?: string };
      if (record.type !== 'ready' || !record.url) continue;
      up.stdout.resume();
      return new Product(record.url, stop);
    }
    throw new Error('The product did not start.');
  }

  /** Makes the product hold these files and no others. Returns the id of each name. */
  async index(files: Map<string, string>, say: (text: string) => void): Promise<Map<string, string>> {
    const wanted = new Map<string, { name: string; path: string }>();
    for (const [name, path] of files) wanted.set(`${name} ${await sha256(path)}`, { name, path });
    const ids = new Map<string, string>();
    for (const video of await this.#videos()) {
      const found = wanted.get(video.metadata.evaluation ?? '');
      if (found && video.status === 'ready' && !ids.has(found.name)) ids.set(found.name, video.id);
      else await this.#request('DELETE', `/v1/videos/${video.id}`);
    }
    for (const [key, { name, path }] of wanted) {
      if (ids.has(name)) continue;
      const form = new FormData();
      form.append('metadata', JSON.stringify({ evaluation: key }));
      form.append('title', name);
      form.append('language', 'en');
      form.append('file', await openAsBlob(path), basename(path));
      ids.set(name, (await this.#request<{ id: string }>('POST', '/v1/videos', form)).id);
    }
    for (const [name, id] of ids) {
      for (;;) {
        const video = await this.#request<Video>('GET', `/v1/videos/${id}`);
        if (video.status === 'ready') break;
        if (video.status === 'failed') throw new Error(`${name} could not be indexed: ${video.error?.message}`);
        say(`indexing ${name}: ${Math.round(video.progress * 100)} %`);
        await sleep(500);
      }
    }
    return ids;
  }

  search(body: object): Promise<Answer> {
    return this.#request('POST', '/v1/search', body);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop();
  }

  async #videos(): Promise<Video[]> {
    const all: Video[] = [];
    for (let cursor = ''; ; ) {
      const page = await this.#request<{ videos: Video[]; nextCursor?: string }>(
        'GET',
        `/v1/videos?limit=100${cursor}`,
      );
      all.push(...page.videos);
      if (!page.nextCursor) return all;
      cursor = `&cursor=${encodeURIComponent(page.nextCursor)}`;
    }
  }

  async #request<T>(method: string, path: string, body?: object): Promise<T> {
    const isForm = body instanceof FormData;
    const response = await fetch(this.#url + path, {
      method,
      ...(body && { body: isForm ? body : JSON.stringify(body) }),
      ...(body && !isForm && { headers: { 'content-type': 'application/json' } }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return (text ? JSON.parse(text) : undefined) as T;
  }
}

/** Name of a data folder, of what decides what is in it. */
export const cacheName = (...parts: string[]): string =>
  createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16);

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
/** Folder of all data folders; ignored by git. */
export const CACHE = join(new URL('../../', import.meta.url).pathname, 'build/eval');
