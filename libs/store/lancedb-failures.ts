import { setTimeout as sleep } from 'node:timers/promises';
import { StoreAway, StoreError } from './errors.ts';

const MAX_ATTEMPTS = 12;

/** Another writer committed first, or removed what an old version had that was just being read. */
export const isConflict = (error: unknown): boolean =>
  /conflict|preempted|concurrent|already exists|use an index more than once|not found: \S+\/_(?:versions|transactions)\//i.test(
    String(error),
  );

/** Lance retries most conflicts itself; what is left (compaction against a delete, two index builds) starts anew from the latest version. */
export async function retryConflicts<T>(attempt: () => Promise<T>, attempts = MAX_ATTEMPTS): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      if (!isConflict(error) || tries >= attempts) throw storeError(error);
      await sleep(Math.min(1000, 10 * 2 ** tries) * (0.5 + Math.random()));
    }
  }
}
/** A disk with errors, a read-only one, a network folder whose server is away (EIO, EROFS, ENOTCONN, ESTALE), and a table whose disk is not mounted. */
const AWAY = /os error (?:5|30|107|116)\b|not found: \S+\/_versions(?!\/)/i;

export async function guard<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw storeError(error);
  }
}
export function storeError(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const message = error instanceof Error ? error.message : String(error);
  if (/no space left|os error 28\b/i.test(message)) return new StoreError('disk_full', message, true);
  if (AWAY.test(message)) return new StoreAway(`Vector index: ${message}`);
  return new StoreError('store_unavailable', `Vector index: ${message}`, true);
}
