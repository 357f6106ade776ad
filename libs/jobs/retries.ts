import type { JobsOptions } from 'bullmq';
import type { QueueName } from './queues.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Waits between the tries of a webhook delivery: a day in all (the schedule Standard Webhooks recommends). */
const DELIVERY_WAITS_MS = [
  5 * SECOND,
  30 * SECOND,
  5 * MINUTE,
  30 * MINUTE,
  2 * HOUR,
  5 * HOUR,
  7 * HOUR,
  10 * HOUR,
] as const;

/** Name of the waits above in a job's options; a worker resolves it with `backoffStrategy`. */
const DELIVERY_BACKOFF = 'delivery';

/** The custom waits of our jobs, for the workers' settings: a tenth at random, so that what failed together does not come back together. */
export function backoffStrategy(attemptsMade: number, type?: string): number {
  if (type !== DELIVERY_BACKOFF) throw new Error(`No backoff is called ${type}`);
  const waitMs = DELIVERY_WAITS_MS[Math.min(attemptsMade, DELIVERY_WAITS_MS.length) - 1] ?? 0;
  return Math.round(waitMs * (1 + Math.random() / 10));
}

/**
 * Finished jobs stay a day, so that a plan that is repeated finds the shards that are done; BullMQ removes them by age or count.
 * Failed ones stay longer: a person may want to see why.
 */
const keep = {
  removeOnComplete: { age: 24 * 60 * 60, count: 20_000 },
  removeOnFail: { age: 7 * 24 * 60 * 60, count: 20_000 },
} satisfies JobsOptions;
/** About a minute in all; a server that is away costs no try, and a broken file has failed at the first one. */
const exponential = { attempts: 4, backoff: { type: 'exponential', delay: 8 * SECOND, jitter: 0.2 } } as const;

/** How each kind of job is retried and kept. */
export const JOB_OPTIONS: Record<QueueName, JobsOptions> = {
  plan: { ...exponential, ...keep },
  frames: { ...exponential, ...keep },
  speech: { ...exponential, ...keep },
  captions: { ...exponential, ...keep },
  // Only bookkeeping: it fails when Redis or LanceDB is in trouble, and then waits for them.
  finalize: { attempts: 12, backoff: { type: 'exponential', delay: 2 * SECOND, jitter: 0.2 }, ...keep },
  deliver: { attempts: DELIVERY_WAITS_MS.length + 1, backoff: { type: DELIVERY_BACKOFF }, ...keep },
  // The same video may be cancelled, tried again and cancelled: a finished clean-up must not stand in the way of the next.
  cleanup: {
    attempts: 10,
    backoff: { type: 'exponential', delay: 2 * SECOND, jitter: 0.2 },
    ...keep,
    removeOnComplete: true,
  },
};
