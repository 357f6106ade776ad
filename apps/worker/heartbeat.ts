import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import type { Logger } from 'pino';
import type { WorkerStatus } from '#store';
import { Models } from './models.ts';
import { Stores } from './stores.ts';
import { LOGGER } from './tokens.ts';

const EVERY_MS = 5_000;
const LOOP_RESOLUTION_MS = 10;
const FORGET_MS = 500;

/** Tells the catalog every 5 s that this worker lives, and with which models. */
@Injectable()
export class Heartbeat implements OnModuleDestroy {
  readonly workerId = `${hostname()}-${process.pid}-${randomBytes(3).toString('hex')}`;
  #timer?: NodeJS.Timeout;
  #beating?: Promise<unknown>;
  #stopped = false;
  #loop?: ReturnType<typeof monitorEventLoopDelay>;

  constructor(
    private readonly stores: Stores,
    private readonly models: Models,
    @Inject(LOGGER) private readonly log: Logger,
  ) {}

  start(): void {
    this.#loop = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
    this.#loop.enable();
    this.#timer = setInterval(() => void this.beat(), EVERY_MS);
    void this.beat();
    void this.models.loaded.then(() => this.beat());
  }

  async onModuleDestroy(): Promise<void> {
    clearInterval(this.#timer);
    this.#loop?.disable();
    this.#stopped = true;
    await this.#beating;
    const forgotten = this.stores.catalog.forgetWorker(this.workerId).catch(() => {});
    // Redis may be away: what it has of us then goes by itself.
    await Promise.race([forgotten, sleep(FORGET_MS, undefined, { ref: false })]);
  }

  private async beat(): Promise<void> {
    if (this.#stopped) return;
    const p99Ns = this.#loop?.percentile(99) ?? 0;
    this.#loop?.reset();
    const pulse: WorkerStatus = {
      id: this.workerId,
      ...this.models.status(),
      // The histogram counts the timer's own interval.
      eventLoopP99Ms: Math.max(0, Math.round((p99Ns / 1e6 - LOOP_RESOLUTION_MS) * 10) / 10),
      rssBytes: process.memoryUsage.rss(),
    };
    this.log.debug({ eventLoopP99Ms: pulse.eventLoopP99Ms, rssBytes: pulse.rssBytes }, 'pulse');
    const announced = this.stores.catalog
      .announceWorker(pulse)
      .catch((err: unknown) => this.log.debug({ err }, 'the worker was not announced'));
    this.#beating = Promise.race([announced, sleep(FORGET_MS, undefined, { ref: false })]);
    await announced;
  }
}
