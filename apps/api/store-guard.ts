import { StoreError } from '#store';

/**
 * The same object, whose promises reject with `store_unavailable` after `timeoutMs`. Commands to Redis wait for a server that is away
 * (BullMQ needs it so); a client must not. The command itself may still be done when Redis is back.
 */
export function answeringWithin<T extends object>(target: T, timeoutMs: number, except: (keyof T)[] = []): T {
  const wrapped = new Map<PropertyKey, unknown>();
  return new Proxy(target, {
    get(_, name) {
      const value = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      let bound = wrapped.get(name);
      if (!bound) {
        bound =
          except.includes(name as keyof T) || name === 'close'
            ? value.bind(target)
            : (...args: unknown[]) => within(value.apply(target, args), timeoutMs);
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
