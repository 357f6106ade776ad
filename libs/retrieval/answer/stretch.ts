import { byScore } from '../candidate.ts';
import type { Moment } from '../index.ts';
import {
  type AnswerSources,
  covering,
  type Findings,
  findingsOf,
  knownVideos,
  type Looking,
  MAX_VIDEOS,
  saidOrShown,
} from './plan.ts';
import { clock, placeOf } from './text.ts';
import { isOfEach, rangeIn, type Stretch, type TimeRange, whereIn } from './times.ts';

/** The same videos, of which only their part is there. What reaches over a border of it counts as far as it lies within. */
function partOf(sources: AnswerSources, stretch: Stretch): AnswerSources {
  /** The part of each of these videos that has it. */
  const rangesOf = async (ids: string[] | undefined, most: number): Promise<Map<string, TimeRange>> => {
    const videos = await sources.videos(ids, most);
    return new Map(
      videos.flatMap(({ id, durationMs }) => {
        const range = rangeIn(stretch, durationMs);
        return range ? [[id, range] as const] : [];
      }),
    );
  };
  const ranged = async <T>(id: string, read: (range: TimeRange) => Promise<T[]>): Promise<T[]> => {
    const range = (await rangesOf([id], 1)).get(id);
    return range ? read(range) : [];
  };
  const common = isOfEach(stretch) ? undefined : (rangeIn(stretch, undefined) as TimeRange);
  return {
    ...sources,
    search: async (query, signal) => {
      if (common) return within(await sources.search({ ...query, timeRange: common }, signal), common);
      const ranges = [...(await rangesOf(query.videoIds, MAX_VIDEOS))];
      const found = await Promise.all(
        ranges.map(async ([id, timeRange]) =>
          within(await sources.search({ ...query, videoIds: [id], timeRange }, signal), timeRange),
        ),
      );
      return found.flat().sort(byScore).slice(0, query.limit);
    },
    everyPlace: async (query, signal) => {
      if (common) {
        const { moments, isWhole } = await sources.everyPlace({ ...query, timeRange: common }, signal);
        return { moments: within(moments, common), isWhole };
      }
      // Every place is found in any case: what lies in the part of its video is taken of them.
      const { moments, isWhole } = await sources.everyPlace(query, signal);
      const ids = [...new Set(moments.map(({ videoId }) => videoId))];
      const ranges = await rangesOf(ids, ids.length);
      const kept = moments.flatMap((moment) => {
        const range = ranges.get(moment.videoId);
        if (!range) return [];
        // Of what is in view over a border, the best frames may lie beyond it.
        const inside = moment.evidence.filter(({ atMs, endMs }) => isWithin({ startMs: atMs, endMs }, range));
        return within([inside.length > 0 ? { ...moment, evidence: inside } : moment], range);
      });
      return { moments: kept, isWhole };
    },
    passages: (id) =>
      ranged(id, async (range) =>
        (await sources.passages(id)).flatMap((one) => (isWithin(one, range) ? [cut(one, range)] : [])),
      ),
    scenes: (id) => ranged(id, (range) => sources.scenes(id, range)),
    labels: (id) => ranged(id, (range) => sources.labels(id, range)),
  };
}

const isWithin = ({ startMs, endMs }: TimeRange, range: TimeRange): boolean =>
  startMs < range.endMs && endMs > range.startMs;
const within = (moments: Moment[], range: TimeRange): Moment[] =>
  moments
    .filter((moment) => isWithin(moment, range))
    .map((moment) => ({
      ...cut(moment, range),
      // A frame keeps the time of its picture.
      evidence: moment.evidence.map((one) =>
        one.kind === 'passage'
          ? { ...one, atMs: Math.max(one.atMs, range.startMs), endMs: Math.min(one.endMs, range.endMs) }
          : one,
      ),
    }));
const cut = <T extends TimeRange>(one: T, { startMs, endMs }: TimeRange): T => ({
  ...one,
  startMs: Math.max(one.startMs, startMs),
  endMs: Math.min(one.endMs, endMs),
});

/** What a question finds in its stretch; `find` looks in no more than that. Undefined where a single fact is asked for, and the time may be one of the day: no video is so long. */
export async function findInStretch(
  looking: Looking,
  stretch: Stretch,
  find: (looking: Looking) => Promise<Findings>,
): Promise<Findings | undefined> {
  const { question, isPart } = looking;
  const known = await knownVideos(looking);
  const there = known.videos.filter(({ durationMs }) => rangeIn(stretch, durationMs) !== undefined);
  const [only] = known.videos;
  const isAll = !known.isOpen && known.count === known.videos.length;
  if (only && there.length === 0 && isAll) {
    if (question.kind === 'needle') return undefined;
    const nothing = await findingsOf(looking, [], false);
    const reason =
      known.count === 1 && only.durationMs !== undefined
        ? `${placeOf(only)} ends at ${clock(only.durationMs)}.`
        : `None of the ${known.count} videos is so long.`;
    return { ...nothing, reason };
  }
  const those = isAll && only && { videoIds: there.map(({ id }) => id), scope: there };
  const findings = await find({ ...looking, ...those, sources: partOf(looking.sources, stretch) });
  if (question.kind === 'needle' && isOfEach(stretch))
    return { ...findings, ...covering(Math.min(MAX_VIDEOS, known.count), known) };
  if (findings.found || question.kind !== 'summary' || !only) return findings;
  const where = known.count === 1 ? placeOf(only, isPart) : 'these videos';
  return { ...findings, reason: `Nothing is ${saidOrShown(question)} ${whereIn(stretch, where)}.` };
}
