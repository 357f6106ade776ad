import { setImmediate as nextTurn } from 'node:timers/promises';
import { isFunctionWord, termOf, wordsOf } from '#store';
import type { Evidence } from '../index.ts';
import { isLight } from '../kinds.ts';
import { highlights, readQuery } from '../query.ts';
import { type Findings, type Looking, noteOf } from './plan.ts';
import { trimmed } from './wording.ts';

/** Of a question that found nothing; one with more words is no slip of the hand. */
const MAX_WORDS = 6;
const MIN_LETTERS = 4;
/** From so many letters on two of them may be wrong, below it one. */
const LONG = 8;
/** Whose words are read, the newest first: those of an hour take about ten ms. */
const MAX_VIDEOS = 20;
/** Passages between two turns of the event loop: a few ms. */
const BATCH = 250;

type Asked = Pick<Looking, 'sources' | 'videoIds' | 'signal'>;

/** The words of a question that nobody says, but for light ones: they may be misspelt, or of another language. */
export async function unheardOf(
  { sources, videoIds, signal }: Asked,
  text: string,
): Promise<{ unheard: string[]; isAll: boolean }> {
  const words = readQuery(text).words.filter((word) => !isFunctionWord(word) && trimmed(word) !== '');
  if (words.filter((word) => !isLight(word)).length > MAX_WORDS) return { unheard: [], isAll: false };
  const unheard = await Promise.all(
    words.map(async (query) => {
      const hits = await sources.search({ query, videoIds, modalities: ['passages'], limit: 1 }, signal);
      return hits.some(({ evidence }) => evidence.some((one) => says(one, query))) ? [] : [query];
    }),
  );
  const isAll = unheard.every((some) => some.length > 0);
  return { unheard: unheard.flat().filter((word) => !isLight(word)), isAll };
}
/** What is near in meaning need not say it. */
const says = ({ text = '', language }: Evidence, word: string): boolean =>
  highlights(text, [word], language).length > 0;

/** For each of the words that nobody says the only one that is said, or in a title, and is nearly spelt so. */
export async function respelled({ sources, videoIds, signal }: Asked, unheard: string[]): Promise<Map<string, string>> {
  const wanted = unheard.filter((word) => word.length >= MIN_LETTERS && !/\p{N}/u.test(word));
  const near = new Map<string, string>();
  if (wanted.length === 0) return near;
  const said = new Set<string>();
  for (const { id, title } of await sources.videos(videoIds, MAX_VIDEOS)) {
    for (const word of wordsOf(title)) said.add(word);
    for (const [i, { text }] of (await sources.passages(id)).entries()) {
      for (const word of wordsOf(text)) said.add(word);
      if (i % BATCH === BATCH - 1) await nextTurn(undefined, { signal });
    }
  }
  for (const word of wanted) {
    await nextTurn(undefined, { signal });
    // A title has it.
    if (said.has(word)) continue;
    const most = word.length < LONG ? 1 : 2;
    const like = [...said].flatMap((other) => {
      if (other[0] !== word[0] || Math.abs(other.length - word.length) > most) return [];
      const distance = distanceOf(word, other);
      return distance <= most ? [{ other, distance }] : [];
    });
    const least = Math.min(...like.map(({ distance }) => distance));
    const best = like.filter(({ distance }) => distance === least).map(({ other }) => other);
    // "Engine" and "engines" are one word.
    if (best[0] && new Set(best.map((other) => termOf(other))).size === 1) near.set(word, best[0]);
  }
  return near;
}

/** Findings of the question as it was meant, which say so. */
export function readAs(findings: Findings, near: Map<string, string>, quoted: (word: string) => string): Findings {
  const notes = [...near].map(([word, other]) => `Nobody says ${quoted(word)}: I took it for ${quoted(other)}.`);
  return { ...findings, ...noteOf([findings.note ?? [], notes].flat()) };
}

/** Letters that are wrong, missing, too many, or in each other's place (optimal string alignment; Damerau, "A technique for computer detection and correction of spelling errors", CACM 7(3), 1964). */
function distanceOf(a: string, b: string): number {
  let [last, row]: [number[], number[]] = [[], Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swap = isSwapped ? (last[j - 2] as number) + 1 : change;
      next[j] = Math.min((row[j] as number) + 1, (next[j - 1] as number) + 1, change, swap);
    }
    [last, row] = [row, next];
  }
  return row[b.length] as number;
}
