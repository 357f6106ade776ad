import type { ShardRef } from '#jobs';
import type { Video } from '#store';
import type { JobContext } from './handler.ts';
import { NoLongerWanted } from './problems.ts';
import type { Stores } from './stores.ts';

const REPORT_EVERY_MS = 500;
/** Without progress the run is still looked at this often, so that a cancelled video frees its worker soon. */
const LOOK_EVERY_MS = 2_000;

export interface ShardRun {
  video: Video;
  media: NonNullable<Video['media']>;
  /** Local file with the video. */
  path: string;
  /** Fires when the job ends early: unwanted run, shutdown, lost lock. */
  signal: AbortSignal;
  /** Tells how many milliseconds of the shard are done; reported at most twice a second. */
  done(ms: number): void;
}

/** What frames and speech have in common: is the shard wanted, the local file, progress, and stopping as soon as it is wanted no more. */
export async function runShard<T>(
  stores: Stores,
  stage: 'frames' | 'speech',
  context: JobContext<'frames' | 'speech'>,
  work: (run: ShardRun) => Promise<T>,
): Promise<T> {
  const shard: ShardRef = context.data;
  const video = await stores.wanted(shard, ['indexing']);
  if (!video?.media || !video.source.blobKey) throw new NoLongerWanted();
  await stores.catalog.setStage(shard, stage, { state: 'active' });

  const unwanted = new AbortController();
  const signal = AbortSignal.any([context.signal, unwanted.signal]);
  let doneMs = 0;
  let reportedMs = -1;
  let reportedAt = 0;
  const report = async () => {
    if (doneMs === reportedMs && Date.now() - reportedAt < LOOK_EVERY_MS) return;
    [reportedMs, reportedAt] = [doneMs, Date.now()];
    const wanted = await stores.catalog.reportProgress(shard, { stage, shard: shard.shard, doneMs });
    if (!wanted) unwanted.abort(new NoLongerWanted());
  };
  const timer = setInterval(() => {
    // Redis being away is no reason to stop: the lock decides that.
    report().catch((err: unknown) => context.log.debug({ err }, 'progress was not reported'));
  }, REPORT_EVERY_MS);

  try {
    await report();
    signal.throwIfAborted();
    const source = await stores.blobs.local(video.source.blobKey, signal);
    try {
      const done = (ms: number) => {
        doneMs = Math.max(doneMs, Math.min(ms, shard.endMs - shard.startMs));
      };
      const result = await work({ video, media: video.media, path: source.path, signal, done });
      signal.throwIfAborted();
      doneMs = shard.endMs - shard.startMs;
      await report();
      return result;
    } finally {
      await source.release();
    }
  } catch (error) {
    // Whatever fell over when it was told to stop: the reason for stopping is what counts.
    throw signal.aborted ? signal.reason : error;
  } finally {
    clearInterval(timer);
  }
}
