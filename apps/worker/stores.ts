import { join } from 'node:path';
import type { OnApplicationShutdown } from '@nestjs/common';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { Config } from '#config';
import { Jobs } from '#jobs';
import {
  type BlobStore,
  Catalog,
  checkMounted,
  connectRedis,
  openBlobs,
  openVectorIndex,
  type VectorIndex,
  type Video,
  type VideoRef,
  type VideoStatus,
} from '#store';

/** Everything outside this process that a worker reads and writes. */
export class Stores implements OnApplicationShutdown {
  private constructor(
    readonly redis: Redis,
    readonly catalog: Catalog,
    readonly jobs: Jobs,
    readonly blobs: BlobStore,
    readonly index: VectorIndex,
  ) {}

  static async open(config: Config, log: Logger): Promise<Stores> {
    if (!config.redisUrl)
      throw new Error('REDIS_URL is not set. `cuepoint up` (npm start) runs a Redis of its own and sets it.');
    await checkMounted(config);
    const heard = quietly(log);
    const redis = connectRedis(config.redisUrl);
    redis.on('error', heard);
    return new Stores(
      redis,
      new Catalog(redis),
      new Jobs(config.redisUrl, heard),
      openBlobs({ dir: join(config.dataDir, 'blobs'), s3: config.s3 }),
      await openVectorIndex({ lanceDir: join(config.dataDir, 'lance'), qdrant: config.qdrant }),
    );
  }

  /** The video, if this run of it is still wanted and in one of these states. */
  async wanted(ref: VideoRef, statuses: VideoStatus[]): Promise<Video | undefined> {
    const video = await this.catalog.getVideo(ref.tenant, ref.videoId);
    return video && video.run === ref.run && statuses.includes(video.status) ? video : undefined;
  }

  async onApplicationShutdown(): Promise<void> {
    await Promise.allSettled([this.jobs.close(), this.catalog.close(), this.index.close()]);
    this.redis.disconnect();
  }
}

/** Logs each trouble once until another comes: a server that is away is reported with every attempt to reach it. */
export function quietly(log: Logger): (error: Error) => void {
  let last = '';
  let at = 0;
  return (error) => {
    // Connections fail with a code; else Redis has answered, and something is wrong with what was asked.
    const isAway = typeof (error as { code?: unknown }).code === 'string';
    if (error.message !== last || Date.now() - at > 60_000)
      log.warn({ err: error }, isAway ? 'redis does not answer' : 'the queue has trouble');
    last = error.message;
    at = Date.now();
  };
}
