import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';

/**
 * Connects to `redis://`, `rediss://` or `unix:/path/to.sock`. Commands wait for a server that is away and go on when it is back
 * (BullMQ needs `maxRetriesPerRequest: null`). Whoever connects listens to `error` events: they tell that the server is away.
 */
export function connectRedis(url: string): Redis {
  const options = {
    maxRetriesPerRequest: null,
    retryStrategy: (attempts: number) => Math.min(attempts * 50, 1000),
  };
  return url.startsWith('unix:') ? new Redis({ ...options, path: url.slice('unix:'.length) }) : new Redis(url, options);
}

/** Closes a connection after the answers to what was sent; with a server that is away, at once. Calls that still wait are rejected. */
export async function closeRedis(redis: Redis): Promise<void> {
  if (redis.status === 'ready')
    await Promise.race([redis.quit().catch(() => {}), sleep(1000, undefined, { ref: false })]);
  // `disconnect` between two tries to reconnect leaves waiting calls waiting for ever (ioredis 6.0); during a try it rejects them.
  if (redis.status === 'reconnecting') redis.connect().catch(() => {});
  if (redis.status !== 'end') redis.disconnect();
}

/** Settings of the server under which something acknowledged could be lost, each with what is at risk; empty when there is none. */
export async function durabilityRisks(redis: Redis): Promise<string[]> {
  // INFO, since hosted servers often forbid CONFIG.
  const info = `${await redis.info('memory')}\n${await redis.info('persistence')}`;
  const value = (name: string) => new RegExp(`^${name}:(.*)$`, 'm').exec(info)?.[1]?.trim();
  const risks: string[] = [];
  const policy = value('maxmemory_policy');
  if (policy !== undefined && policy !== 'noeviction') {
    risks.push(
      `maxmemory-policy is ${policy}: when memory is full, Redis drops videos and jobs. Set maxmemory-policy noeviction.`,
    );
  }
  if (value('aof_enabled') === '0') {
    risks.push('appendonly is off: a restart of Redis can lose accepted uploads. Set appendonly yes.');
    return risks;
  }
  const fsync = await redis.config('GET', 'appendfsync').then(
    (reply) => (reply as string[])[1],
    () => undefined,
  );
  if (fsync !== undefined && fsync !== 'always') {
    risks.push(
      `appendfsync is ${fsync}: a power cut can lose uploads accepted ${fsync === 'everysec' ? 'in the last second' : 'in the last half minute'}. Set appendfsync always.`,
    );
  }
  return risks;
}
