import { Redis } from 'ioredis';

/**
 * Connects to `redis://`, `rediss://` or `unix:/path/to.sock`. Commands wait for a server that is away and go on when it is back
 * (BullMQ needs `maxRetriesPerRequest: null`).
 */
export function connectRedis(url: string): Redis {
  const options = { maxRetriesPerRequest: null, lazyConnect: false } as const;
  return url.startsWith('unix:') ? new Redis({ ...options, path: url.slice('unix:'.length) }) : new Redis(url, options);
}
