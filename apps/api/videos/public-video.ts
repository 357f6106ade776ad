import type { StageName, Video } from '#store';
import type { Links } from '../links.ts';
import type { PublicVideo } from '../schemas/index.ts';

export const toSeconds = (ms: number): number => Math.round(ms) / 1000;
/** The other way; 64.1 · 1000 alone is 64,099.99999999999. */
export const toMs = (seconds: number): number => Math.round(seconds * 1000);
export const toDate = (ms: number): string => new Date(ms).toISOString();
const toOptionalDate = (ms: number | undefined) => (ms === undefined ? undefined : toDate(ms));

/** A video as clients see it: seconds, dates, links; nothing of where we keep it. */
export function publicVideo(video: Video, links: Links, nowMs = Date.now()): PublicVideo {
  const progress = overallProgress(video);
  return {
    id: video.id,
    status: video.status === 'deleting' ? 'cancelled' : video.status,
    title: video.title,
    filename: video.filename,
    metadata: video.metadata,
    language: video.language,
    task: video.task,
    prompt: video.prompt,
    source: {
      kind: video.source.kind,
      url: video.source.url,
      sizeBytes: video.source.sizeBytes,
      sha256: video.source.sha256,
      contentType: video.source.contentType,
    },
    media: video.media && {
      container: video.media.container,
      duration: toSeconds(video.media.durationMs),
      recordedAt: toOptionalDate(video.media.recordedAt),
      video: publicPicture(video.media.video),
      audio: video.media.audio,
    },
    stages: {
      probe: publicStage(video, 'probe'),
      frames: publicStage(video, 'frames'),
      speech: publicStage(video, 'speech'),
      finalize: publicStage(video, 'finalize'),
    },
    progress,
    etaSeconds: eta(video, progress, nowMs),
    warnings: video.warnings,
    error: video.error,
    captions: video.captions,
    models: video.models,
    counts: { ...video.counts, captions: video.captions?.cues ?? 0 },
    createdAt: toDate(video.createdAt),
    updatedAt: toDate(video.updatedAt),
    startedAt: toOptionalDate(video.startedAt),
    finishedAt: toOptionalDate(video.finishedAt),
    links: {
      self: links.video(video.id),
      events: links.media(video.tenant, video.id, 'events'),
      source: video.source.blobKey ? links.media(video.tenant, video.id, 'source') : undefined,
      transcript: links.media(video.tenant, video.id, 'transcript'),
    },
  };
}

/** Of a cancelled video nothing is at work and nothing will be, whatever its jobs had written when they heard of it. */
function publicStage({ status, stages }: Video, name: StageName) {
  const { state, doneMs, totalMs, error } = stages[name];
  const dropped = ['cancelled', 'deleting'].includes(status) && ['waiting', 'active'].includes(state);
  return { state: dropped ? 'skipped' : state, done: toSeconds(doneMs), total: toSeconds(totalMs), error } as const;
}

/** Without what only decoding needs to know. */
function publicPicture(picture: NonNullable<Video['media']>['video']) {
  if (!picture) return undefined;
  const { codec, width, height, fps, rotation } = picture;
  return { codec, width, height, fps, rotation };
}

/** Media time done over media time to do, of frames and speech together; the short stages before and after get 1% each. */
function overallProgress(video: Video): number {
  if (video.status === 'ready') return 1;
  const { probe, frames, speech } = video.stages;
  const long = [frames, speech].filter((stage) => stage.state !== 'skipped');
  const total = long.reduce((sum, stage) => sum + stage.totalMs, 0);
  const done = long.reduce((sum, stage) => {
    const over = stage.state === 'done' || stage.state === 'failed';
    return sum + (over ? stage.totalMs : Math.min(stage.doneMs, stage.totalMs));
  }, 0);
  const share = (probe.state === 'done' ? 0.01 : 0) + (total > 0 ? (0.98 * done) / total : 0);
  return Math.round(share * 1000) / 1000;
}

/** From the pace so far; left out until there is enough of it to go by. */
function eta(video: Video, progress: number, nowMs: number): number | undefined {
  if (video.status !== 'indexing' || video.startedAt === undefined || progress < 0.03) return undefined;
  const elapsedMs = nowMs - video.startedAt;
  return elapsedMs < 1000 ? undefined : Math.max(0, Math.round((elapsedMs * (1 - progress)) / progress / 1000));
}
