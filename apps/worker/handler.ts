import type { Job } from 'bullmq';
import type { Logger } from 'pino';
import { type JobPayloads, QUEUE_NAMES, type QueueName } from '#jobs';
import type { Problem } from './problems.ts';

export interface JobContext<Name extends QueueName> {
  job: Job<JobPayloads[Name]>;
  data: JobPayloads[Name];
  /** No try comes after this one. */
  lastTry: boolean;
  /** Fires when the worker goes down or the job's lock is lost. */
  signal: AbortSignal;
  /** Carries the ids of job and video. */
  log: Logger;
}

/** What a worker does with the jobs of one queue. */
export interface Handler<Name extends QueueName = QueueName> {
  readonly queue: Name;
  /** Jobs at a time in this worker; 0: none, other workers do them. */
  readonly concurrency: number;
  /** Takes no job before the models are loaded and whole. */
  readonly needsModels: boolean;
  handle(context: JobContext<Name>): Promise<unknown>;
  /** The job has failed for good: out of tries, final error, or its worker died too often. */
  gaveUp?(data: JobPayloads[Name], problem: Problem): Promise<void>;
}

/** Throws unless each queue has exactly one handler: jobs without one would wait for ever. */
export function checkHandlers(handlers: readonly Pick<Handler, 'queue'>[]): void {
  for (const name of QUEUE_NAMES) {
    const count = handlers.filter(({ queue }) => queue === name).length;
    if (count !== 1) throw new Error(`Queue ${name} has ${count} handlers; it needs exactly one`);
  }
}
