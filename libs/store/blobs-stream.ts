import { createHash } from 'node:crypto';
import { Transform, type TransformCallback } from 'node:stream';
import type { BlobInfo } from './blobs.ts';
import { StoreError } from './errors.ts';

/** Counts and hashes what passes through it; breaks with `blob_too_large` as soon as that is more than `maxBytes`. */
export class Meter extends Transform {
  readonly #hash = createHash('sha256');
  #bytes = 0;

  constructor(private readonly maxBytes = Number.POSITIVE_INFINITY) {
    super();
  }
  get info(): BlobInfo {
    return { sizeBytes: this.#bytes, sha256: this.#hash.copy().digest('hex') };
  }
  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#bytes += chunk.length;
    if (this.#bytes > this.maxBytes) {
      done(new StoreError('blob_too_large', `More than ${this.maxBytes} bytes`));
      return;
    }
    this.#hash.update(chunk);
    done(null, chunk);
  }
}

/** Keys and prefixes are ours; one that could leave the store's folder is a bug and not a user's mistake. */
export function checkKey(key: string): string {
  const parts = key.split('/');
  if (key.length > 900 || !parts.every((part) => /^[A-Za-z0-9_-][A-Za-z0-9_.-]*$/.test(part))) {
    throw new TypeError(`Not a blob key: ${JSON.stringify(key.slice(0, 100))}`);
  }
  return key;
}
export const checkPrefix = (prefix: string): string => checkKey(prefix.endsWith('/') ? prefix.slice(0, -1) : prefix);

/** Names a video's folder has, and no folder of others in the same bucket is likely to. */
export const isVideoId = (name: string): boolean => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(name);

export const notFound = (key: string): StoreError => new StoreError('blob_not_found', `There is no blob ${key}`);

/** Runs `work` on all items, at most `concurrency` at a time. Stops taking new ones at the first error and throws it when all have ended. */
export async function eachOf<T>(items: T[], concurrency: number, work: (item: T) => Promise<void>): Promise<void> {
  const left = items.values();
  const errors: unknown[] = [];
  const lane = async () => {
    for (const item of left) {
      if (errors.length) return;
      await work(item).catch((error) => errors.push(error));
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, items.length) }, lane));
  if (errors.length) throw errors[0];
}
