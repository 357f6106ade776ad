import { terms } from '#store';
import type { Modality, Moment } from '../index.ts';
import {
  type Findings,
  findingsOf,
  knownVideos,
  type Looking,
  passageMoment,
  saidOrShown,
  sceneMoment,
} from './plan.ts';
import type { Direction } from './question.ts';
import { clock, placeOf } from './text.ts';

/** What is said so near a time is quoted where nobody speaks at it. */
const NEAR_MS = 5_000;
/** A time in words is no finer than this. */
export const INSTANT_MS = 1_000;
/** Of short passages: those that lie in the same second. */
const MAX_SAID = 3;

const NUMBERS = new Map(
  'a an one two three four five six seven eight nine ten eleven twelve fifteen twenty thirty forty fifty sixty ninety'
    .split(' ')
    .map((word, i) => [word, [1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 20, 30, 40, 50, 60, 90][i] as number]),
);
export const NUMBER = `(?:\\d{1,5}|${[...NUMBERS.keys()].join('|')})`;
export const UNIT = '(?:hours?|hrs?|minutes?|mins?|seconds?|secs?)';
const LENGTH = `(?:${NUMBER}[ -]${UNIT}|\\d{1,5}(?:[hms]|mins?|secs?))`;
export const LENGTHS = `${LENGTH}(?:,? ?(?:and )?${LENGTH})*`;
const SIDE = '(?<side>at|after|before|around|near|from)';
const INTO = 'in|into (?:it|the (?:video|film|movie|clip|recording|lecture|talk))';
/** "0:30", "1:02:03", but not "10:30 am". */
export const COLONS = '(?<![\\d:.])\\d{1,3}(?::[0-5]\\d){1,2}(?![\\d:]|\\.\\d)';
const AT_COLONS =
  /(?:\b(?<side>at|after|before|around|about|near|from) )?(?<![\d:.])(?:(?<hours>\d{1,2}):(?<minutes>[0-5]\d)|(?<all>\d{1,3})):(?<seconds>[0-5]\d)(?![\d:]|\.\d| ?(?:a\.?m|p\.?m)\b| o'clock)/;
const TIMES = [
  AT_COLONS,
  new RegExp(`\\b${SIDE} (?:the )?(?:first )?(?<length>${LENGTHS})(?: (?:mark|${INTO}))?\\b`),
  new RegExp(`\\b(?:at )?(?:the )?(?<length>${LENGTHS}) (?:mark|${INTO})\\b`),
  new RegExp(`\\b${SIDE} (?:the )?(?<length>(?:${UNIT} ${NUMBER} ?(?:and )?)+)\\b`),
];
/** Asks for what is there, and not when or how often something is. */
const ASKS_WHAT =
  /^(?:(?:and|so|then|ok|okay|please) )*(?:what|who|show|describe|quote|tell|give|how about|(?:go|jump|skip|take me) to|transcript|at|after|before|around|from|\d)/;
const SAID_ABOUT = /\b(?:say|says|said|talk|talks|talked|speak|speaks|spoke) about\b/;
/** Words beside those of any question (`asks`) that leave nothing else to look for. */
const WHO_AND_WHERE = new Set(
  terms(
    'describe quote exactly exact transcript jump skip mark point timestamp screen picture image frame topic go going do doing man woman guy host teacher speaker',
  ),
);

export interface AtClock {
  atMs: number;
  /** Which side of the time, where the question says so. */
  direction?: Direction;
}

/** The time in "what is said at 1:10?" or "after two minutes", where the question asks for nothing else: undefined for "when does the train leave at 8:15". */
export function clockIn(text: string, asks: (word: string) => boolean): AtClock | undefined {
  const plain = text.toWellFormed().toLowerCase().replace(/[’‘]/g, "'").replace(/\s+/g, ' ').trim();
  if (!ASKS_WHAT.test(plain)) return undefined;
  for (const pattern of TIMES) {
    const match = pattern.exec(plain);
    if (!match) continue;
    const { side, length, hours = '0', minutes, all, seconds = '0' } = match.groups ?? {};
    if (side === 'about' && SAID_ABOUT.test(plain)) return undefined;
    const rest = `${plain.slice(0, match.index)} ${plain.slice(match.index + match[0].length)}`;
    if (!asksOnly(rest, asks)) continue;
    const atSec = length ? secondsOf(length) : Number(hours) * 3600 + Number(minutes ?? all) * 60 + Number(seconds);
    return { atMs: atSec * 1000, ...((side === 'before' || side === 'after') && { direction: side }) };
  }
  return undefined;
}

/** Whether nothing is looked for by name in these words. `asks`: of a word, that any question may have it. */
export const asksOnly = (words: string, asks: (word: string) => boolean): boolean =>
  words.split(/[\s?!.,;:"“”]+/).every((word) => asks(word) || terms(word).every((term) => WHO_AND_WHERE.has(term)));

/** "one minute and 30 seconds", "minute two" */
export function secondsOf(length: string): number {
  const pairs = length.matchAll(
    new RegExp(`(?<before>${NUMBER})[ -]?(?<unit>${UNIT}|[hms](?![a-z]))|(?<first>${UNIT}) (?<after>${NUMBER})`, 'g'),
  );
  let seconds = 0;
  for (const { groups = {} } of pairs) {
    const number = groups.before ?? groups.after ?? '';
    const unit = (groups.unit ?? groups.first ?? '').charAt(0);
    seconds += (NUMBERS.get(number) ?? Number(number)) * (unit === 'h' ? 3600 : unit === 'm' ? 60 : 1);
  }
  return seconds;
}

/**
 * What is said and shown at a time: of the only video in question, or of the one that was spoken of. Undefined where more is asked than what is there, and
 * no one video has such a time.
 */
export async function findAt(looking: Looking, spokenOf: string | undefined): Promise<Findings | undefined> {
  const { sources, question, videoIds, isPart } = looking;
  const { atMs = 0, direction, modalities } = question;
  const nothing = await findingsOf(looking, [], false);
  const known = await knownVideos(looking);
  const [only] = known.videos.length === 1 ? known.videos : await spoken();
  const isThere = only !== undefined && atMs < (only.durationMs ?? Number.POSITIVE_INFINITY);
  if (question.topic && !isThere) return undefined;
  if (!only) {
    if (known.videos.length === 0) return { ...nothing, scope: [] };
    const many = `${known.isOpen ? 'at least ' : ''}${known.count}`;
    return {
      ...nothing,
      reason: `A time alone does not say of which video: there are ${many}. Name the one you mean.`,
    };
  }
  const there = { ...nothing, scope: [only] };
  if (!isThere) {
    return { ...there, reason: `${placeOf(only)} ends at ${clock(only.durationMs ?? 0)}.` };
  }
  const wants = (modality: Modality): boolean => modalities?.includes(modality) ?? true;
  const [passages, scenes] = await Promise.all([
    wants('passages') ? sources.passages(only.id) : [],
    wants('frames') ? sources.scenes(only.id) : [],
  ]);
  const moments: Moment[] = [
    ...spansAt(passages, atMs, direction).slice(0, MAX_SAID).map(passageMoment),
    ...spansAt(scenes, atMs, direction)
      .slice(0, 1)
      .map((scene) => sceneMoment(only.id, scene)),
  ];
  if (moments.length > 0) return findingsOf({ ...looking, scope: [only] }, moments, true);
  return { ...there, reason: `Nothing is ${saidOrShown(question)} at ${clock(atMs)} in ${placeOf(only, isPart)}.` };

  async function spoken() {
    const isIn = spokenOf !== undefined && (!videoIds || videoIds.includes(spokenOf));
    return isIn ? sources.videos([spokenOf], 1) : [];
  }
}

/** Those at the time; else the nearest, on the side that was asked for. */
function spansAt<T extends { startMs: number; endMs: number }>(
  all: T[],
  atMs: number,
  direction: AtClock['direction'],
): T[] {
  if (direction === 'before') return all.filter(({ startMs }) => startMs < atMs).slice(-1);
  const then = all.filter(({ startMs, endMs }) => startMs < atMs + INSTANT_MS && endMs > atMs);
  if (then.length > 0) return then;
  const awayMs = ({ startMs, endMs }: T): number => Math.max(startMs - atMs, atMs - endMs);
  const near =
    direction === 'after' ? all.filter(({ startMs }) => startMs >= atMs) : all.filter((one) => awayMs(one) <= NEAR_MS);
  return near.sort((a, b) => awayMs(a) - awayMs(b)).slice(0, 1);
}
