import type { Catalog, IndexFilter, Tenant, Video } from '#store';
import { ProblemError } from '../problems.ts';
import type { SearchRequest } from '../schemas/index.ts';

/** The index takes so many ids in one filter. */
const MAX_VIDEOS = 10_000;
const PAGE = 100;

/**
 * Ids of the videos that a filter on what the catalog knows leaves; undefined where it asks for nothing of the kind. Reads the tenant's records, newest
 * first: a seventh of a second for each thousand videos (docs/search.md).
 */
export async function videosOf(
  catalog: Catalog,
  tenant: Tenant,
  { filter, videoIds }: Pick<SearchRequest, 'filter' | 'videoIds'>,
): Promise<string[] | undefined> {
  const { metadata, minDuration, maxDuration, createdAfter, createdBefore, recordedAfter, recordedBefore } =
    filter ?? {};
  const ofVideos = [metadata, minDuration, maxDuration, createdAfter, createdBefore, recordedAfter, recordedBefore];
  if (ofVideos.every((one) => one === undefined)) return videoIds;
  const matches = (video: Video): boolean =>
    isBetween(video.createdAt, createdAfter, createdBefore) &&
    isBetween(video.media?.recordedAt, recordedAfter, recordedBefore) &&
    isLong(video, minDuration, maxDuration) &&
    Object.entries(metadata ?? {}).every(
      ([key, value]) => Object.hasOwn(video.metadata, key) && video.metadata[key] === value,
    );

  const found: string[] = [];
  const named = videoIds && new Set(videoIds);
  for (let cursor: string | undefined; ; ) {
    const page = await catalog.listVideos(tenant, { limit: PAGE, ...(cursor !== undefined && { cursor }) });
    for (const video of page.videos) if (matches(video) && (named?.has(video.id) ?? true)) found.push(video.id);
    if (found.length > MAX_VIDEOS)
      throw new ProblemError('request_invalid', `filter: more than ${MAX_VIDEOS} videos match; narrow it.`);
    // Newest first: what comes next is older than what is asked for.
    const oldest = page.videos.at(-1);
    const isPast = oldest !== undefined && !isBetween(oldest.createdAt, createdAfter);
    if (page.nextCursor === undefined || isPast) return found;
    cursor = page.nextCursor;
  }
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
      timeRange: { startMs: (from ?? 0) * 1000, endMs: to === undefined ? Number.MAX_SAFE_INTEGER : to * 1000 },
    }),
  };
}

/** Whether a time (ms) is `after` or later, and earlier than `before`. One that is not known is neither. */
function isBetween(atMs = Number.NaN, after?: string, before?: string): boolean {
  return (after === undefined || atMs >= Date.parse(after)) && (before === undefined || atMs < Date.parse(before));
}

function isLong({ media }: Video, min = 0, max = Number.POSITIVE_INFINITY): boolean {
  const length = (media?.durationMs ?? Number.NaN) / 1000;
  return (min === 0 && max === Number.POSITIVE_INFINITY) || (length >= min && length <= max);
}
