import { setImmediate as immediate } from 'node:timers/promises';
import type { Redis } from 'ioredis';

/** A watcher sees a change that it was not told of (a message lost with its connection) this much later. */
const REREAD_MS = 5000;
/** Changes in quicker succession than this are one to a watcher. */
const COALESCE_MS = 200;
/** Watchers that are told at once; what else the process has to do comes between. Each writes to a socket then, which takes some .1 ms. */
const TOLD_AT_ONCE = 50;

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
  async wait(maxMs?: number): Promise<void> {
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
  #until(maxMs: number | undefined, reached: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const finish = () => {
        clearTimeout(timer);
        this.#wakers.delete(wake);
        resolve();
      };
      const wake = () => {
        if (reached()) finish();
      };
      const timer = maxMs === undefined ? undefined : setTimeout(finish, maxMs);
      this.#wakers.add(wake);
      wake();
    });
  }
}

/**
 * What there is to see on one channel, read once for all who watch it: two thousand who each read and compared held the process for a second at a change.
 * They are given one and the same object, so what they make of it can be kept, too.
 */
class Feed<T> {
  /** Of its messages. */
  readonly bell = new Bell();
  readonly watchers = new Set<Bell>();
  /** Reads so far, of the feed and of who joins: Redis answers in this order. */
  reads = 0;
  /** What the feed has read last. */
  newest?: { item: T; text: string; read: number };
  /** Nothing comes any more: there is nothing to see, or a read failed. */
  over?: { error?: unknown };

  constructor(private readonly look: () => Promise<T | undefined>) {}

  async run(): Promise<void> {
    let readAt = Number.NEGATIVE_INFINITY;
    while (!this.over) {
      await this.bell.wait(REREAD_MS);
      await this.bell.pause(COALESCE_MS - (performance.now() - readAt));
      if (this.bell.ended) return;
      readAt = performance.now();
      const read = ++this.reads;
      try {
        const item = await this.look();
        if (item === undefined) this.over = {};
        else this.newest = { item, text: JSON.stringify(item), read };
      } catch (error) {
        this.over = { error };
      }
      await this.#tell();
    }
  }
  end(): void {
    for (const bell of [this.bell, ...this.watchers]) bell.end();
  }
  async #tell(): Promise<void> {
    let told = 0;
    for (const bell of this.watchers) {
      bell.ring();
      if (++told % TOLD_AT_ONCE === 0) await immediate();
    }
  }
}

/** Feeds of channels. One connection for all of a process, opened with the first. */
export class Changes<T> {
  #subscriber?: Redis;
  readonly #feeds = new Map<string, Feed<T>>();

  constructor(private readonly redis: Redis) {}

  /**
   * What `read` gives now, then what it gives after each message where that is another (messages in quick succession are one), until it gives nothing or
   * `signal` aborts. Ends, too, when all ends or the generator's `return` is called. `read` is the same for all who follow a channel.
   */
  follow(channel: string, read: () => Promise<T | undefined>, signal: AbortSignal): AsyncGenerator<T> {
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
  /** Ends all feeds and the connection. */
  close(): void {
    for (const feed of this.#feeds.values()) feed.end();
    this.#subscriber?.disconnect();
    this.#subscriber = undefined;
  }

  async *#follow(channel: string, read: () => Promise<T | undefined>, signal: AbortSignal): AsyncGenerator<T> {
    if (signal.aborted) return;
    const bell = new Bell();
    const feed = this.#feed(channel, read);
    feed.watchers.add(bell);
    signal.addEventListener('abort', bell.end);
    try {
      // Its own read, since the last of the feed may be older than a change that whoever comes now has made.
      let seen = ++feed.reads;
      const first = await bell.orEnd(read());
      if (first === undefined || bell.ended) return;
      let text = JSON.stringify(first);
      yield first;
      for (;;) {
        await bell.wait();
        if (bell.ended) return;
        const { newest, over } = feed;
        if (over) {
          if ('error' in over) throw over.error;
          return;
        }
        if (!newest || newest.read < seen) continue;
        if (newest.text !== text) yield newest.item;
        ({ read: seen, text } = newest);
      }
    } finally {
      signal.removeEventListener('abort', bell.end);
      this.#leave(channel, feed, bell);
    }
  }
  /** That of a channel: it reads for each message, and each time the connection comes back, as messages of the meantime are lost. */
  #feed(channel: string, read: () => Promise<T | undefined>): Feed<T> {
    const known = this.#feeds.get(channel);
    if (known && !known.over) return known;
    const feed = new Feed(read);
    this.#feeds.set(channel, feed);
    void feed.run().then(() => this.#forget(channel, feed));
    this.#connection()
      .subscribe(channel)
      .then(
        () => feed.bell.ring(),
        () => {}, // closed
      );
    return feed;
  }
  #leave(channel: string, feed: Feed<T>, bell: Bell): void {
    feed.watchers.delete(bell);
    if (feed.watchers.size > 0) return;
    feed.bell.end();
    this.#forget(channel, feed);
  }
  #forget(channel: string, feed: Feed<T>): void {
    if (this.#feeds.get(channel) !== feed) return;
    this.#feeds.delete(channel);
    this.#subscriber?.unsubscribe(channel).catch(() => {});
  }
  #connection(): Redis {
    if (!this.#subscriber) {
      this.#subscriber = this.redis.duplicate();
      this.#subscriber.on('message', (channel: string) => this.#feeds.get(channel)?.bell.ring());
      this.#subscriber.on('ready', () => {
        for (const feed of this.#feeds.values()) feed.bell.ring();
      });
      // The given connection meets the same errors and tells of them.
      this.#subscriber.on('error', () => {});
    }
    return this.#subscriber;
  }
}
