import type { IndexFilter } from '#store';
import { byScore } from '../candidate.ts';
import type { Moment } from '../index.ts';
import { COLONS, INSTANT_MS, LENGTHS, NUMBER, secondsOf, UNIT } from './clock.ts';
import {
  type AnswerSources,
  covering,
  type Findings,
  findingsOf,
  knownVideos,
  type Looking,
  MAX_VIDEOS,
  saidOrShown,
  type VideoFacts,
} from './plan.ts';
import { clock, placeOf } from './text.ts';

/** The part of each video that a question names by its time: from `startMs` to `endMs`, the last `lastMs`, or a share of its length. */
export interface Stretch {
  startMs?: number;
  endMs?: number;
  lastMs?: number;
  /** From and to, 0..1 of the video, and what it is called: "second half". */
  share?: { from: number; to: number; name: string };
}
type TimeRange = NonNullable<IndexFilter['timeRange']>;

const TIME = `(?:the (?:first )?)?(?:${COLONS}|${LENGTHS}|${UNIT} ${NUMBER}\\b|(?<=first )(?:minute|hour)\\b)(?: mark)?`;
const OF_THE_VIDEO =
  '(?: (?:of|in|into) (?:it|(?:the|this|that|these|those|each|every|my)(?: (?:video|film|movie|clip|recording|lecture|talk)s?)))';
const OF_VIDEO = `${OF_THE_VIDEO}?`;
/** "The first minute after the goal" and "of the match" are counted from something else than where the video begins. */
const NOT_OF_ELSE = '(?! (?:of|after|before|when|where|since|until)\\b)';
/** What is after the first minute is not in it. */
const NOT_BESIDE = '(?<!\\b(?:after|before|since|until) (?:the )?)';
const ORDINALS = 'first second third fourth fifth sixth seventh eighth ninth tenth'.split(' ');
const EDGE = 'first|opening|second|third|fourth|last|final|closing|middle';
const INVERSE = new Map([
  ['half', 2],
  ['third', 3],
  ['quarter', 4],
]);
/** "10:30 am" is no time of a video. */
const OF_DAY = /\d ?(?:a\.?m|p\.?m)\b|o'clock/i;

type Groups = Record<string, string | undefined>;
type Reading = [pattern: RegExp, read: (groups: Groups) => Stretch | undefined];
const STRETCHES: Reading[] = [
  [
    written(
      `\\b(?:between|from) (?<from>${TIME}|${NUMBER}) ?(?:and|to|until|till|-|–) ?(?<to>${TIME}|${NUMBER}\\b)${OF_VIDEO}`,
    ),
    between,
  ],
  [written(`(?:\\b(?:in|during|at) )?(?<from>${COLONS}) ?(?:-|–|to|until) ?(?<to>${COLONS})${OF_VIDEO}`), between],
  [
    written(
      `${NOT_BESIDE}\\b(?:(?:in|during|within|over|of|from|about) )?(?:the )?(?:very )?(?<edge>first|last|final|opening|closing) (?<length>${LENGTHS}|(?:half (?:an? )?)?(?:hour|minute))\\b${OF_VIDEO}${NOT_OF_ELSE}`,
    ),
    ({ edge = '', length = '' }) => {
      const ms = msOf(length);
      if (ms === 0) return undefined;
      return /^(?:first|opening)$/i.test(edge) ? { startMs: 0, endMs: ms } : { lastMs: ms };
    },
  ],
  [
    written(
      `${NOT_BESIDE}\\b(?:(?:in|during|about) )?the (?<nth>${ORDINALS.join('|')}|\\d{1,3}(?:st|nd|rd|th)) minute\\b${OF_VIDEO}${NOT_OF_ELSE}`,
    ),
    ({ nth = '' }) => {
      const minute = ORDINALS.indexOf(nth.toLowerCase()) + 1 || Number.parseInt(nth, 10);
      return minute > 0 ? { startMs: (minute - 1) * 60_000, endMs: minute * 60_000 } : undefined;
    },
  ],
  [
    written(
      `${NOT_BESIDE}\\b(?:(?:in|during|of|from|over|about) )?(?:the )?(?:very )?(?<edge>first|last|final) (?<percent>\\d{1,2}) ?(?:%|per ?cent\\b)${OF_VIDEO}${NOT_OF_ELSE}`,
    ),
    ({ edge = '', percent = '' }) => shareOf(edge, Number(percent) / 100, `${percent}%`),
  ],
  [written(`${partCalled('half|third')}${OF_VIDEO}${NOT_OF_ELSE}`), called],
  // Otherwise a quarter may be of a year.
  [written(`${partCalled('quarter')}${OF_THE_VIDEO}${NOT_OF_ELSE}`), called],
  [written(`\\bfrom (?<time>${TIME}) on(?:wards?)?\\b`), ({ time = '' }) => ({ startMs: msOf(time) })],
];
/** "After two minutes" alone asks for what comes then (`clockIn`); beside something to look for it says where. */
const SIDES: Reading[] = [
  [
    written(`\\b(?<side>after|since|before|until) (?<time>${TIME})${OF_VIDEO}(?=[\\s?!.,;]|$)`),
    ({ side = '', time = '' }) =>
      /^(?:before|until)$/i.test(side) ? { startMs: 0, endMs: msOf(time) } : { startMs: msOf(time) },
  ],
];
/** "At the beginning" is nearer to it than this. */
const EDGE_MS = 30_000;
/** Said of what is looked for these may mean anything ("who wins at the end?"). */
const EDGES: Reading[] = [
  [
    written(
      `\\b(?:at|in|near|towards?) the (?:very )?(?<edge>beginning|start|opening|end)\\b${OF_VIDEO}${NOT_OF_ELSE}`,
    ),
    edgeOf,
  ],
  [
    written(
      '^(?:and )?how (?:does|did|do) (?:it|(?:the|this|that) (?:video|film|movie|clip|recording|lecture|talk)) (?<edge>begin|start|open|end|finish)s?\\b',
    ),
    edgeOf,
  ],
  [
    written(
      `\\b(?:(?:in|at|around|near|towards?) the (?:very )?(?:middle|halfway point)|halfway through(?: (?:it|the (?:video|film|movie|clip|recording|lecture|talk)))?)\\b${OF_VIDEO}${NOT_OF_ELSE}`,
    ),
    () => ({ share: { from: 1 / 3, to: 2 / 3, name: 'middle' } }),
  ],
  [written(`${partCalled('quarter')}${NOT_OF_ELSE}`), called],
];
/** A time in words is no finer than a second. */
const INSTANTS: Reading[] = [
  [
    written(`\\b(?:at|around) (?<time>${TIME})${OF_VIDEO}(?=[\\s?!.,;]|$)`),
    ({ time = '' }) => ({ startMs: msOf(time), endMs: msOf(time) + INSTANT_MS }),
  ],
];
function written(source: string): RegExp {
  return new RegExp(source, 'iu');
}
function edgeOf({ edge = '' }: Groups): Stretch {
  return /^(?:end|finish)/i.test(edge) ? { lastMs: EDGE_MS } : { startMs: 0, endMs: EDGE_MS };
}
function partCalled(parts: string): string {
  return `${NOT_BESIDE}\\b(?:(?:in|during|of|from|over|about) )?(?:the )?(?:very )?(?<edge>${EDGE}) (?<part>${parts})\\b`;
}
function called({ edge = '', part = '' }: Groups): Stretch | undefined {
  return shareOf(edge, 1 / (INVERSE.get(part.toLowerCase()) ?? 1), part);
}
/** The first, second or last of parts that are each such a share of the video; undefined where there is no such one. */
function shareOf(edge: string, share: number, part: string): Stretch | undefined {
  const name = `${edge} ${part}`.toLowerCase();
  const from = /^(?:last|final|closing)$/i.test(edge)
    ? 1 - share
    : /^middle$/i.test(edge)
      ? (1 - share) / 2
      : Math.max(0, ORDINALS.indexOf(edge.toLowerCase())) * share;
  return share > 0 && from + share < 1.001 ? { share: { from, to: Math.min(1, from + share), name } } : undefined;
}
function between({ from = '', to = '' }: Groups): Stretch | undefined {
  // "Between one and two minutes", "between minute one and two": the unit is said once.
  const [unit = ''] = new RegExp(UNIT, 'i').exec(`${to} ${from}`) ?? [];
  const [startMs, endMs] = [from, to].map((time) => msOf(time) || msOf(`${time} ${unit}`)) as [number, number];
  return startMs < endMs ? { startMs, endMs } : undefined;
}

/** "1:02:03", "one minute and 30 seconds", "half a minute", "minute" */
function msOf(text: string): number {
  const plain = text.toLowerCase();
  const colons = new RegExp(COLONS).exec(plain)?.[0];
  if (colons) return 1000 * colons.split(':').reduce((sum, part) => 60 * sum + Number(part), 0);
  const one = /^(half)?.*?(hour|minute)$/.exec(plain);
  const seconds = secondsOf(plain);
  return 1000 * (seconds || !one ? seconds : (one[2] === 'hour' ? 3600 : 60) / (one[1] ? 2 : 1));
}

/** The stretch that a question names, and its words without it. */
export const stretchIn = (text: string): Named | undefined => read(text, STRETCHES);
/** The same of what comes after a time, or before it. */
export const sideIn = (text: string): Named | undefined => read(text, SIDES);
export const edgeIn = (text: string): Named | undefined => read(text, EDGES);
export const instantIn = (text: string): Named | undefined => read(text, INSTANTS);
interface Named {
  stretch: Stretch;
  rest: string;
}
function read(text: string, readings: Reading[]): Named | undefined {
  const line = text.toWellFormed().replace(/[’‘]/g, "'").replace(/\s+/g, ' ').trim();
  if (OF_DAY.test(line)) return undefined;
  for (const [pattern, stretchOf] of readings) {
    const match = pattern.exec(line);
    const stretch = match && stretchOf(match.groups ?? {});
    if (!stretch) continue;
    const before = `${line.slice(0, match.index)} ${line.slice(match.index + match[0].length)}`;
    const rest = before.replace(/\s+/g, ' ').replace(/^[\s,]+|[\s,]+(?=[?!.]*$)/g, '');
    // Of two parts, neither is the one.
    return readings.some(([other]) => other.test(rest)) ? undefined : { stretch, rest };
  }
  return undefined;
}

/** `between 1:00 and 2:00`, `after 0:30`, `in the last 2:00`, `in the second half` */
export function whenOf({ startMs = 0, endMs, lastMs, share }: Stretch): string {
  if (share) return `in the ${share.name}`;
  if (lastMs !== undefined) return `in the last ${clock(lastMs)}`;
  return endMs === undefined ? `after ${clock(startMs)}` : `between ${clock(startMs)} and ${clock(endMs)}`;
}

/** `between 1:00 and 2:00 in "Sample"`, `in the second half of "Sample"` */
export const whereIn = (stretch: Stretch, where: string): string =>
  `${whenOf(stretch)} ${isOfEach(stretch) ? 'of' : 'in'} ${where}`;

/** Undefined where a video has no such part. */
export function rangeIn(
  { startMs = 0, endMs, lastMs, share }: Stretch,
  durationMs: number | undefined,
): TimeRange | undefined {
  if (share) {
    const [from, to] = [share.from, share.to].map((part) => Math.round(part * (durationMs ?? 0))) as [number, number];
    return from < to ? { startMs: from, endMs: to } : undefined;
  }
  if (lastMs !== undefined) {
    return durationMs === undefined ? undefined : { startMs: Math.max(0, durationMs - lastMs), endMs: durationMs };
  }
  const end = Math.min(endMs ?? Number.MAX_SAFE_INTEGER, durationMs ?? Number.MAX_SAFE_INTEGER);
  return startMs < end ? { startMs, endMs: end } : undefined;
}

/** Whether each video has its own: they are not equally long. */
const isOfEach = ({ lastMs, share }: Stretch): boolean => lastMs !== undefined || share !== undefined;

/** The same videos, of which only their part is there. What reaches over a border of it counts as far as it lies within. */
export function partOf(sources: AnswerSources, stretch: Stretch): AnswerSources {
  const factsOf = async (id: string): Promise<VideoFacts | undefined> => (await sources.videos([id], 1))[0];
  const ranged = async <T>(id: string, read: (range: TimeRange) => Promise<T[]>): Promise<T[]> => {
    const range = rangeIn(stretch, (await factsOf(id))?.durationMs);
    return range ? read(range) : [];
  };
  /** It lies elsewhere in each video. */
  const parts = async (videoIds: string[] | undefined): Promise<{ videoIds?: string[]; timeRange: TimeRange }[]> => {
    if (!isOfEach(stretch)) return [{ videoIds, timeRange: rangeIn(stretch, undefined) as TimeRange }];
    const videos = await sources.videos(videoIds, MAX_VIDEOS);
    return videos.flatMap(({ id, durationMs }) => {
      const timeRange = rangeIn(stretch, durationMs);
      return timeRange ? [{ videoIds: [id], timeRange }] : [];
    });
  };
  return {
    ...sources,
    search: async (query, signal) => {
      const found = await Promise.all(
        (await parts(query.videoIds)).map(async (part) =>
          within(await sources.search({ ...query, ...part }, signal), part.timeRange),
        ),
      );
      return found.flat().sort(byScore).slice(0, query.limit);
    },
    everyPlace: async (query, signal) => {
      // Every place is found in any case: what lies in the part of its video is taken of them.
      if (isOfEach(stretch)) {
        const { moments, isWhole } = await sources.everyPlace(query, signal);
        const ids = [...new Set(moments.map(({ videoId }) => videoId))];
        const ranges = new Map(
          (await sources.videos(ids, ids.length)).map(({ id, durationMs }) => [id, rangeIn(stretch, durationMs)]),
        );
        const kept = moments.flatMap((moment) => {
          const range = ranges.get(moment.videoId);
          if (!range) return [];
          // Of what is in view over a border, the best frames may lie beyond it.
          const inside = moment.evidence.filter(({ atMs, endMs }) => isWithin({ startMs: atMs, endMs }, range));
          return within([inside.length > 0 ? { ...moment, evidence: inside } : moment], range);
        });
        return { moments: kept, isWhole };
      }
      const found = await Promise.all(
        (await parts(query.videoIds)).map(async (part) => {
          const { moments, isWhole } = await sources.everyPlace({ ...query, ...part }, signal);
          return { moments: within(moments, part.timeRange), isWhole };
        }),
      );
      return {
        moments: found.flatMap(({ moments }) => moments).sort(byScore),
        isWhole: found.every(({ isWhole }) => isWhole),
      };
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
  if (question.kind === 'needle' && isOfEach(stretch)) {
    const looked = Math.min(MAX_VIDEOS, known.count);
    return { ...findings, ...covering(looked, known) };
  }
  if (findings.found || question.kind !== 'summary' || !only) return findings;
  const where = known.count === 1 ? placeOf(only, isPart) : 'these videos';
  return { ...findings, reason: `Nothing is ${saidOrShown(question)} ${whereIn(stretch, where)}.` };
}
