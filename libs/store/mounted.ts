import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Catalog } from './catalog.ts';
import { StoreAway } from './errors.ts';
import { connectRedis } from './redis.ts';

/** A Redis that answers nothing in this time cannot tell. */
const ASK_MS = 4_500;

/**
 * For a start, before a folder is made. In a mount point without its disk it looks like the first one, but for a Redis elsewhere: where that knows of
 * stored videos and neither media nor vectors have their folder, StoreAway is thrown.
 */
export async function checkMounted(config: {
  dataDir: string;
  redisUrl?: string;
  s3?: unknown;
  qdrant?: unknown;
}): Promise<void> {
  const { dataDir, redisUrl, s3, qdrant } = config;
  const folders = [...(s3 ? [] : ['blobs']), ...(qdrant ? [] : ['lance'])].map((name) => join(dataDir, name));
  if (!redisUrl || folders.length === 0 || folders.some(existsSync)) return;
  const redis = connectRedis(redisUrl);
  redis.on('error', () => {});
  const catalog = new Catalog(redis);
  const asked = knowsStored(catalog).catch(() => false);
  const isKnown = await Promise.race([asked, sleep(ASK_MS, false, { ref: false })]);
  await catalog.close();
  if (!isKnown) return;
  throw new StoreAway(
    `Redis knows of videos, and there is no folder ${folders.join(' and none ')}: is its disk mounted? Where those videos are lost, make the folder.`,
  );
}

async function knowsStored(catalog: Catalog): Promise<boolean> {
  for await (const { source } of catalog.allVideos()) if (source.blobKey !== undefined) return true;
  return false;
}
