import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { keys } from './catalog-keys.ts';
import { StoreAway } from './errors.ts';

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

/**
 * How a server says that it is there but takes no writes for now: memory or disk full, a replica, still loading, or its user may not (ACL). From within a
 * script, too.
 */
const REFUSAL =
  /\b(OOM|READONLY|MISCONF|LOADING|MASTERDOWN|CLUSTERDOWN|NOREPLICAS|EXECABORT|NOPERM|NOAUTH)\b|The user executing the script/;
/** Such an answer as StoreAway, since what was asked can be asked again later; anything else as it is. */
export function awayIfRefused(error: unknown): unknown {
  const { name, message } = (error ?? {}) as { name?: unknown; message?: unknown };
  const isRefusal = name === 'ReplyError' && typeof message === 'string' && REFUSAL.test(message);
  return isRefusal ? new StoreAway(`Redis takes no writes: ${message}`) : error;
}
/** The server is well, and its user may not do what was asked. */
export const isForbidden = (error: unknown): boolean =>
  /NOPERM|The user executing the script/.test(String((error as Error)?.message));

const PROBE = `redis.call('SET', KEYS[1], '', 'PX', 1) redis.call('PUBLISH', KEYS[1], '')`;
/**
 * Rejects where the server does not answer, or answers and takes no writes (StoreAway): a replica and one whose memory is full still say PONG. Asks for what
 * the catalog and BullMQ cannot do without and an ACL may forbid: scripts, channels, INFO.
 */
export async function checkWritable(redis: Redis): Promise<void> {
  await Promise.all([redis.eval(PROBE, 1, keys.probe), redis.info('server')]).catch((error: unknown) => {
    throw awayIfRefused(error);
  });
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
