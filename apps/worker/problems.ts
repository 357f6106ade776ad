import { ModelError } from '#models';
import { isFull, type Video } from '#store';

export type Problem = NonNullable<Video['error']>;

/** The run that a job belongs to is cancelled, deleted or restarted: the job ends quietly. */
export class NoLongerWanted extends Error {
  override readonly name = 'NoLongerWanted';
}
/** The worker is going down: the job goes back to the queue as it was. */
export class ShuttingDown extends Error {
  override readonly name = 'ShuttingDown';
}
/** Another worker has the job: it was believed dead here (Redis out of reach, machine asleep). */
export class LockLost extends Error {
  override readonly name = 'LockLost';
}
/** Something that trying again can't mend, in words for the uploader. */
export class FinalProblem extends Error {
  override readonly name = 'FinalProblem';
  readonly retryable = false;
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** What our libraries throw carries a code and says whether to try again; anything else is a fault of ours or of the machine. */
export function problemOf(error: unknown): Problem & { retryable: boolean } {
  const { code, message, retryable } = error as { code?: unknown; message?: unknown; retryable?: unknown };
  const text = typeof message === 'string' ? message : String(error);
  if (typeof code !== 'string' || typeof retryable !== 'boolean') {
    return { code: 'internal_error', message: text, retryable: true };
  }
  // A model that fails is a fault of this machine, never of the video, but for a language that it was asked for and does not know.
  const isModels = error instanceof ModelError && error.code !== 'language_unsupported';
  return { code, message: text, retryable: retryable || isModels };
}

/**
 * There is no room for what a job writes, in a store or in the temporary folder: a person makes some, and the job goes on. ffmpeg, which writes thumbnails,
 * has only words for it.
 */
export function isDiskFull(error: unknown): boolean {
  if (error instanceof FinalProblem) return false;
  const { code, message } = (error ?? {}) as { code?: string; message?: string };
  return code === 'disk_full' || isFull(error) || /No space left on device/.test(message ?? '');
}

/** BullMQ keeps one text for a failure; it is written so, and read back by `fromReason`. */
export const toReason = ({ code, message }: Problem): string => `${code}: ${message}`;

export function fromReason(reason: string): Problem {
  if (reason.startsWith('job stalled')) {
    return { code: 'worker_crashed', message: 'Work on this video ended its worker again and again; it was given up.' };
  }
  const [, code, message] = /^([a-z0-9_]+): (.*)$/s.exec(reason) ?? [];
  return code && message !== undefined ? { code, message } : { code: 'internal_error', message: reason };
}
