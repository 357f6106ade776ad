import type { Redis } from 'ioredis';
import type { Logger } from 'pino';

/** Says what is at risk with this Redis: jobs that are evicted, and videos forgotten by a restart. Managed servers may not tell. */
export async function checkRedis(redis: Redis, log: Logger): Promise<void> {
  const read = async (name: string): Promise<string | undefined> => {
    const [, value] = (await redis.config('GET', name).catch(() => [])) as string[];
    return value;
  };
  const policy = await read('maxmemory-policy');
  if (policy === undefined) {
    log.info(
      'Redis does not show its configuration (CONFIG GET): check maxmemory-policy noeviction and an append-only file yourself',
    );
    return;
  }
  if (policy !== 'noeviction') {
    log.warn({ policy }, 'Redis may evict jobs and videos when its memory is full: set maxmemory-policy noeviction');
  }
  if ((await read('appendonly')) !== 'yes') {
    log.warn(
      'Redis keeps no append-only file: videos and jobs of the last minutes are lost when it crashes. Set appendonly yes',
    );
  } else if ((await read('appendfsync')) !== 'always') {
    log.info(
      'Redis syncs its append-only file once a second: an upload acknowledged in the last second may be lost when its machine fails',
    );
  }
}
