import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { S3 } from '@aws-sdk/client-s3';
import type { BlobInfo, BlobStore, PutOptions, S3Options } from './blobs.ts';
import { checkKey, checkPrefix, eachOf, isVideoId, Meter, notFound } from './blobs-stream.ts';
import { isFull, StoreAway, StoreError } from './errors.ts';

const PART_BYTES = 8 * 1024 ** 2;
/** S3 takes at most this many parts an upload. */
const MAX_PARTS = 10_000;
const DEFAULT_MAX_BYTES = 160 * 1024 ** 3;
const FILES_AT_ONCE = 16;
const CONNECT_MS = 5_000;
/** A store hangs that has not begun to answer after this. The SDK asks three times, so a client hears of it after 45 s. */
const ANSWER_MS = 15_000;
/** One that takes nothing of an upload for so long hangs. An upload that moves is not cut off, however slow: what the kernel holds of it at 1 Mbit/s takes half of this. */
const STILL_MS = 60_000;
/** What is read may rest longer: whoever watches a video lets it wait. */
const READ_STILL_MS = 300_000;
/** Longer than the slowest upload: 20 GB at 1 Mbit/s take 45 hours. */
const ABANDONED_MS = 3 * 24 * 3600_000;
/** What `put` uploads in parts: `tenant/videoId/source`. Whatever else is in the bucket belongs to others. */
const isOurs = (key: string): boolean => {
  const [, videoId = '', ...file] = key.split('/');
  return isVideoId(videoId) && file.join('/') === 'source';
};

interface Copy {
  holders: number;
  dir: Promise<string>;
  path: Promise<string>;
  stop: AbortController;
}

/** Blobs in a bucket of S3 or a store that speaks its protocol. Uploads go in parts, so memory does not grow with them. */
export class S3Blobs implements BlobStore {
  readonly #open: (requestHandler: object) => Promise<S3>;
  readonly #waits: { answerMs: number; stillMs: number };
  #reading?: Promise<S3>;
  #uploading?: Promise<S3>;
  readonly #bucket: string;
  /** Local copies that someone holds, by key. */
  readonly #copies = new Map<string, Copy>();

  constructor(
    { bucket, endpoint, region, accessKeyId, secretAccessKey }: S3Options,
    waits: { answerMs: number; stillMs: number } = { answerMs: ANSWER_MS, stillMs: STILL_MS },
  ) {
    this.#bucket = bucket;
    this.#waits = waits;
    this.#open = async (requestHandler) => {
      const { S3 } = await import('@aws-sdk/client-s3');
      return new S3({
        region,
        endpoint,
        // Other stores than AWS have no host name a bucket, and not all know the checksums that are AWS's default.
        forcePathStyle: endpoint !== undefined,
        requestChecksumCalculation: 'WHEN_REQUIRED',
        responseChecksumValidation: 'WHEN_REQUIRED',
        credentials: accessKeyId && secretAccessKey ? { accessKeyId, secretAccessKey } : undefined,
        requestHandler: { connectionTimeout: CONNECT_MS, ...requestHandler },
      });
    };
  }

  async put(key: string, body: Readable, { maxBytes, contentType, signal }: PutOptions = {}): Promise<BlobInfo> {
    const meter = new Meter(maxBytes);
    let uploadError: unknown;
    let bodyError: Error | undefined;
    body.on('error', (error) => {
      if (uploadError === undefined) bodyError = error;
    });
    meter.on('error', () => {});
    // Not Upload's own abort: it rejects before the parts are gone. A broken stream makes it wait for them and abort the upload.
    const passing = pipeline(body, meter, { signal });
    passing.catch(() => {});
    try {
      const { Upload } = await import('@aws-sdk/lib-storage');
      const upload = new Upload({
        client: await this.#uploads(),
        partSize: Math.max(PART_BYTES, Math.ceil((maxBytes ?? DEFAULT_MAX_BYTES) / MAX_PARTS)),
        params: { Bucket: this.#bucket, Key: checkKey(key), Body: meter, ContentType: contentType },
      });
      await upload.done();
      return meter.info;
    } catch (error) {
      uploadError = error;
      meter.destroy(error as Error);
      signal?.throwIfAborted();
      // A client's connection that broke is no trouble of the store.
      if (bodyError) throw bodyError;
      throw translate(
        await passing.then(
          () => error,
          (broken) => broken,
        ),
      );
    }
  }
  async putFiles(files: { key: string; path: string }[]): Promise<void> {
    for (const { key } of files) checkKey(key);
    const s3 = await this.#uploads();
    await eachOf(files, FILES_AT_ONCE, async ({ key, path }) => {
      const { size } = await stat(path);
      const params = { Bucket: this.#bucket, Key: key, Body: createReadStream(path), ContentLength: size };
      await s3.putObject(params).catch(fail);
    });
  }
  async stat(key: string): Promise<{ sizeBytes: number } | undefined> {
    const request = { Bucket: this.#bucket, Key: checkKey(key) };
    const s3 = await this.#s3();
    const found = await s3.headObject(request).catch((error) => (isMissing(error) ? undefined : fail(error)));
    return found && { sizeBytes: found.ContentLength ?? 0 };
  }
  async get(key: string, range?: { start: number; end: number }): Promise<Readable> {
    return this.#get(key, range && `bytes=${range.start}-${range.end}`);
  }
  async local(key: string, signal?: AbortSignal): Promise<{ path: string; release: () => Promise<void> }> {
    signal?.throwIfAborted();
    const copy = this.#copies.get(checkKey(key)) ?? this.#download(key);
    copy.holders++;
    let held = true;
    const release = async () => {
      if (!held) return;
      held = false;
      copy.holders--;
      if (copy.holders > 0) return;
      if (this.#copies.get(key) === copy) this.#copies.delete(key);
      copy.stop.abort();
      await copy.path.catch(() => {});
      const dir = await copy.dir.catch(() => undefined);
      if (dir) await rm(dir, { recursive: true, force: true });
    };
    try {
      return { path: await orAborted(copy.path, signal), release };
    } catch (error) {
      await release();
      throw error;
    }
  }
  async deletePrefix(prefix: string): Promise<void> {
    const folder = checkPrefix(prefix);
    const s3 = await this.#s3();
    for (;;) {
      const page = await s3.listObjectsV2({ Bucket: this.#bucket, Prefix: `${folder}/` }).catch(fail);
      const objects = (page.Contents ?? []).map(({ Key }) => ({ Key: Key as string }));
      if (!objects.length) return;
      const request = { Bucket: this.#bucket, Delete: { Objects: objects, Quiet: true } };
      const { Errors: errors } = await s3.deleteObjects(request).catch(fail);
      // Without this an object that can't be deleted would be listed again for ever.
      const first = errors?.[0];
      if (first)
        throw new Error(`${errors.length} blobs under ${folder} were not deleted: ${first.Code} ${first.Message}`);
    }
  }
  async *videos(): AsyncGenerator<{ tenant: string; videoId: string }> {
    for await (const tenant of this.#folders('')) {
      for await (const videoId of this.#folders(`${tenant}/`)) if (isVideoId(videoId)) yield { tenant, videoId };
    }
  }
  async ping(signal?: AbortSignal): Promise<void> {
    const s3 = await this.#s3();
    await s3.headBucket({ Bucket: this.#bucket }, { abortSignal: signal }).catch((error) => {
      if (isMissing(error)) throw new StoreAway(`There is no bucket ${this.#bucket}`);
      fail(error);
    });
  }
  async freeBytes(): Promise<undefined> {
    return undefined;
  }
  /** Aborts our multipart uploads older than `maxAgeMs` (default 3 days): until then their parts may still be on their way. */
  async sweep(maxAgeMs = ABANDONED_MS): Promise<void> {
    const s3 = await this.#s3();
    for (let markers: { KeyMarker?: string; UploadIdMarker?: string } = {}; ; ) {
      const page = await s3.listMultipartUploads({ Bucket: this.#bucket, ...markers }).catch(fail);
      for (const { Key = '', UploadId, Initiated } of page.Uploads ?? []) {
        if (!isOurs(Key) || !Initiated || Date.now() - Initiated.getTime() < maxAgeMs) continue;
        await s3.abortMultipartUpload({ Bucket: this.#bucket, Key, UploadId }).catch(fail);
      }
      if (!page.IsTruncated) return;
      markers = { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker };
    }
  }

  /** The client, made (and the SDK loaded) when it is first needed. */
  #s3(): Promise<S3> {
    // Each of those who read holds a connection: nobody else must wait for one.
    const agent = { maxSockets: Number.POSITIVE_INFINITY };
    this.#reading ??= this.#open({
      requestTimeout: this.#waits.answerMs,
      throwOnRequestTimeout: true,
      socketTimeout: READ_STILL_MS,
      httpAgent: agent,
      httpsAgent: agent,
    });
    return this.#reading;
  }
  /** That for uploads, whose answer may take as long as their bytes move. */
  #uploads(): Promise<S3> {
    this.#uploading ??= this.#open({ socketTimeout: this.#waits.stillMs });
    return this.#uploading;
  }
  /** Names of the folders right under a prefix. */
  async *#folders(prefix: string): AsyncGenerator<string> {
    const s3 = await this.#s3();
    for (let token: string | undefined, more = true; more; more = token !== undefined) {
      const request = { Bucket: this.#bucket, Prefix: prefix, Delimiter: '/', ContinuationToken: token };
      const page = await s3.listObjectsV2(request).catch(fail);
      for (const { Prefix = '' } of page.CommonPrefixes ?? []) yield Prefix.slice(prefix.length, -1);
      token = page.NextContinuationToken;
    }
  }
  async #get(key: string, range?: string, signal?: AbortSignal): Promise<Readable> {
    const request = { Bucket: this.#bucket, Key: checkKey(key), Range: range };
    const s3 = await this.#s3();
    const found = await s3.getObject(request, { abortSignal: signal }).catch((error) => {
      if (isMissing(error)) throw notFound(key);
      return error.name === 'InvalidRange' ? undefined : fail(error);
    });
    return (found?.Body as Readable | undefined) ?? Readable.from([]);
  }
  #download(key: string): Copy {
    const stop = new AbortController();
    const dir = mkdtemp(join(tmpdir(), 'cuepoint-blob-'));
    const path = (async () => {
      const file = join(await dir, basename(key));
      const body = await this.#get(key, undefined, stop.signal);
      await pipeline(body, createWriteStream(file), { signal: stop.signal }).catch(fail);
      return file;
    })();
    const copy = { holders: 0, dir, path, stop };
    path.catch(() => {
      if (this.#copies.get(key) === copy) this.#copies.delete(key);
    });
    this.#copies.set(key, copy);
    return copy;
  }
}

function orAborted<T>(work: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (!signal) return work;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
const isMissing = (error: Error): boolean => error.name === 'NotFound' || error.name === 'NoSuchKey';
function fail(error: unknown): never {
  throw translate(error);
}
/** A store that can't be reached, has trouble of its own, or refuses key, rights or bucket is away; it is no fault of what was asked. */
function translate(error: unknown): unknown {
  const { name, message, code, $metadata } = error as Error & {
    code?: string;
    $metadata?: { httpStatusCode?: number };
  };
  const status = $metadata?.httpStatusCode;
  const unreachable = /^(ECONN|ETIMEDOUT|EPIPE|ENOTFOUND|EAI_AGAIN|EHOST)/.test(code ?? '') || name === 'TimeoutError';
  const refuses = status === 401 || status === 403 || name === 'NoSuchBucket' || name === 'SlowDown';
  if (unreachable || refuses || (status !== undefined && status >= 500)) {
    return new StoreAway(`The object store does not answer as it should: ${name} ${message}`);
  }
  if (isFull(error)) {
    return new StoreError('disk_full', `The disk of ${tmpdir()} is full: there is no room for a local copy`);
  }
  return error;
}
