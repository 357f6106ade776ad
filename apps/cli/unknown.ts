import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import type { Config } from '#config';

type Found = { tenant: string; videoId: string }[];

/** More are not looked at: a Redis that is lost, or another one, shows by as many. */
const MAX_LOOKED_AT = 10_000;
const PAGE = 500;

/** What Redis knows nothing of, of what a store has. */
interface Unknown {
  unknown: number;
  of: number;
  example: string;
  where: string;
}

/**
 * Videos in the blob store that Redis knows nothing of: its data were lost, or it is not theirs. They are told of and never removed, since
 * a setting that names another Redis must not cost anybody a video. Undefined where all are known. Closes the connection.
 */
export async function unknownMedia(config: Config, redis: Redis): Promise<Unknown | undefined> {
  const { openBlobs } = await import('#store'); // most commands need none of it
  const dir = join(config.dataDir, 'blobs');
  return unknownOf(redis, config.s3 ? `bucket ${config.s3.bucket}` : dir, async () => {
    const found: Found = [];
    for await (const video of openBlobs({ dir, s3: config.s3 }).videos()) {
      found.push(video);
      if (found.length === MAX_LOOKED_AT) break;
    }
    return found;
  });
}

/** The same of what the vector index has rows of. */
export async function unknownRows({ dataDir, qdrant }: Config, redis: Redis): Promise<Unknown | undefined> {
  const { openVectorIndex, useScratchFolder } = await import('#store');
  const lanceDir = join(dataDir, 'lance');
  return unknownOf(redis, qdrant ? 'Qdrant' : lanceDir, async () => {
    if (!qdrant && !existsSync(lanceDir)) return [];
    if (!qdrant) await useScratchFolder();
    const index = await openVectorIndex({ lanceDir, qdrant });
    return index.videos(MAX_LOOKED_AT).finally(() => index.close());
  });
}

async function unknownOf(redis: Redis, where: string, look: () => Promise<Found>): Promise<Unknown | undefined> {
  const { Catalog } = await import('#store');
  redis.on('error', () => {});
  const catalog = new Catalog(redis);
  try {
    const found = await look();
    let unknown = 0;
    let example = '';
    for (let from = 0; from < found.length; from += PAGE) {
      const some = await catalog.unknownOf(found.slice(from, from + PAGE));
      unknown += some.length;
      if (some[0]) example ||= `${some[0].tenant}/${some[0].videoId}`;
    }
    return unknown > 0 ? { unknown, of: found.length, example, where } : undefined;
  } finally {
    await catalog.close();
  }
}
