import { setTimeout as sleep } from 'node:timers/promises';
import { Inject, Injectable } from '@nestjs/common';
import type { Config } from '#config';
import { cutShards, type JobPayloads } from '#jobs';
import { framesModelsOf, thumbnailsFolder, type Video } from '#store';
import { clockGoesBack, holdsSeveral, type KeyframeSpacing, type MediaInfo, measureKeyframes, probe } from '#video';
import { type CaptionSource, captionsOf, hasCues } from './captions.ts';
import { fetchSource } from './fetch-source.ts';
import type { Handler, JobContext } from './handler.ts';
import { NoLongerWanted, type Problem } from './problems.ts';
import { Stores } from './stores.ts';
import { CONFIG } from './tokens.ts';

/** Jobs of an older run stop within seconds; one whose worker died is over when its lock is. */
const OLD_JOBS_MS = 90_000;

/**
 * Fetches (ingest by url), probes, cuts into shards, adds the flow. Each step finds what an earlier try has done: the fetched source is
 * in the record, and a flow that is there is left alone.
 */
@Injectable()
export class PlanHandler implements Handler<'plan'> {
  readonly queue = 'plan';
  readonly needsModels = false;
  /** Mostly waiting for someone else's server. */
  readonly concurrency = 4;

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly stores: Stores,
  ) {}

  async handle({ data: ref, signal, log }: JobContext<'plan'>): Promise<void> {
    const { catalog, jobs, blobs } = this.stores;
    const found = await this.stores.wanted(ref, ['queued', 'indexing']);
    if (!found) throw new NoLongerWanted();
    // Before the flow, so that no shard meets a video that is not being indexed. Should we die in between, this job runs again.
    const video = await catalog.patchVideo(
      ref,
      { status: 'indexing', startedAt: found.startedAt ?? Date.now() },
      { run: ref.run, status: ['queued', 'indexing'] },
    );
    if (!video) throw new NoLongerWanted();
    if (await jobs.find('finalize', ref)) return;
    await catalog.setStage(ref, 'probe', { state: 'active' });

    const blobKey = video.source.blobKey ?? (await this.#fetch(video, signal));
    const source = await blobs.local(blobKey, signal);
    const { shardMs, frameIntervalMs, adaptive } = this.config.indexing;
    let media: MediaInfo;
    let joined: Problem | undefined;
    let keyframes: KeyframeSpacing | undefined;
    let captions: CaptionSource | undefined;
    let spoken = false;
    try {
      media = await probe(source.path, { language: video.language }, signal);
      if (await clockGoesBack(source.path, media, signal)) joined = ONE_CLOCK_EACH;
      else if (media.moves) joined = OTHER_TRACKS;
      else if (await holdsSeveral(source.path, media, signal)) joined = ONE_AFTER_THE_OTHER;
      // Once, here: each shard must decide alike how it decodes.
      if (!adaptive) keyframes = await measureKeyframes(source.path, media, frameIntervalMs, signal);
      captions = await captionsOf(video, source.path, signal);
      spoken = !!media.audio && video.transcribe !== 'never';
      if (spoken && captions && video.transcribe === 'auto')
        spoken = !(await hasCues(video, source.path, media, signal));
    } finally {
      await source.release();
    }
    if (ref.run > 1) {
      await this.#olderJobsEnd(ref, signal);
      await this.#makeRoom(video);
    }
    const onlyFrames = video.reindex?.only === 'frames';

    const shards = cutShards(media.durationMs, shardMs, adaptive?.maxGapMs ?? frameIntervalMs);
    const { container, durationMs, startMs, recordedAt, audio } = media;
    const picture = media.video && { ...media.video, keyframes };
    const warnings: Problem[] = [
      ...truncations(media),
      ...(joined ? [joined] : []),
      ...(onlyFrames ? video.warnings.filter((one) => !isOfFrames(one)) : []),
    ];
    const patched = await catalog.patchVideo(
      ref,
      {
        media: { container, durationMs, startMs, recordedAt, video: picture, audio },
        warnings,
        ...(!onlyFrames && { captions: undefined }),
      },
      { run: ref.run, status: ['indexing'] },
    );
    if (!patched) throw new NoLongerWanted();
    const stage = (has: unknown) =>
      has ? ({ state: 'waiting', totalMs: durationMs } as const) : ({ state: 'skipped', totalMs: 0 } as const);
    await catalog.setStage(ref, 'frames', stage(picture));
    if (!onlyFrames) await catalog.setStage(ref, 'speech', stage(spoken));
    await catalog.setStage(ref, 'probe', { state: 'done' });
    await jobs.addIndexFlow(ref, {
      frames: picture ? shards : [],
      speech: spoken && !onlyFrames ? shards : [],
      captions: !!captions && !onlyFrames,
    });
    const parts = { picture: !!picture, sound: spoken, captions };
    log.info({ durationMs, shards: shards.length, ...parts }, 'video is planned');
  }

  /** finalize, as a job of its own, marks the video failed and sends the event: it is done again until it is done. */
  async gaveUp(ref: JobPayloads['plan'], problem: Problem): Promise<void> {
    await this.stores.jobs.addFailure(ref, problem);
  }

  /**
   * Removes what this run writes anew, and says so in the record first: what the record says is there, is. Frames of the active model stay where another
   * model's are made beside them, and their thumbnails with them.
   */
  async #makeRoom(video: Video): Promise<void> {
    const { catalog, index, blobs } = this.stores;
    const { tenant, id: videoId, run, models, reindex } = video;
    const beside = reindex?.beside;
    const frames = beside ? framesModelsOf(video).filter((id) => id !== beside.id) : [];
    if (models && !(await catalog.patchVideo({ tenant, videoId }, { models: { ...models, frames } }, { run })))
      throw new NoLongerWanted();
    if (beside || reindex?.only) await index.deleteFrames(tenant, videoId, beside);
    if (!reindex?.only) await (beside ? index.deletePassages(tenant, videoId) : index.deleteVideo(tenant, videoId));
    if (!beside) await blobs.deletePrefix(thumbnailsFolder({ tenant, videoId }));
  }

  async #fetch(video: Video, signal: AbortSignal): Promise<string> {
    const { tenant, id: videoId, run } = video;
    const source = await fetchSource(video, this.config, this.stores, signal);
    const patched = await this.stores.catalog.patchVideo(
      { tenant, videoId },
      { source },
      { run, status: ['indexing'] },
    );
    if (!patched) {
      // Cancelled keeps its source for another run; a deleted video is cleaned up when this job has ended.
      throw new NoLongerWanted();
    }
    return source.blobKey;
  }

  /** Until no job of an earlier run can write any more, and no clean-up can remove what this run writes. */
  async #olderJobsEnd(ref: JobPayloads['plan'], signal: AbortSignal): Promise<void> {
    const giveUpAt = performance.now() + OLD_JOBS_MS;
    while ((await this.stores.jobs.countActive(ref.videoId)) > 1) {
      if (performance.now() > giveUpAt) throw new Error('Jobs of an earlier run do not end');
      await sleep(500, undefined, { signal });
    }
  }
}

/** A warning that indexing the frames again replaces. */
const isOfFrames = ({ code, message }: Problem): boolean =>
  ['media_truncated', 'media_joined', 'media_damaged', 'models_mixed'].includes(code) || message.startsWith('frames ');

const ONE_CLOCK_EACH: Problem = {
  code: 'media_joined',
  message:
    'Several recordings stand one after the other in this file, and the clock starts again: where two parts have the same times only the first is ' +
    'indexed. Give them one clock (ffmpeg -i FILE -map 0 -c copy NEW.ts) and upload that',
};

const OTHER_TRACKS: Problem = {
  code: 'media_joined',
  message:
    'Midway this recording goes on with other tracks or codecs: picture or sound is indexed up to there only. Cut it there and upload the parts one by one',
};

const ONE_AFTER_THE_OTHER: Problem = {
  code: 'media_joined',
  message:
    'Several recordings stand one after the other in this file: only the first is sure to be indexed. Upload them one by one, or joined by an editor',
};

const seconds = (ms: number) => `${Math.round(ms / 1000)} s`;
function truncations({ durationMs, statedMs, endsMidway, cutMs: { video, audio } = {} }: MediaInfo): Problem[] {
  const found: string[] = [];
  if (statedMs) found.push(`says it lasts ${seconds(statedMs)} but ends after ${seconds(durationMs)}`);
  if (endsMidway && !statedMs) found.push(`ends after ${seconds(durationMs)} in the midst of a fragment`);
  if (video !== undefined) found.push(`lasts ${seconds(durationMs)} but its picture ends after ${seconds(video)}`);
  if (audio !== undefined) found.push(`lasts ${seconds(durationMs)} but its sound ends after ${seconds(audio)}`);
  const message = (what: string) => `The file ${what}: it was cut off, or its headers are wrong`;
  return found.map((what) => ({ code: 'media_truncated', message: message(what) }));
}
