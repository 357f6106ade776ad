import type { IndexFilter, Tenant, VideoName } from '#store';
import { ProblemError } from '../problems.ts';
import type { SearchRequest } from '../schemas/index.ts';
import { toMs, toSeconds } from '../videos/public-video.ts';
import type { NamesService } from './names.service.ts';

/** The index takes so many ids in one filter. */
const MAX_VIDEOS = 10_000;

/** Ids of the videos that a filter on what the catalog knows leaves; undefined where it asks for nothing of the kind. */
export async function videosOf(
  names: NamesService,
  tenant: Tenant,
  { filter, videoIds }: Pick<SearchRequest, 'filter' | 'videoIds'>,
): Promise<string[] | undefined> {
  const { metadata, minDuration, maxDuration, createdAfter, createdBefore, recordedAfter, recordedBefore } =
    filter ?? {};
  const ofVideos = [metadata, minDuration, maxDuration, createdAfter, createdBefore, recordedAfter, recordedBefore];
  if (ofVideos.every((one) => one === undefined)) return videoIds;
  const isCreated = between(createdAfter, createdBefore);
  const isRecorded = between(recordedAfter, recordedBefore);
  const tags = Object.entries(metadata ?? {});
  const matches = (video: VideoName): boolean =>
    isCreated(video.createdAt) &&
    isRecorded(video.recordedAt) &&
    isLong(video, minDuration, maxDuration) &&
    tags.every(([key, value]) => Object.hasOwn(video.metadata, key) && video.metadata[key] === value);

  const found: string[] = [];
  const named = videoIds && new Set(videoIds);
  for await (const some of names.all(tenant)) {
    for (const [id, video] of some) if (matches(video) && (named?.has(id) ?? true)) found.push(id);
    if (found.length > MAX_VIDEOS)
      throw new ProblemError('request_invalid', `filter: more than ${MAX_VIDEOS} videos match; narrow it.`);
  }
  return found;
}

/** What of a filter the index itself applies to frames and passages. */
export function rowFilterOf({
  from,
  to,
  language,
}: NonNullable<SearchRequest['filter']> = {}): Pick<IndexFilter, 'language' | 'timeRange'> {
  const isTimed = from !== undefined || to !== undefined;
  return {
    ...(language && { language }),
    ...(isTimed && {
      timeRange: { startMs: toMs(from ?? 0), endMs: to === undefined ? Number.MAX_SAFE_INTEGER : toMs(to) },
    }),
  };
}

/** Whether a time (ms) is `after` or later, and earlier than `before`. One that is not known is neither. */
function between(after?: string, before?: string): (atMs: number | undefined) => boolean {
  const fromMs = after === undefined ? undefined : Date.parse(after);
  const untilMs = before === undefined ? undefined : Date.parse(before);
  return (atMs = Number.NaN) => (fromMs === undefined || atMs >= fromMs) && (untilMs === undefined || atMs < untilMs);
}

function isLong({ durationMs }: VideoName, min = 0, max = Number.POSITIVE_INFINITY): boolean {
  const length = toSeconds(durationMs ?? Number.NaN);
  return (min === 0 && max === Number.POSITIVE_INFINITY) || (length >= min && length <= max);
}
