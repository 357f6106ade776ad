import { killAll } from './embedded/index.ts';

/** One press of Ctrl-C comes several times: from the terminal, and again from npm, which passes it on. */
const SAME_PRESS_MS = 1_000;

/** Aborts at the first SIGINT, SIGTERM or SIGHUP, for an orderly end. A second Ctrl-C ends everything at once. */
export function interruption(onFirst: () => void): AbortSignal {
  const controller = new AbortController();
  let first = 0;
  const hear = (signal: NodeJS.Signals) => {
    if (!first) {
      first = Date.now();
      onFirst();
      controller.abort(new Interrupted(signal));
    } else if (signal === 'SIGINT' && Date.now() - first > SAME_PRESS_MS) {
      killAll();
      process.exit(130);
    }
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, hear);
  return controller.signal;
}

/** The person wants it to end. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
  readonly code = 'interrupted';
  constructor(readonly signal: NodeJS.Signals) {
    super('Interrupted.');
  }
}

/** Resolves when the signal aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
