import { Inject, Injectable } from '@nestjs/common';
import type { Logger } from 'pino';
import type { JobPayloads } from '#jobs';
import { framesModelsOf, thumbnailsFolder, type Video } from '#store';
import { settleWarnings, withCaptionsWarning } from './captions.ts';
import { announce } from './events.ts';
import type { FramesResult } from './frames.ts';
import type { Handler, JobContext } from './handler.ts';
import { fromReason, NoLongerWanted, type Problem } from './problems.ts';
import type { SpeechResult } from './speech.ts';
import { Stores } from './stores.ts';
import { LOGGER } from './tokens.ts';

/** How the shards of one stage have ended. */
interface Outcome<Result> {
  stage: 'frames' | 'speech' | 'captions';
  results: Result[];
  failures: Problem[];
}

/**
 * Closes a run when all its shards have ended: stages, counts, status, then the event. Every step can be done again, and a job that died
 * after the status was set goes on with the event: an event is sent at least once, and never before its status.
 */
@Injectable()
export class FinalizeHandler implements Handler<'finalize'> {
  readonly queue = 'finalize';
  readonly needsModels = false;
  readonly concurrency = 4;
  #optimizing?: Promise<void>;
  #again = false;

  constructor(
    private readonly stores: Stores,
    @Inject(LOGGER) private readonly log: Logger,
  ) {}

  async handle({ job, data, log }: JobContext<'finalize'>): Promise<void> {
    const { failure } = data;
    const video = await this.stores.wanted(data, ['queued', 'indexing', 'ready', 'failed']);
    if (!video) throw new NoLongerWanted();
    let closed: Video | undefined = video;
    if (video.status === 'queued' || video.status === 'indexing') {
      closed = failure ? await this.#fail(data, video, failure) : await this.#close(data, video, await outcomes(job));
    }
    if (!closed) throw new NoLongerWanted();
    closed = await settleWarnings(this.stores.catalog, closed);
    log.info(
      { status: closed.status, counts: closed.counts, error: closed.error, warnings: closed.warnings },
      'video is finished',
    );
    await announce(this.stores, closed, closed.status === 'ready' ? 'video.ready' : 'video.failed');
    if (closed.status === 'ready') this.#optimize();
  }

  async #close(
    ref: JobPayloads['finalize'],
    video: Video,
    [frames, speech, captions]: [Outcome<FramesResult>, Outcome<SpeechResult>, Outcome<void>],
  ) {
    const { catalog } = this.stores;
    const { beside, only } = video.reindex ?? {};
    const counts = {
      frames: frames.results.reduce((sum, each) => sum + each.frames, 0),
      passages: only ? video.counts.passages : speech.results.reduce((sum, each) => sum + each.passages, 0),
    };
    // Each video has a frame and each sound track samples, silent ones too: none at all is damage, though no shard has failed over it.
    if (video.stages.frames.state !== 'skipped' && frames.failures.length === 0 && counts.frames === 0)
      frames.failures.push({ code: 'media_broken', message: 'The picture is damaged: nothing of it can be decoded.' });
    if (speech.results.length > 0 && speech.failures.length === 0 && speech.results.every((each) => each.samples === 0))
      speech.failures.push({ code: 'media_broken', message: 'The sound is damaged: nothing of it can be decoded.' });
    const warnings: Problem[] = [...video.warnings];
    if (counts.frames > 0 && frames.results.some((each) => each.damaged))
      warnings.push({ code: 'media_damaged', message: 'Parts of the picture are damaged and were left out.' });
    for (const [stage, { results, failures }] of [
      ['frames', frames],
      ['speech', speech],
    ] as const) {
      if (video.stages[stage].state === 'skipped' || (stage === 'speech' && only)) continue;
      const [error] = failures;
      await catalog.setStage(ref, stage, error ? { state: 'failed', error } : { state: 'done' });
      if (error) {
        const parts = failures.length + results.length;
        const share = parts === 1 ? '' : ` (${failures.length} of ${parts} parts)`;
        warnings.push({ code: error.code, message: `${stage} could not be indexed${share}: ${error.message}` });
      }
      const models = new Set(results.map((each) => each.model));
      if (models.size > 1) {
        const message = `Workers with different models indexed parts of this video (${[...models].join(', ')}): reindex it`;
        warnings.push({ code: 'models_mixed', message });
      }
    }
    for (const { code, message } of captions.failures)
      warnings.push({ code, message: `captions could not be indexed: ${message}` });
    const [error] = [...frames.failures, ...speech.failures];
    if (error && counts.frames === 0 && counts.passages === 0 && !video.captions?.cues)
      return this.#fail(ref, video, error);
    const made = [...new Set(frames.results.map((each) => each.model))];
    const before = framesModelsOf(video);
    // Beside others, only what is whole counts: what is searched meanwhile is whole.
    const isKept = beside !== undefined && before.length > 0;
    const isWhole = made.length === 1 && frames.failures.length === 0;
    const models = isKept ? [...new Set([...before, ...(isWhole ? made : [])])] : made.length === 1 ? made : [];
    await catalog.setStage(ref, 'finalize', { state: 'done' });
    return catalog.patchVideo(
      ref,
      {
        status: 'ready',
        counts: isKept && !isWhole ? { ...counts, frames: video.counts.frames } : counts,
        warnings: withCaptionsWarning(warnings, video.captions),
        ...(video.language ? {} : mostSpoken(speech.results)),
        models: {
          clip: isKept && !isWhole ? video.models?.clip : made[0],
          whisper: only ? video.models?.whisper : speech.results[0]?.model,
          profile: frames.results[0]?.profile ?? speech.results[0]?.profile ?? 'none',
          frames: models,
        },
        finishedAt: Date.now(),
      },
      { run: ref.run, status: ['queued', 'indexing'] },
    );
  }

  async #fail(ref: JobPayloads['finalize'], video: Video, error: Problem) {
    const { catalog, index, blobs } = this.stores;
    const { beside, only } = video.reindex ?? {};
    if (ref.failure) {
      await catalog.setStage(ref, 'probe', { state: 'failed', error });
      for (const stage of only ? (['frames'] as const) : (['frames', 'speech'] as const))
        await catalog.setStage(ref, stage, { state: 'skipped' });
    }
    if ((beside && framesModelsOf(video).some((id) => id !== beside.id)) || (only && video.counts.passages > 0)) {
      // What was there before this run is still there, and found.
      const message = `The video could not be indexed again: ${error.message}`;
      await catalog.setStage(ref, 'finalize', { state: 'done' });
      return catalog.patchVideo(
        ref,
        { status: 'ready', warnings: [...video.warnings, { code: error.code, message }], finishedAt: Date.now() },
        { run: ref.run, status: ['queued', 'indexing'] },
      );
    }
    // A shard that failed midway has written some of its rows.
    await index.deleteVideo(ref.tenant, ref.videoId);
    await blobs.deletePrefix(thumbnailsFolder(ref));
    await catalog.setStage(ref, 'finalize', { state: 'skipped' });
    return catalog.patchVideo(
      ref,
      { status: 'failed', error, captions: undefined, finishedAt: Date.now() },
      { run: ref.run, status: ['queued', 'indexing'] },
    );
  }

  /** Merges what indexing has written in small pieces. One at a time; what finishes meanwhile is served by one more round. */
  #optimize(): void {
    this.#again = true;
    this.#optimizing ??= (async () => {
      while (this.#again) {
        this.#again = false;
        await this.stores.index
          .optimize()
          .catch((err: unknown) => this.log.warn({ err }, 'the index was not optimised'));
      }
      this.#optimizing = undefined;
    })();
  }
}

/** The language of most passages, where any was detected. */
function mostSpoken(results: SpeechResult[]): { language?: string } {
  const passages = new Map<string, number>();
  for (const { language, passages: count } of results) {
    if (language && count > 0) passages.set(language, (passages.get(language) ?? 0) + count);
  }
  const [most] = [...passages].sort(([, a], [, b]) => b - a);
  return most ? { language: most[0] } : {};
}

/** Results and failures of a flow's children; a child's key names its queue (`{prefix}:frames:<id>`). */
async function outcomes(
  job: JobContext<'finalize'>['job'],
): Promise<[Outcome<FramesResult>, Outcome<SpeechResult>, Outcome<void>]> {
  const values = Object.entries(await job.getChildrenValues<FramesResult & SpeechResult>());
  const failed = Object.entries(await job.getIgnoredChildrenFailures());
  const of = <Result>(stage: Outcome<Result>['stage']): Outcome<Result> => ({
    stage,
    results: values.filter(([key]) => key.includes(`:${stage}:`)).map(([, value]) => value as Result),
    failures: failed.filter(([key]) => key.includes(`:${stage}:`)).map(([, reason]) => fromReason(reason)),
  });
  return [of<FramesResult>('frames'), of<SpeechResult>('speech'), of<void>('captions')];
}
