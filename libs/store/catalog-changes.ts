import type { Redis } from 'ioredis';

/** A watcher sees a change that it was not told of (a message lost with its connection) this much later. */
const REREAD_MS = 5000;
/** Changes in quicker succession than this are one to a watcher. */
const COALESCE_MS = 200;

/** Wakes one waiting watcher, by a ring or for good. */
class Bell {
  #rung = false;
  #ended = false;
  readonly #wakers = new Set<() => void>();

  get ended(): boolean {
    return this.#ended;
  }
  ring = (): void => {
    this.#rung = true;
    for (const wake of this.#wakers) wake();
  };
  end = (): void => {
    this.#ended = true;
    for (const wake of this.#wakers) wake();
  };
  /** Until the bell rings (or has rung since the last call), ends, or `maxMs` have passed. */
  async wait(maxMs: number): Promise<void> {
    await this.#until(maxMs, () => this.#rung || this.#ended);
    this.#rung = false;
  }
  /** `ms`, or less when it ends. */
  async pause(ms: number): Promise<void> {
    if (ms > 0) await this.#until(ms, () => this.#ended);
  }
  /** The result of `work`, or undefined when the bell ends first. */
  orEnd<T>(work: Promise<T>): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      const wake = () => {
        if (this.#ended) finish(() => resolve(undefined));
      };
      const finish = (settle: () => void) => {
        this.#wakers.delete(wake);
        settle();
      };
      this.#wakers.add(wake);
      work.then(
        (value) => finish(() => resolve(value)),
        (error) => finish(() => reject(error)),
      );
      wake();
    });
  }
  #until(maxMs: number, reached: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const finish = () => {
        clearTimeout(timer);
        this.#wakers.delete(wake);
        resolve();
      };
      const wake = () => {
        if (reached()) finish();
      };
      const timer = setTimeout(finish, maxMs);
      this.#wakers.add(wake);
      wake();
    });
  }
}

/** Rings bells when their channel has a message. One connection for all of a process, opened with the first bell. */
export class Changes {
  #subscriber?: Redis;
  readonly #bells = new Map<string, Set<Bell>>();

  constructor(private readonly redis: Redis) {}

  /**
   * What `read` gives now, then what it gives after each message where that is another (messages in quick succession are one), until it gives nothing or
   * `signal` aborts. Ends, too, when all bells end or the generator's `return` is called.
   */
  follow<T>(channel: string, read: () => Promise<T | undefined>, signal: AbortSignal): AsyncGenerator<T> {
    const returned = new AbortController();
    const items = this.#follow(channel, read, AbortSignal.any([signal, returned.signal]));
    // A generator that waits can't see its own `return` before it is woken.
    const finish = items.return.bind(items);
    items.return = (value) => {
      returned.abort();
      return finish(value);
    };
    return items;
  }
  /** Ends all bells and the connection. */
  close(): void {
    for (const bells of this.#bells.values()) for (const bell of bells) bell.end();
    this.#subscriber?.disconnect();
    this.#subscriber = undefined;
  }

  async *#follow<T>(channel: string, read: () => Promise<T | undefined>, signal: AbortSignal): AsyncGenerator<T> {
    if (signal.aborted) return;
    const bell = this.#listen(channel);
    signal.addEventListener('abort', bell.end);
    try {
      let seen = '';
      while (!bell.ended) {
        const readAt = performance.now();
        const item = await bell.orEnd(read());
        if (item === undefined || bell.ended) return;
        const text = JSON.stringify(item);
        if (text !== seen) yield item;
        seen = text;
        await bell.wait(REREAD_MS);
        await bell.pause(COALESCE_MS - (performance.now() - readAt));
      }
    } finally {
      signal.removeEventListener('abort', bell.end);
      this.#leave(channel, bell);
    }
  }
  /** A bell that rings for each message and each time the connection comes back: messages of the meantime are lost. */
  #listen(channel: string): Bell {
    const bell = new Bell();
    const bells = this.#bells.get(channel);
    if (bells) bells.add(bell);
    else {
      this.#bells.set(channel, new Set([bell]));
      this.#connection()
        .subscribe(channel)
        .then(
          () => this.#ring(channel),
          () => {}, // closed
        );
    }
    return bell;
  }
  #leave(channel: string, bell: Bell): void {
    const bells = this.#bells.get(channel);
    bells?.delete(bell);
    if (bells?.size !== 0) return;
    this.#bells.delete(channel);
    this.#subscriber?.unsubscribe(channel).catch(() => {});
  }
  #connection(): Redis {
    if (!this.#subscriber) {
      this.#subscriber = this.redis.duplicate();
      this.#subscriber.on('message', (channel: string) => this.#ring(channel));
      this.#subscriber.on('ready', () => {
        for (const channel of this.#bells.keys()) this.#ring(channel);
      });
      // The given connection meets the same errors and tells of them.
      this.#subscriber.on('error', () => {});
    }
    return this.#subscriber;
  }
  #ring(channel: string): void {
    for (const bell of this.#bells.get(channel) ?? []) bell.ring();
  }
}
