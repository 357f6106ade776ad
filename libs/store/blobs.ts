import type { Readable } from 'node:stream';

export interface BlobInfo {
  sizeBytes: number;
  sha256: string;
}
/** Media and thumbnails by key (`tenant/videoId/source`, `tenant/videoId/thumbnails/1000.jpg`). Keys are ours, never a client's words. */
export interface BlobStore {
  /**
   * Stores a stream; nothing is under `key` until all of it is, durably (synced to disk), and nothing stays behind when the stream breaks or `signal` aborts.
   * Throws StoreError `blob_too_large` as soon as `maxBytes` is passed, `disk_full` when less than `minFreeBytes` would be left.
   */
  put(
    key: string,
    body: Readable,
    options?: { maxBytes?: number; minFreeBytes?: number; contentType?: string; signal?: AbortSignal },
  ): Promise<BlobInfo>;
  /** Stores files that lie in a local folder, many at a time (thumbnails); no sync to disk, since they can be made again. */
  putFiles(files: { key: string; path: string }[]): Promise<void>;
  stat(key: string): Promise<{ sizeBytes: number } | undefined>;
  /** `range` is inclusive, as in HTTP. Throws StoreError `blob_not_found`. */
  get(key: string, range?: { start: number; end: number }): Promise<Readable>;
  /** A local file with the blob's bytes, for ffmpeg. Call `release` when done (a downloaded copy is deleted). */
  local(key: string, signal?: AbortSignal): Promise<{ path: string; release: () => Promise<void> }>;
  deletePrefix(prefix: string): Promise<void>;
  /** Free bytes where blobs go; undefined when the store has no such limit (S3). */
  freeBytes(): Promise<number | undefined>;
}

/** Blobs in a folder. Left-overs of uploads that a crash cut off are removed when it is opened by the api (`sweep`). */
export class DiskBlobs {
  constructor(readonly root: string) {}
}

export function openBlobs(_options: {
  dir: string;
  s3?: { bucket: string; endpoint?: string; region: string; accessKeyId?: string; secretAccessKey?: string };
}): BlobStore {
  throw new Error('unfinished');
}
