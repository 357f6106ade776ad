import type { IndexFilter, VectorModel } from './vector-index.ts';
import { inOrder, MAX_LISTED, modelName } from './vector-index-common.ts';

/** Rows read at most where most hits are of videos that were not asked for. */
const MAX_SEARCH_ROWS = 4096;
/** Times the rows wanted that are read first: enough where half of them are of those videos, which twice as many are for every other query. */
const FIRST_ASK = 3;
/** Rows read where a tie reaches past the limit: a third of all questions for common words, which 4096 made wait three times as long. */
const MAX_TIED_ROWS = 1024;

export const PASSAGES = 'passages';
const FRAMES_PREFIX = 'frames_';
const EMBEDDED_PASSAGES_PREFIX = 'passages_';

/** A table for each model. */
export const framesTable = (model: VectorModel): string => FRAMES_PREFIX + modelName(model);
export const embeddedPassagesTable = (model: VectorModel): string => EMBEDDED_PASSAGES_PREFIX + modelName(model);
export const isFrames = (table: string): boolean => table.startsWith(FRAMES_PREFIX);
export const isOurs = (table: string): boolean =>
  table === PASSAGES || isFrames(table) || table.startsWith(EMBEDDED_PASSAGES_PREFIX);

/** A SQL string: within one, only the quote itself has a meaning (DataFusion's generic dialect, no backslash escapes). */
export const quote = (value: string): string => `'${value.toWellFormed().replaceAll("'", "''")}'`;
export const isIn = (column: string, values: string[]): string => `${column} IN (${values.map(quote).join(', ')})`;

/** `of`: frames have neither kind nor language. */
export function filterSql(filter: IndexFilter, of: 'frames' | 'passages'): string {
  const { tenant, videoIds, excludeVideoIds, timeRange, language, kinds } = filter;
  const terms = [`tenant = ${quote(tenant)}`];
  if (videoIds) terms.push(isIn('video_id', videoIds));
  if (excludeVideoIds?.length) terms.push(`NOT (${isIn('video_id', excludeVideoIds)})`);
  if (timeRange) {
    if (Number.isFinite(timeRange.endMs)) terms.push(`start_ms < ${timeRange.endMs}`);
    if (Number.isFinite(timeRange.startMs)) terms.push(`end_ms > ${timeRange.startMs}`);
  }
  if (of === 'passages') {
    if (language !== undefined) terms.push(`language = ${quote(language)}`);
    if (kinds) terms.push(isIn('kind', kinds));
  }
  return terms.join(' AND ');
}

/**
 * Runs a ranked search whose filter may name thousands of videos. A long list is applied to the hits of a search without it, of which more are read as
 * needed: what remains of the first M hits is what the filtered search begins with. Only where few are left of very many is the list put into SQL.
 */
export async function readFiltered<Hit extends { videoId: string }>(
  filter: IndexFilter,
  fetch: number,
  read: (filter: IndexFilter, fetch: number) => Promise<Hit[]>,
): Promise<Hit[]> {
  const isLong = (list?: string[]) => (list?.length ?? 0) > MAX_LISTED;
  if (!isLong(filter.videoIds) && !isLong(filter.excludeVideoIds)) return read(filter, fetch);
  const wide = { ...filter };
  const wanted = isLong(filter.videoIds) ? new Set(filter.videoIds) : undefined;
  const unwanted = isLong(filter.excludeVideoIds) ? new Set(filter.excludeVideoIds) : undefined;
  if (wanted) wide.videoIds = undefined;
  if (unwanted) wide.excludeVideoIds = undefined;
  for (let ask = FIRST_ASK * fetch; ask <= MAX_SEARCH_ROWS; ) {
    const hits = await read(wide, ask);
    const left = hits.filter(({ videoId }) => (wanted?.has(videoId) ?? true) && !unwanted?.has(videoId));
    if (left.length >= fetch || hits.length < ask) return left.slice(0, fetch);
    // As many as it takes if the rest is like these, and a quarter more; never less than twice as many.
    ask = Math.max(2 * ask, Math.ceil((1.25 * fetch * hits.length) / left.length));
  }
  return read(filter, fetch);
}

/** The `limit` best, ties in the order of their ids. The engine cuts a tie anywhere: where the cut would lie in one, more is read, once. */
export async function topRows<Hit extends { id: string; score: number }>(
  limit: number,
  read: (fetch: number) => Promise<Hit[]>,
): Promise<Hit[]> {
  const ordered = async (fetch: number) => inOrder((await read(fetch)).filter((hit) => Number.isFinite(hit.score)));
  const fetch = limit + 32;
  let found = await ordered(fetch);
  const isCutInTie = found.length >= fetch && found.at(-1)?.score === found[limit - 1]?.score;
  if (isCutInTie && fetch < MAX_TIED_ROWS) found = await ordered(MAX_TIED_ROWS);
  return found.slice(0, limit);
}
