import type { Redis } from 'ioredis';
import { StoreError } from '#store';

/**
 * Whether Redis is there. Commands wait in memory for a server that is away (BullMQ needs it so); a client must not wait with
 * them, nor may they pile up, so nothing is sent before this says yes.
 */
export class Availability {
  #there = Promise.withResolvers<void>();

  constructor(redis: Redis) {
    if (redis.status === 'ready') this.#there.resolve();
    redis.on('ready', () => this.#there.resolve());
    let away = redis.status !== 'ready';
    redis.on('ready', () => {
      away = false;
    });
    // Each failed attempt to connect is a `close` too: those who wait go on waiting for the same promise.
    redis.on('close', () => {
      if (!away) this.#there = Promise.withResolvers<void>();
      away = true;
    });
  }

  /** Throws `store_unavailable` when Redis is not there within `timeoutMs`. */
  async within(timeoutMs: number): Promise<void> {
    await within(this.#there.promise, timeoutMs);
  }
}

/** The same object, whose promises reject with `store_unavailable` after `timeoutMs`. A command that was sent may still be done later. */
export function answeringWithin<T extends object>(
  target: T,
  timeoutMs: number,
  availability: Availability,
  except: (keyof T)[] = [],
): T {
  const wrapped = new Map<PropertyKey, unknown>();
  return new Proxy(target, {
    get(_, name) {
      const value = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      let bound = wrapped.get(name);
      if (!bound) {
        const plain = except.includes(name as keyof T) || name === 'close';
        const guarded = async (...args: unknown[]) => {
          await availability.within(timeoutMs);
          return await value.apply(target, args);
        };
        bound = plain ? value.bind(target) : (...args: unknown[]) => within(guarded(...args), timeoutMs);
        wrapped.set(name, bound);
      }
      return bound;
    },
  });
}

/** `work`, or `store_unavailable` after `timeoutMs`. */
export async function within<T>(work: T | Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new StoreError('store_unavailable', `The store did not answer within ${timeoutMs / 1000} s.`, true)),
      timeoutMs,
    );
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
