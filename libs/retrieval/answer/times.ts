import { type IndexFilter, NUMBER_WORDS, ORDINALS } from '#store';
import type { Direction } from './question.ts';
import { clock } from './text.ts';
import { asksOnly, oneLine, VIDEO } from './wording.ts';

/** The part of each video that a question names by its time: from `startMs` to `endMs`, the last `lastMs`, or a share of its length. */
export interface Stretch {
  startMs?: number;
  endMs?: number;
  lastMs?: number;
  /** From and to, 0..1 of the video, and what it is called: "second half". */
  share?: { from: number; to: number; name: string };
}
export type TimeRange = NonNullable<IndexFilter['timeRange']>;

/** A time in words is no finer than this. */
export const INSTANT_MS = 1_000;
/** "At the beginning" is nearer to it than this. */
const EDGE_MS = 30_000;

const NUMBERS = new Map([['a', 1], ['an', 1], ...NUMBER_WORDS]);
const NUMBER = `(?:\\d{1,5}|${[...NUMBERS.keys()].join('|')})`;
const UNIT = '(?:hours?|hrs?|minutes?|mins?|seconds?|secs?)';
const LENGTH = `(?:${NUMBER}[ -]${UNIT}|\\d{1,5}(?:[hms]|mins?|secs?))`;
const LENGTHS = `${LENGTH}(?:,? ?(?:and )?${LENGTH})*`;
/** "0:30", "1:02:03". */
const COLONS = '(?<![\\d:.])\\d{1,3}(?::[0-5]\\d){1,2}(?![\\d:]|\\.\\d)';
/** "Two minutes", "minute two". */
const WORDED = `(?:${LENGTHS}|${UNIT} ${NUMBER}\\b(?: (?:and )?${UNIT} ${NUMBER}\\b)*)`;
const TIME = `(?:the (?:first )?)?(?:${COLONS}|${WORDED}|(?<=first )(?:minute|hour)\\b)(?: mark)?`;
/** "10:30 am" is no time of a video. */
const OF_DAY = /\d ?(?:a\.?m|p\.?m)\b|o'clock/i;

const THE_VIDEO = `(?:it|(?:the|this|that|these|those|each|every|my) ${VIDEO})`;
const OF_THE_VIDEO = `(?: (?:of|in|into) ${THE_VIDEO})`;
const OF_VIDEO = `${OF_THE_VIDEO}?`;
/** "The first minute after the goal" and "of the match" are counted from something else than where the video begins. */
const NOT_OF_ELSE = '(?! (?:of|after|before|when|where|since|until)\\b)';
/** What is after the first minute is not in it. */
const IN_THE =
  '(?<!\\b(?:after|before|since|until) (?:the )?)\\b(?:(?:in|during|within|at|of|from|over|about) )?(?:the )?(?:very )?';
const NEAR_THE = '(?:at|in|around|near|towards?) the (?:very )?';

type Groups = Record<string, string | undefined>;
type Reading = [pattern: RegExp, read: (groups: Groups) => Stretch | undefined];
const STRETCHES: Reading[] = [
  reading(
    `\\b(?:between|from) (?<from>${TIME}|${NUMBER}) ?(?:and|to|until|till|-|–) ?(?<to>${TIME}|${NUMBER}\\b)${OF_VIDEO}`,
    between,
  ),
  reading(`(?:\\b(?:in|during|at) )?(?<from>${COLONS}) ?(?:-|–|to|until) ?(?<to>${COLONS})${OF_VIDEO}`, between),
  reading(
    `${IN_THE}(?<edge>first|last|final|opening|closing) (?<length>${LENGTHS}|(?:half (?:an? )?)?(?:hour|minute))\\b${OF_VIDEO}${NOT_OF_ELSE}`,
    ({ edge = '', length = '' }) =>
      /^(?:first|opening)$/i.test(edge) ? { startMs: 0, endMs: msOf(length) } : { lastMs: msOf(length) },
  ),
  reading(
    `${IN_THE}(?<nth>${ORDINALS.join('|')}|\\d{1,3}(?:st|nd|rd|th)) minute\\b${OF_VIDEO}${NOT_OF_ELSE}`,
    ({ nth = '' }) => {
      const minute = ORDINALS.indexOf(nth.toLowerCase()) + 1 || Number.parseInt(nth, 10);
      return minute > 0 ? { startMs: (minute - 1) * 60_000, endMs: minute * 60_000 } : undefined;
    },
  ),
  reading(
    `${IN_THE}(?<edge>first|last|final) (?<percent>\\d{1,2}) ?(?:%|per ?cent\\b)${OF_VIDEO}${NOT_OF_ELSE}`,
    ({ edge = '', percent = '' }) => shareOf(edge, Number(percent) / 100, `${percent}%`),
  ),
  partCalled('half|third', OF_VIDEO + NOT_OF_ELSE),
  // Otherwise a quarter may be of a year.
  partCalled('quarter', OF_THE_VIDEO + NOT_OF_ELSE),
  reading(`\\bfrom (?<time>${TIME}) on(?:wards?)?\\b`, ({ time = '' }) => ({ startMs: msOf(time) })),
];
/** "After two minutes" alone asks for what comes then (`clockIn`); beside something to look for it says where. */
const SIDES: Reading[] = [
  reading(
    `\\b(?<side>after|since|before|until) (?<time>${TIME})${OF_VIDEO}(?=[\\s?!.,;]|$)`,
    ({ side = '', time = '' }) =>
      /^(?:before|until)$/i.test(side) ? { startMs: 0, endMs: msOf(time) } : { startMs: msOf(time) },
  ),
];
/** Said of what is looked for these may mean anything ("who wins at the end?"). */
const EDGES: Reading[] = [
  reading(`\\b${NEAR_THE}(?<edge>beginning|start|opening|end)\\b${OF_VIDEO}${NOT_OF_ELSE}`, edgeOf),
  reading(`^(?:and )?how (?:does|did|do) ${THE_VIDEO} (?<edge>begin|start|open|end|finish)s?\\b`, edgeOf),
  reading(
    `\\b(?:${NEAR_THE}(?:middle|halfway point)|halfway through(?: ${THE_VIDEO})?)\\b${OF_VIDEO}${NOT_OF_ELSE}`,
    () => ({ share: { from: 1 / 3, to: 2 / 3, name: 'middle' } }),
  ),
  partCalled('quarter', NOT_OF_ELSE),
];
const INSTANTS: Reading[] = [
  reading(`\\b(?:at|around) (?<time>${TIME})${OF_VIDEO}(?=[\\s?!.,;]|$)`, ({ time = '' }) => ({
    startMs: msOf(time),
    endMs: msOf(time) + INSTANT_MS,
  })),
];
function reading(source: string, read: Reading[1]): Reading {
  return [new RegExp(source, 'iu'), read];
}
function partCalled(parts: string, after: string): Reading {
  return reading(
    `${IN_THE}(?<edge>first|opening|second|third|fourth|last|final|closing|middle) (?<part>${parts})\\b${after}`,
    ({ edge = '', part = '' }) => shareOf(edge, { half: 1 / 2, third: 1 / 3 }[part.toLowerCase()] ?? 1 / 4, part),
  );
}
function edgeOf({ edge = '' }: Groups): Stretch {
  return /^(?:end|finish)/i.test(edge) ? { lastMs: EDGE_MS } : { startMs: 0, endMs: EDGE_MS };
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

const SECONDS: Record<string, number> = { h: 3600, m: 60, s: 1 };
const COUNTED = new RegExp(
  `(?<before>${NUMBER})[ -]?(?<unit>${UNIT}|[hms](?![a-z]))|(?<first>${UNIT}) (?<after>${NUMBER})`,
  'g',
);
/** "1:02:03", "one minute and 30 seconds", "minute two", "half a minute", "minute" */
function msOf(text: string): number {
  const plain = text.toLowerCase();
  const colons = new RegExp(COLONS).exec(plain)?.[0];
  if (colons) return 1000 * colons.split(':').reduce((sum, part) => 60 * sum + Number(part), 0);
  const one = /^(half)?.*?(hour|minute)$/.exec(plain);
  let seconds = 0;
  for (const { groups = {} } of plain.matchAll(COUNTED)) {
    const number = groups.before ?? groups.after ?? '';
    const unit = (groups.unit ?? groups.first ?? '').charAt(0);
    seconds += (NUMBERS.get(number) ?? Number(number)) * (SECONDS[unit] ?? 0);
  }
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
  const line = oneLine(text);
  if (OF_DAY.test(line)) return undefined;
  for (const [pattern, stretchOf] of readings) {
    const match = pattern.exec(line);
    const stretch = match && stretchOf(match.groups ?? {});
    if (!stretch) continue;
    const rest = without(line, match).replace(/^[\s,]+|[\s,]+(?=[?!.]*$)/g, '');
    // Of two parts, neither is the one.
    return readings.some(([other]) => other.test(rest)) ? undefined : { stretch, rest };
  }
  return undefined;
}
const without = (line: string, { 0: found, index }: RegExpExecArray): string =>
  oneLine(`${line.slice(0, index)} ${line.slice(index + found.length)}`);

const SIDE = '(?<side>at|after|before|around|near|from)';
const INTO = `in|into ${THE_VIDEO}`;
const CLOCKS = [
  `(?:\\b${SIDE} )?(?<time>${COLONS})`,
  `\\b${SIDE} (?:the )?(?:first )?(?<time>${WORDED})(?: (?:mark|${INTO}))?\\b`,
  `\\b(?:at )?(?:the )?(?<time>${LENGTHS}) (?:mark|${INTO})\\b`,
].map((source) => new RegExp(source));
/** Asks for what is there, and not when or how often something is. */
const ASKS_WHAT =
  /^(?:(?:and|so|then|ok|okay|please) )*(?:what|who|show|describe|quote|tell|give|how about|(?:go|jump|skip|take me) to|transcript|at|after|before|around|from|\d)/;
const SAID_ABOUT = /\b(?:say|says|said|talk|talks|talked|speak|speaks|spoke) about $/;

/** The time in "what is said at 1:10?" or "after two minutes", where the question asks for nothing else: undefined for "when does the train leave at 8:15". */
export function clockIn(text: string): { atMs: number; direction?: Direction } | undefined {
  const line = oneLine(text).toLowerCase();
  if (!ASKS_WHAT.test(line) || OF_DAY.test(line)) return undefined;
  for (const pattern of CLOCKS) {
    const match = pattern.exec(line);
    if (!match || !asksOnly(without(line, match))) continue;
    if (SAID_ABOUT.test(line.slice(0, match.index))) return undefined;
    const { side, time = '' } = match.groups ?? {};
    return { atMs: msOf(time), ...((side === 'before' || side === 'after') && { direction: side }) };
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

/** Whether each video has its own: they are not equally long. */
export const isOfEach = ({ lastMs, share }: Stretch): boolean => lastMs !== undefined || share !== undefined;

/** Undefined where a video has no such part. */
export function rangeIn(
  { startMs = 0, endMs = Number.MAX_SAFE_INTEGER, lastMs, share }: Stretch,
  durationMs: number | undefined,
): TimeRange | undefined {
  if ((share || lastMs !== undefined) && durationMs === undefined) return undefined;
  const longMs = durationMs ?? Number.MAX_SAFE_INTEGER;
  const range = share
    ? { startMs: Math.round(share.from * longMs), endMs: Math.round(share.to * longMs) }
    : lastMs !== undefined
      ? { startMs: Math.max(0, longMs - lastMs), endMs: longMs }
      : { startMs, endMs: Math.min(endMs, longMs) };
  return range.startMs < range.endMs ? range : undefined;
}
