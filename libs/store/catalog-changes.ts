import type { Redis } from 'ioredis';

/** Wakes one waiting watcher, by a ring or for good. */
export class Bell {
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

  /** A bell that rings for each message and each time the connection comes back: messages of the meantime are lost. */
  listen(channel: string): Bell {
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
  leave(channel: string, bell: Bell): void {
    const bells = this.#bells.get(channel);
    bells?.delete(bell);
    if (bells?.size !== 0) return;
    this.#bells.delete(channel);
    this.#subscriber?.unsubscribe(channel).catch(() => {});
  }
  /** Ends all bells and the connection. */
  close(): void {
    for (const bells of this.#bells.values()) for (const bell of bells) bell.end();
    this.#subscriber?.disconnect();
    this.#subscriber = undefined;
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
