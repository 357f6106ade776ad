import { Injectable } from '@nestjs/common';
import { DelayedError } from 'bullmq';
import { framesModelsOf, thumbnailsFolder, type Video, type VideoRef, videoFolder } from '#store';
import { withCaptionsWarning } from './captions.ts';
import type { Handler, JobContext } from './handler.ts';
import { Stores } from './stores.ts';

const LOOK_AGAIN_MS = 500;

/**
 * Removes what a deleted video has left: jobs, index rows, blobs, record; of a cancelled one, the partial index and its thumbnails (the source
 * stays for another run). It waits until no job of the video runs: what a running job writes would be left behind.
 */
@Injectable()
export class CleanupHandler implements Handler<'cleanup'> {
  readonly queue = 'cleanup';
  readonly needsModels = false;
  readonly concurrency = 2;

  constructor(private readonly stores: Stores) {}

  async handle({ job, data: { tenant, videoId }, log }: JobContext<'cleanup'>): Promise<void> {
    const { catalog, jobs, index, blobs } = this.stores;
    const video = await catalog.getVideo(tenant, videoId);
    const ref = video ? { tenant, videoId, run: video.run } : await this.#deleting(tenant, videoId);
    if (!ref || (video && video.status !== 'cancelled')) return; // done already, or a new run has begun
    await jobs.removeWaiting(ref);
    // One is this one. A running job stops by itself within seconds; one whose worker died is taken up by another, and then stops.
    if ((await jobs.countActive(videoId)) > 1) {
      await job.moveToDelayed(Date.now() + LOOK_AGAIN_MS, job.token);
      throw new DelayedError();
    }
    if (video && (await this.#keepWhatWas(video))) return;
    if (video)
      await catalog.patchVideo(
        ref,
        { models: undefined, captions: undefined },
        { run: video.run, status: ['cancelled'] },
      );
    await index.deleteVideo(tenant, videoId);
    if (video) {
      await blobs.deletePrefix(thumbnailsFolder(ref));
      log.info('partial index of a cancelled video is removed');
      return;
    }
    await blobs.deletePrefix(videoFolder(ref));
    await jobs.forget(ref);
    await catalog.removeVideo(tenant, videoId);
    log.info('video is removed');
  }

  /** Frames that were to be made beside others go, and the video is again what it was before. False where there is nothing to go back to. */
  async #keepWhatWas({ tenant, id: videoId, run, reindex, models, ...video }: Video): Promise<boolean> {
    const { catalog, index } = this.stores;
    const beside = reindex?.only && reindex.beside;
    if (!beside || !models || framesModelsOf({ models }).length === 0) return false;
    await index.deleteFrames(tenant, videoId, beside);
    const ref = { tenant, videoId, run };
    const warning = { code: 'reindex_cancelled', message: 'Indexing its frames again was cancelled.' };
    const patch: Partial<Video> = {
      status: 'ready',
      warnings: withCaptionsWarning([...video.warnings, warning], video.captions),
      finishedAt: Date.now(),
    };
    if (!(await catalog.patchVideo(ref, patch, { run, status: ['cancelled'] }))) return true;
    await catalog.setStage(ref, 'probe', { state: 'done' });
    for (const stage of ['frames', 'finalize'] as const) await catalog.setStage(ref, stage, { state: 'done' });
    return true;
  }

  /** A video that is being deleted is not found any more; its run is kept with what is unfinished. */
  async #deleting(tenant: string, videoId: string): Promise<VideoRef | undefined> {
    for await (const each of this.stores.catalog.unfinished()) {
      if (each.tenant === tenant && each.videoId === videoId) return { tenant, videoId, run: each.run };
    }
    return undefined;
  }
}
