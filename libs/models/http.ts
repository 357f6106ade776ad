/** What the hub's answers mean, and how long to wait for them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ModelError } from './errors.ts';

/** The repository and hub of a request, for messages. */
export interface Source {
  repo: string;
  hubUrl: string;
}

/** Answers that say when to come again: waited for so long at most, and so often. */
const longestWaitMs = 30_000;
const mostWaits = 3;

/**
 * A fetch that waits where the hub says so (429 or 503 with Retry-After) and throws ModelError for any other refusal but
 * 416 (there is nothing at that range). `timeLimit` gives each
 * request its signal.
 */
export function hubFetch(source: Source, timeLimit: () => AbortSignal, signal?: AbortSignal): typeof fetch {
  return async (input, init) => {
    for (let waits = 0; ; waits++) {
      const response = await fetch(input, { ...init, signal: timeLimit() });
      if (response.ok || response.status === 416) return response;
      await response.body?.cancel();
      const waitMs = retryAfterMs(response);
      if (waitMs === undefined || waitMs > longestWaitMs || waits === mostWaits) throw refusal(response, source);
      await sleep(waitMs, undefined, { signal });
    }
  };
}

/** RFC 9110, section 10.2.3: seconds, or a date. */
function retryAfterMs(response: Response): number | undefined {
  const text = response.headers.get('retry-after');
  if (!text || (response.status !== 429 && response.status !== 503)) return undefined;
  const waitMs = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isFinite(waitMs) ? Math.max(0, waitMs) : undefined;
}

function refusal(response: Response, { repo, hubUrl }: Source): ModelError {
  const { status } = response;
  const waitMs = retryAfterMs(response);
  const later = waitMs === undefined ? 'try again later' : `try again in ${Math.ceil(waitMs / 1000)} s`;
  if (status >= 500) {
    return new ModelError('hub_unreachable', `${hubUrl} answered ${status} for ${repo}: ${later}.`, true);
  }
  const why: Record<number, string> = {
    401: 'there is no such model, or it needs an access token (HF_TOKEN)',
    403: 'the access token may not read it, or its terms were not accepted on the hub',
    404: 'there is no such model, or it lost a file',
    429: `too many requests; ${later}`,
  };
  const reason = why[status] ?? 'an answer that a hub does not give (is HF_ENDPOINT right?)';
  return new ModelError('hub_refused', `${hubUrl} refused ${repo} (${status}): ${reason}.`, status === 429);
}

/** Also a file larger than the process may write (ulimit -f). */
export const fullDisk = ['ENOSPC', 'EDQUOT', 'EFBIG'];

/** fetch wraps what the network throws; a bare system call's error is the disk's. */
export function isDiskError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && !(error instanceof TypeError) && 'syscall' in error;
}

/** Why a request failed, without fetch's wrapping. Empty where fetch says nothing. */
export function networkReason(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  if (!(cause instanceof Error)) return String(cause);
  return cause.message || ((cause as NodeJS.ErrnoException).code ?? '');
}

/** What the network or the disk threw, as a ModelError with a remedy. */
export function toModelError(error: unknown, source: Source, cacheDir: string): ModelError {
  if (error instanceof ModelError) return error;
  const { repo, hubUrl } = source;
  if (isDiskError(error)) {
    const remedy = 'or name another folder with HF_HUB_CACHE';
    return fullDisk.includes(error.code ?? '')
      ? new ModelError(
          'disk_full',
          `There is no room for ${repo} in ${cacheDir} (${error.code}): make some, ${remedy}.`,
          true,
        )
      : new ModelError('cache_unwritable', `${cacheDir} can't take ${repo} (${error.message}): mend it, ${remedy}.`);
  }
  const reason = networkReason(error);
  // fetch says nothing at all of an answer 407, and a tunnel's refusal in words.
  if (reason === '' || /\b407\b/.test(reason)) {
    const message =
      `A proxy on the way to ${hubUrl} wants a name and a password (407) before it lets anyone fetch ${repo}: ` +
      'set HTTPS_PROXY=http://name:password@host:port and NODE_USE_ENV_PROXY=1.';
    return new ModelError('hub_refused', message);
  }
  if (error instanceof SyntaxError || /malformed response/.test(reason)) {
    const message = `${hubUrl} does not answer as a model hub does for ${repo} (a log-in page or a proxy in between?): ${reason}.`;
    return new ModelError('hub_unreachable', message, true);
  }
  return new ModelError('hub_unreachable', `${hubUrl} can't be reached for ${repo}: ${reason}.`, true);
}
