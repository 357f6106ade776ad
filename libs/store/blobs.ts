import type { Readable } from 'node:stream';
import { DiskBlobs } from './blobs-disk.ts';
import { S3Blobs } from './blobs-s3.ts';

export interface BlobInfo {
  sizeBytes: number;
  sha256: string;
}
export interface PutOptions {
  maxBytes?: number;
  minFreeBytes?: number;
  contentType?: string;
  signal?: AbortSignal;
}
export interface S3Options {
  bucket: string;
  endpoint?: string;
  region: string;
  accessKeyId?: string;
  secretAccessKey?: string;
}
/** Media and thumbnails by key (`tenant/videoId/source`, `tenant/videoId/thumbnails/1000.jpg`). Keys are ours, never a client's words. */
export interface BlobStore {
  /**
   * Stores a stream; nothing is under `key` until all of it is, durably (synced to disk), and nothing stays behind when the stream breaks or `signal` aborts.
   * Throws StoreError `blob_too_large` as soon as `maxBytes` is passed, `disk_full` when less than `minFreeBytes` would be left.
   * The stream is read to its end or destroyed.
   */
  put(key: string, body: Readable, options?: PutOptions): Promise<BlobInfo>;
  /**
   * Stores files that lie in a local folder, many at a time (thumbnails); no sync to disk, since they can be made again.
   * The files may be gone afterwards.
   */
  putFiles(files: { key: string; path: string }[]): Promise<void>;
  stat(key: string): Promise<{ sizeBytes: number } | undefined>;
  /** `range` is inclusive, as in HTTP; what of it lies past the end is left out. Throws StoreError `blob_not_found`. */
  get(key: string, range?: { start: number; end: number }): Promise<Readable>;
  /**
   * A local file with the blob's bytes, for ffmpeg. Call `release` when done (a downloaded copy is deleted).
   * Who asks for the same blob while it is held shares the copy. Throws StoreError `blob_not_found`.
   */
  local(key: string, signal?: AbortSignal): Promise<{ path: string; release: () => Promise<void> }>;
  /** Removes everything in the folder `prefix` (with or without a slash at its end): `a/b` never touches `a/bc`. */
  deletePrefix(prefix: string): Promise<void>;
  /** Throws where blobs can neither be kept nor read now. */
  ping(signal?: AbortSignal): Promise<void>;
  /** Free bytes where blobs go; undefined when the store has no such limit (S3). */
  freeBytes(): Promise<number | undefined>;
  /** Of which videos there are blobs, as far as their folders tell. Pages of a bucket are read as they are asked for. */
  videos(): AsyncIterable<{ tenant: string; videoId: string }>;
  /** Removes what uploads left behind that a crash cut off; those of living processes stay. The api calls it when it starts. */
  sweep(maxAgeMs?: number): Promise<void>;
}

export function openBlobs(options: { dir: string; s3?: S3Options }): BlobStore {
  return options.s3 ? new S3Blobs(options.s3) : new DiskBlobs(options.dir);
}
