import { join } from 'node:path';
import type { Redis } from 'ioredis';
import type { Config } from '#config';

/** More are not looked at: a Redis that is lost, or another one, shows by as many. */
const MAX_LOOKED_AT = 10_000;
const PAGE = 500;

/**
 * Videos in the blob store that Redis knows nothing of: its data were lost, or it is not theirs. They are told of and never removed, since
 * a setting that names another Redis must not cost anybody a video. Undefined where all are known. Closes the connection.
 */
export async function unknownMedia(
  config: Config,
  redis: Redis,
): Promise<{ unknown: number; of: number; example: string; where: string } | undefined> {
  const { Catalog, openBlobs } = await import('#store'); // most commands need none of it
  redis.on('error', () => {});
  const catalog = new Catalog(redis);
  try {
    const dir = join(config.dataDir, 'blobs');
    const found: { tenant: string; videoId: string }[] = [];
    for await (const video of openBlobs({ dir, s3: config.s3 }).videos()) {
      found.push(video);
      if (found.length === MAX_LOOKED_AT) break;
    }
    let unknown = 0;
    let example = '';
    for (let from = 0; from < found.length; from += PAGE) {
      const some = await catalog.unknownOf(found.slice(from, from + PAGE));
      unknown += some.length;
      if (some[0]) example ||= `${some[0].tenant}/${some[0].videoId}`;
    }
    const where = config.s3 ? `bucket ${config.s3.bucket}` : dir;
    return unknown > 0 ? { unknown, of: found.length, example, where } : undefined;
  } finally {
    await catalog.close();
  }
}
