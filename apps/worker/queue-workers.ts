import { type BeforeApplicationShutdown, Inject, Injectable } from '@nestjs/common';
import { DelayedError, type Job, UnrecoverableError, WaitingError, Worker } from 'bullmq';
import type { Logger } from 'pino';
import { backoffStrategy, QUEUE_PREFIX } from '#jobs';
import { awayIfRefused, StoreAway } from '#store';
import { checkHandlers, type Handler } from './handler.ts';
import { Heartbeat } from './heartbeat.ts';
import { Models } from './models.ts';
import { fromReason, isDiskFull, LockLost, NoLongerWanted, problemOf, ShuttingDown, toReason } from './problems.ts';
import { quietly, Stores } from './stores.ts';
import { HANDLERS, LOGGER } from './tokens.ts';

/** A job is its worker's for so long after the last renewal, which comes every half of it. */
const LOCK_MS = 30_000;
/** Dead workers' jobs are looked for so often: with the lock's rest, they are picked up within a minute. */
const STALLED_EVERY_MS = 15_000;
/** A job whose worker has died so often is the likely cause: it fails (`worker_crashed`) before it takes every worker down. */
const MAX_DEATHS = 5;
/** A job that waits for a store which is away looks again after this, then twice as long, up to a minute; */
const FIRST_WAIT_MS = 5_000;
const LONGEST_WAIT_MS = 60_000;
/** after a day of that the failure counts as one of its tries. */
const MAX_WAITS = 24 * 60;
/** Jobs that are nearly done may end before they are interrupted. */
const GRACE_MS = 1_500;
const MAX_SHUTDOWN_MS = 10_000;

/** The BullMQ side of a worker: takes jobs, hands them to their handler, and turns what comes of it into what the queue understands. */
@Injectable()
export class QueueWorkers implements BeforeApplicationShutdown {
  #workers: Worker[] = [];
  #stopping = false;

  constructor(
    @Inject(HANDLERS) private readonly handlers: Handler[],
    @Inject(LOGGER) private readonly log: Logger,
    private readonly stores: Stores,
    private readonly models: Models,
    private readonly heartbeat: Heartbeat,
  ) {}

  start(): void {
    checkHandlers(this.handlers);
    for (const handler of this.handlers) {
      if (handler.concurrency === 0) continue;
      const worker = this.#open(handler);
      this.#workers.push(worker);
      const run = () => {
        if (!this.#stopping)
          worker.run().catch((err: unknown) => this.log.fatal({ err, queue: handler.queue }, 'queue stopped'));
      };
      if (handler.needsModels) void this.models.loaded.then(run);
      else run();
    }
  }

  /** Takes no more jobs; those in hand get a moment, are then aborted, and go back to the queue. */
  async beforeApplicationShutdown(): Promise<void> {
    this.#stopping = true;
    const closed = Promise.allSettled(this.#workers.map((worker) => worker.close()));
    const grace = setTimeout(() => {
      for (const worker of this.#workers) worker.cancelAllJobs(new ShuttingDown() as never);
    }, GRACE_MS);
    let limit: NodeJS.Timeout | undefined;
    // While Redis is away nothing can be given back: the locks run out by themselves.
    const limitMs = this.stores.redis.status === 'ready' ? MAX_SHUTDOWN_MS : 2 * GRACE_MS;
    await Promise.race([closed, new Promise((resolve) => (limit = setTimeout(resolve, limitMs)))]);
    clearTimeout(grace);
    clearTimeout(limit);
  }

  #open(handler: Handler): Worker {
    // Three parameters: BullMQ hands out a signal only to those who ask for it.
    const process = (job: Job, token?: string, signal?: AbortSignal) => this.#process(handler, job, token, signal);
    const worker = new Worker(handler.queue, process, {
      connection: this.stores.redis,
      prefix: QUEUE_PREFIX,
      name: this.heartbeat.workerId,
      autorun: false,
      concurrency: handler.concurrency,
      lockDuration: LOCK_MS,
      stalledInterval: STALLED_EVERY_MS,
      maxStalledCount: MAX_DEATHS - 1,
      settings: { backoffStrategy },
    });
    worker.on('error', quietly(this.log.child({ queue: handler.queue })));
    worker.on('lockRenewalFailed', (ids) => {
      for (const id of ids) worker.cancelJob(id, new LockLost() as never);
    });
    worker.on('stalled', (jobId) =>
      this.log.warn({ queue: handler.queue, jobId }, 'a job was left by its worker and is done again'),
    );
    worker.on('failed', (job, error) => {
      if (!job?.finishedOn) return; // another try comes
      const problem = fromReason(error.message);
      this.log.warn({ queue: handler.queue, jobId: job.id, ...problem }, 'a job has failed for good');
      handler
        .gaveUp?.(job.data, problem)
        // Reconcile looks after it.
        .catch((err: unknown) => this.log.warn({ err, jobId: job.id }, 'the failure of a job was not recorded'));
    });
    return worker;
  }

  async #process(
    handler: Handler,
    job: Job,
    token: string | undefined,
    signal = new AbortController().signal,
  ): Promise<unknown> {
    const { videoId, run, shard } = job.data as { videoId?: string; run?: number; shard?: number };
    const log = this.log.child({ queue: handler.queue, jobId: job.id, videoId, run, shard });
    const startedAt = Date.now();
    try {
      const lastTry = job.attemptsMade + 1 >= (job.opts.attempts ?? 1);
      const result = await handler.handle({ job, data: job.data, lastTry, signal, log });
      log.debug({ tookMs: Date.now() - startedAt, result }, 'job is done');
      return result;
    } catch (thrown) {
      const error = awayIfRefused(thrown);
      if (error instanceof DelayedError) throw error;
      if (error instanceof NoLongerWanted) {
        log.debug('job is not wanted any more');
        return undefined;
      }
      if (signal.reason instanceof ShuttingDown) {
        await job.moveToWait(token);
        log.info('job goes back to the queue');
        throw new WaitingError();
      }
      // No fault of the job's, so none of its tries.
      const waits = job.attemptsStarted - job.attemptsMade;
      if ((error instanceof StoreAway || isDiskFull(error)) && waits <= MAX_WAITS) {
        const waitMs = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (waits - 1)) * (1 + Math.random() / 10);
        await job.moveToDelayed(Date.now() + Math.round(waitMs), token);
        const { code } = problemOf(error);
        const what = isDiskFull(error)
          ? 'the disk is full, the job waits for room'
          : 'a store is away, the job waits for it';
        log.warn({ err: error, code, waits, waitMs }, what);
        throw new DelayedError();
      }
      const { retryable, ...problem } = problemOf(error);
      log.warn({ err: error, code: problem.code, retryable, attempt: job.attemptsMade + 1 }, 'job failed');
      throw retryable ? new Error(toReason(problem), { cause: error }) : new UnrecoverableError(toReason(problem));
    }
  }
}
