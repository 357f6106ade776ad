import { readFile } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import { Injectable } from '@nestjs/common';
import { DelayedError } from 'bullmq';
import {
  type BlobStore,
  type Catalog,
  captionId,
  captionsKey,
  type PassageRow,
  type Video,
  type VideoStatus,
} from '#store';
import { type Captions, findCaptionTrack, languageOf, parseCaptions, readCaptionTrack } from '#video';
import type { Handler, JobContext } from './handler.ts';
import { Models } from './models.ts';
import { writePassages } from './passages.ts';
import { NoLongerWanted, type Problem } from './problems.ts';
import { Stores } from './stores.ts';

const LOOK_AGAIN_MS = 500;
/** Nothing of other videos is found: what was indexed of them is removed. */
const SEARCHED: VideoStatus[] = ['queued', 'indexing', 'ready'];
/** Rows of one write to the index. */
const ROWS = 64;

type Media = Pick<NonNullable<Video['media']>, 'startMs' | 'durationMs'>;

/** Where captions come from. */
export type CaptionSource = 'upload' | 'embedded';

/** What the uploader has given goes before what is in the file; undefined: there are none. */
export async function captionsOf(video: Video, path: string, signal: AbortSignal): Promise<CaptionSource | undefined> {
  if (video.captionsFile) return 'upload';
  return (await trackOf(video, path, signal)) && 'embedded';
}

/** Is there anything to read in the captions? A track may be empty, or hold nothing but markup, broken times and readings of a camera. Reads the file up to its end. */
export async function hasCues(video: Video, path: string, media: Media, signal: AbortSignal): Promise<boolean> {
  if (video.captionsFile) return true; // the api takes none without
  const track = await trackOf(video, path, signal);
  return !!track && (await readCaptionTrack(path, track, media, signal)).cues.length > 0;
}

const trackOf = (video: Video, path: string, signal: AbortSignal) =>
  findCaptionTrack(
    path,
    (track) => video.language !== undefined && languageOf(track.language) === languageOf(video.language),
    signal,
  );

/** Warnings of a video, with what is to be said of its captions as they are now. */
export function withCaptionsWarning(warnings: Problem[], captions: Video['captions']): Problem[] {
  const { broken = 0, readings = 0 } = captions ?? {};
  const others = warnings.filter(({ code }) => code !== 'captions_damaged' && code !== 'captions_readings');
  const left =
    broken === 1 ? '1 caption was left out: its times make' : `${broken} captions were left out: their times make`;
  const noSpeech = `${readings} captions were left out: they are readings of a camera (exposure, position, time), not what is said.`;
  return [
    ...others,
    ...(broken > 0 ? [{ code: 'captions_damaged', message: `${left} no sense.` }] : []),
    ...(readings > 0 ? [{ code: 'captions_readings', message: noSpeech }] : []),
  ];
}

/** Brings the warnings of a video that is ready in line with its captions, whoever has changed which last. While it is being indexed, finalize does. */
export async function settleWarnings(catalog: Catalog, video: Video): Promise<Video> {
  for (let now = video; ; ) {
    const warnings = withCaptionsWarning(now.warnings, now.captions);
    if (now.status !== 'ready' || isDeepStrictEqual(warnings, now.warnings)) return now;
    const ref = { tenant: now.tenant, videoId: now.id };
    const patched = await catalog.patchVideo(ref, { warnings }, { run: now.run, status: ['ready'] });
    if (!patched) return now; // it is being indexed again
    now = patched;
  }
}

/**
 * Puts the captions a video has now in the place of those in the index: a caption is a passage of kind `caption`. Part of indexing, and done again
 * whenever a person gives other captions or removes them. Two such jobs at once: the one that ends last has seen the last change.
 */
@Injectable()
export class CaptionsHandler implements Handler<'captions'> {
  readonly queue = 'captions';
  /** Those that embed passages; without one this waits for nothing that speech does not wait for. */
  readonly needsModels = true;
  readonly concurrency = 2;

  constructor(
    private readonly stores: Stores,
    private readonly models: Models,
  ) {}

  async handle({ job, data: { tenant, videoId, run }, signal, log }: JobContext<'captions'>): Promise<void> {
    const { catalog, index } = this.stores;
    for (;;) {
      const video = await catalog.getVideo(tenant, videoId);
      if (!video || !SEARCHED.includes(video.status) || (run !== undefined && video.run !== run))
        throw new NoLongerWanted();
      if (!video.media || (video.status !== 'ready' && video.stages.probe.state !== 'done')) {
        // It is not planned yet; the plan takes out what an earlier run has written.
        await job.moveToDelayed(Date.now() + LOOK_AGAIN_MS, job.token);
        throw new DelayedError();
      }
      const found = await this.#read(video, video.media, signal).catch(async (error) => {
        const now = await catalog.getVideo(tenant, videoId);
        if (isDeepStrictEqual(now?.captionsFile, video.captionsFile)) throw error;
        return undefined; // others have taken their place, and the file is gone
      });
      if (!found) continue;
      const rows = toRows(video, found);
      await index.deletePassages(tenant, videoId, ['caption']);
      for (let from = 0; from < rows.length; from += ROWS) {
        signal.throwIfAborted();
        await writePassages(index, this.models.passages, rows.slice(from, from + ROWS), signal);
      }
      const { source, language, broken, readings } = found;
      const leftOut = { ...(broken > 0 && { broken }), ...(readings && { readings }) };
      const captions = source && { source, language, cues: rows.length, ...leftOut };
      const now = await catalog.patchVideo(
        { tenant, videoId },
        { captions },
        { run, status: [...SEARCHED, 'cancelled'] },
      );
      if (!now) {
        // It has failed meanwhile. Clean-up of a cancelled one, and any new run, waits until this job has ended.
        await index.deletePassages(tenant, videoId, ['caption']);
        throw new NoLongerWanted();
      }
      await settleWarnings(catalog, now);
      if (!isDeepStrictEqual(now.captionsFile, video.captionsFile)) continue; // changed meanwhile
      log.info({ source, cues: rows.length, ...leftOut }, 'captions are indexed');
      return;
    }
  }

  async #read(video: Video, media: Media, signal: AbortSignal): Promise<Found> {
    const { blobs } = this.stores;
    const { blobKey } = video.source;
    if (video.captionsFile) {
      await using file = await local(blobs, captionsKey(video), signal);
      const captions = await parseCaptions(await readFile(file.path), media.durationMs);
      const language = languageOf(video.captionsFile.language ?? video.language);
      return { source: 'upload', language, ...captions };
    }
    if (!blobKey) return { cues: [], broken: 0 };
    await using file = await local(blobs, blobKey, signal);
    const track = await trackOf(video, file.path, signal);
    if (!track) return { cues: [], broken: 0 };
    const captions = await readCaptionTrack(file.path, track, media, signal);
    return { source: 'embedded', language: languageOf(track.language) ?? video.language, ...captions };
  }
}

interface Found extends Captions {
  source?: CaptionSource;
  language?: string;
}

async function local(blobs: BlobStore, key: string, signal: AbortSignal) {
  const file = await blobs.local(key, signal);
  return { path: file.path, [Symbol.asyncDispose]: () => file.release() };
}

function toRows({ tenant, id: videoId }: Video, { cues, language }: Found): PassageRow[] {
  let n = 0;
  return cues.map(({ startMs, endMs, text }, i) => {
    n = cues[i - 1]?.startMs === startMs ? n + 1 : 0;
    return { id: captionId(videoId, startMs, n), tenant, videoId, startMs, endMs, text, language, kind: 'caption' };
  });
}
