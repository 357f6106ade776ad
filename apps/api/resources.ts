import { join } from 'node:path';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { Config } from '#config';
import { Jobs } from '#jobs';
import { type BlobStore, Catalog, connectRedis, openBlobs, openVectorIndex, type VectorIndex } from '#store';
import { Availability, answeringWithin } from './store-guard.ts';
import { Acceptance } from './videos/acceptance.ts';

/** A client whose request needs Redis hears of trouble within this time. */
const STORE_TIMEOUT_MS = 4_500;

/** Everything the api keeps open from start to end. */
export interface Resources {
  redis: Redis;
  availability: Availability;
  catalog: Catalog;
  jobs: Jobs;
  blobs: BlobStore;
  index: VectorIndex;
  acceptance: Acceptance;
  close(): Promise<void>;
}

export async function openResources(config: Config, redisUrl: string, log: Logger): Promise<Resources> {
  const blobs = openBlobs({ dir: join(config.dataDir, 'blobs'), s3: config.s3 });
  const { lance, qdrant } = config;
  const index = await openVectorIndex({ lanceDir: join(config.dataDir, 'lance'), lance, qdrant });
  const redis = connectRedis(redisUrl);
  let lastMessage = '';
  redis.on('error', (error) => {
    if (error.message !== lastMessage) log.warn({ err: error }, 'redis does not answer');
    lastMessage = error.message;
  });
  redis.on('ready', () => {
    lastMessage = '';
  });
  const catalog = new Catalog(redis);
  const availability = new Availability(redis);
  const jobs = new Jobs(redisUrl, (error) => log.debug({ err: error }, 'the job queues have trouble'));
  await blobs.sweep().catch((error) => log.warn({ err: error }, 'left-overs of uploads were not removed'));
  return {
    redis,
    availability,
    catalog: answeringWithin(catalog, STORE_TIMEOUT_MS, availability, ['watch', 'unfinished', 'allVideos']),
    jobs: answeringWithin(jobs, STORE_TIMEOUT_MS, availability),
    blobs,
    index,
    acceptance: new Acceptance(catalog, jobs, blobs, availability, log),
    async close() {
      await Promise.allSettled([jobs.close(), catalog.close(), index.close()]);
      redis.disconnect();
    },
  };
}
