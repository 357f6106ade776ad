import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import type { Logger } from 'pino';
import { type VideoRef, type VideoStatus, videoFolder } from '#store';
import { fromReason } from './problems.ts';
import { Stores } from './stores.ts';
import { LOGGER } from './tokens.ts';

const EVERY_MS = 30_000;
/** A finalize that has given up rests so long before it is tried again: what it waits for may be away for hours. */
const REST_MS = 60_000;

/**
 * Mends what a crash left between two writes: a video without its job, a failed plan that nobody recorded, a deletion that nobody
 * works on, the blobs of an upload that has no record. Every worker does this, at start and every 30 s; doing it twice does nothing more.
 */
@Injectable()
export class Reconcile implements OnModuleDestroy {
  #timer?: NodeJS.Timeout;
  #running?: Promise<void>;

  constructor(
    private readonly stores: Stores,
    @Inject(LOGGER) private readonly log: Logger,
  ) {}

  start(): void {
    const round = () => {
      this.#running ??= this.#all().finally(() => (this.#running = undefined));
    };
    round();
    // Not all workers in step.
    this.#timer = setInterval(round, EVERY_MS * (0.9 + Math.random() / 5));
  }

  onModuleDestroy(): void {
    clearInterval(this.#timer);
  }

  async #all(): Promise<void> {
    try {
      for await (const { status, ...ref } of this.stores.catalog.unfinished()) {
        const mended = await this.#one(ref, status);
        if (mended) this.log.warn({ videoId: ref.videoId, run: ref.run, status }, mended);
      }
    } catch (err) {
      this.log.warn({ err }, 'unfinished videos were not looked after');
    }
    try {
      await this.#abandoned();
    } catch (err) {
      this.log.warn({ err }, 'left-overs of uploads were not removed');
    }
  }

  async #abandoned(): Promise<void> {
    const { catalog, blobs } = this.stores;
    for (const ref of await catalog.abandonedUploads()) {
      await blobs.deletePrefix(videoFolder(ref));
      await catalog.endUpload(ref.tenant, ref.videoId, true);
      this.log.warn({ videoId: ref.videoId }, 'an upload was cut off before it was accepted; what it left is removed');
    }
  }

  /** What was done, in words; undefined when all was well. */
  async #one(ref: VideoRef, status: VideoStatus): Promise<string | undefined> {
    const { jobs } = this.stores;
    if (status === 'deleting') {
      await jobs.addCleanup(ref);
      return undefined;
    }
    const [finalize, plan] = [await jobs.find('finalize', ref), await jobs.find('plan', ref)];
    if (finalize?.state === 'waiting' || finalize?.state === 'active') return undefined;
    if (finalize?.state === 'failed') {
      if (Date.now() - (finalize.finishedAt ?? 0) < REST_MS) return undefined;
      await jobs.retryFinalize(ref);
      return 'finalize had given up and is tried again';
    }
    if (plan?.state === 'waiting' || plan?.state === 'active') return undefined;
    // What was read above may have moved on meanwhile.
    if (!(await this.stores.wanted(ref, [status]))) return undefined;
    if (plan?.state === 'failed') {
      await jobs.addFailure(ref, fromReason(plan.failedReason ?? ''));
      return 'a plan that failed was not recorded';
    }
    if (!plan && !finalize && status === 'queued') {
      await jobs.addPlan(ref);
      return 'a video had no plan job';
    }
    await jobs.replan(ref);
    return 'the jobs of a video were lost; it is planned again';
  }
}
