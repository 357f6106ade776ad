import { type PassageHit, type SpokenWord, spoken, terms } from '#store';
import { byScore, type Candidate, groupByVideo, logistic, type Names, remembering } from './candidate.ts';
import { HALF } from './fuse.ts';
import { MEASURES, names, weightOf } from './kinds.ts';
import { inLanguage, type Query } from './query.ts';
import type { Unwanted } from './without.ts';

/** Two passages become one moment when so little time lies between them, each matches nearly as much, and the whole stays short. */
const MAX_GAP_MS = 1500;
const MERGE_SHARE = 0.6;
const MAX_MERGED_MS = 30_000;
/** A passage that holds this share of what is asked for is half sure: what lacks one of six words is not sure, what has all words is surer (0.95) than most pictures (docs/search.md). */
export const SURE_SHARE = 0.84;
export const SURE_SLOPE = 0.056;
/** What lacks a phrase in quotes is no more than this likely. */
const WITHOUT_PHRASE = 0.3;

/** What a word of its video's title counts for: a passage that says it goes before. */
const TITLED = 0.8;
/** What a word counts for that is said not in the passage itself but within so much time of it, and anywhere else in its video or in its title. */
const NEAR = 0.5;
const NEAR_MS = 20_000;
const ELSEWHERE = 0.25;
/** What the passages around say makes no sentence sure: the words of a question that was never answered may lie beside each other. It counts for so much. */
const AROUND = 0.25;

/** What names the kind of thing that is asked for goes before what says so much more. */
const KIND = 0.05;

/**
 * A passage is a moment. How sure it is follows from the share of the query's words that it holds, each word weighed by its rarity: who speaks of something
 * seldom says all of it again in each sentence, so words that are said around it count by a part, and for its rank more than for how sure it is.
 */
export function momentsOfPassages(
  hits: PassageHit[],
  query: Query,
  named: Names = new Map(),
  unwanted?: Unwanted,
): Candidate[] {
  const matches = matching(hits, query, named);
  const share = sharing(query, matches);
  const moments: Candidate[] = [];
  for (const [videoId, ofVideo] of groupByVideo(matches)) {
    ofVideo.sort((a, b) => a.hit.startMs - b.hit.startMs);
    const inVideo = new Set([...(named.get(videoId)?.words ?? []), ...ofVideo.flatMap(({ found }) => [...found])]);
    let open: Open | undefined;
    for (const [i, match] of ofVideo.entries()) {
      const { hit, hasPhrases } = match;
      const { startMs, endMs, text, language } = hit;
      const own = share(match, NONE, NONE);
      const within = own === 1 ? own : share(match, saidNear(ofVideo, i), inVideo);
      const part = hasPhrases ? 1 : WITHOUT_PHRASE;
      const confidence = part * (match.isHalf ? HALF : 1) * Math.max(sureness(own), AROUND * sureness(within));
      // By how much of the query is said; what names the kind of thing that is asked for, then BM25, decide among those that say as much.
      const score = part * within + (match.isOfKind ? KIND : 0) + 1e-3 * Math.tanh(hit.score / 10);
      const evidence = { kind: 'passage', atMs: startMs, endMs, text, language, score: hit.score, confidence } as const;
      // What must not be there may be said between the two.
      const isClear = open && !unwanted?.within({ ...open.moment, endMs });
      if (open && isClear && joins(open, hit, own) && hasPhrases === open.hasPhrases) {
        const { moment } = open;
        open.own = Math.max(open.own, own);
        moment.endMs = Math.max(moment.endMs, endMs);
        moment.evidence = [...moment.evidence, evidence].sort((a, b) => b.score - a.score);
        moment.confidence = Math.max(moment.confidence, confidence);
        moment.score = Math.max(moment.score, score);
      } else {
        open = { moment: { videoId, startMs, endMs, score, confidence, evidence: [evidence] }, own, hasPhrases };
        moments.push(open.moment);
      }
    }
  }
  return moments.sort(byScore);
}
const sureness = (share: number): number => logistic((share - SURE_SHARE) / SURE_SLOPE);
/** How sure a passage is that has half of what is asked for, with what is said around it. */
export const HALF_SAID = AROUND * sureness(0.5);

interface Match {
  hit: PassageHit;
  videoId: string;
  /** Words of the query that it says, or names what they ask for. */
  found: Set<string>;
  /** Words that hold for all that its video says. */
  titled: string[];
  hasPhrases: boolean;
  /** It names each kind of thing that is asked for. */
  isOfKind: boolean;
  /** It lacks an amount that is asked for: half an answer. When something is, a video tells itself, and who, the picture. */
  isHalf: boolean;
}
/** Passages that say any of the query's words. */
function matching(hits: PassageHit[], query: Query, named: Names): Match[] {
  const askedIn = remembering((language: string | undefined) => {
    const terms = inLanguage(query.words, language);
    return { terms, words: [...terms], phrases: query.phrases.map((phrase) => phraseOf(phrase, language)) };
  });
  const texts = hits.flatMap((hit) => {
    const asked = askedIn(hit.language);
    const own = new Set(terms(hit.text, hit.language).filter((term) => asked.terms.has(term)));
    const inOrder = asked.phrases.length > 0 ? spoken(hit.text, hit.language) : [];
    const hasPhrases = asked.phrases.every((phrase) => contains(inOrder, phrase));
    const said = own.size > 0 ? asked.words.filter(([term]) => own.has(term)).map(([, word]) => word) : [];
    return said.length > 0 ? [{ hit, hasPhrases, said }] : [];
  });
  const titled = titledWords(texts, named);
  return texts.map(({ hit, hasPhrases, said }) => {
    const { videoId, text } = hit;
    // Neither what the title says nor the kind of thing that is asked for makes a match by itself.
    const kinds = query.kinds.filter(({ kind }) => names(kind, text));
    const found = new Set([...said, ...kinds.flatMap(({ words }) => words)]);
    const isOfKind = kinds.length === query.kinds.length;
    const isHalf = query.kinds.some((asked) => MEASURES.has(asked.kind) && !kinds.includes(asked));
    return { hit, videoId, found, titled: titled(videoId), hasPhrases, isOfKind, isHalf };
  });
}

type Sharing = (match: Match, near: ReadonlySet<string>, inVideo: ReadonlySet<string>) => number;
/** How much of the query a passage has, by rarity, with what is said near it and in its video. */
function sharing(query: Query, matches: Match[]): Sharing {
  const rarity = rarityOf(query.words, matches);
  const isAsked = (word: string): boolean => query.kinds.some((asked) => asked.words.includes(word));
  const wordsIn = remembering((language: string | undefined) =>
    [...new Set(inLanguage(query.words, language).values())].map((word) => ({
      word,
      weight: rarity(word) * (isAsked(word) ? 1 : weightOf(word)),
      isOptional: query.optional.includes(word),
    })),
  );
  return ({ hit, found, titled }, near, inVideo) => {
    let [total, held] = [0, 0];
    for (const { word, weight, isOptional } of wordsIn(hit.language)) {
      const isHeld = found.has(word) || titled.includes(word);
      if (isOptional && !isHeld) continue;
      const part = isHeld ? (found.has(word) ? 1 : TITLED) : near.has(word) ? NEAR : inVideo.has(word) ? ELSEWHERE : 0;
      total += weight;
      held += part * weight;
    }
    return total > 0 ? held / total : 0;
  };
}

const NONE: ReadonlySet<string> = new Set();
/** Words of the query that are said shortly before or after a passage of a video's, which are in time order. */
function saidNear(ofVideo: Match[], at: number): Set<string> {
  const { startMs, endMs } = (ofVideo[at] as Match).hit;
  const near = new Set<string>();
  for (const step of [-1, 1]) {
    for (let other = ofVideo[at + step], i = at + step; other; i += step, other = ofVideo[i]) {
      if (Math.max(other.hit.startMs - endMs, startMs - other.hit.endMs) > NEAR_MS) break;
      for (const word of other.found) near.add(word);
    }
  }
  return near;
}

/**
 * The words of a video's title that hold for each of its passages: of one that is asked for by its title all, else those that are said in no other video.
 * "Coffee in the morning" is not said all through "Morning drive".
 */
function titledWords(texts: { hit: PassageHit; said: string[] }[], named: Names): (videoId: string) => string[] {
  const sayers = new Map<string, Set<string>>();
  for (const { hit, said } of named.size > 0 ? texts : []) {
    for (const word of said) sayers.set(word, (sayers.get(word) ?? new Set()).add(hit.videoId));
  }
  return remembering((videoId: string) => {
    const { words = [], isCalled = false } = named.get(videoId) ?? {};
    return words.filter((word) => {
      const others = sayers.get(word) ?? new Set();
      return isCalled || others.size === 0 || (others.size === 1 && others.has(videoId));
    });
  });
}

interface Open {
  moment: Candidate;
  /** Largest share of one passage, whatever is said around it. */
  own: number;
  hasPhrases: boolean;
}

function joins({ moment, own }: Open, next: PassageHit, share: number): boolean {
  const alike = Math.min(share, own) >= MERGE_SHARE * Math.max(share, own);
  const isShort = next.endMs - moment.startMs <= MAX_MERGED_MS;
  return alike && isShort && next.startMs - moment.endMs <= MAX_GAP_MS;
}

/** A phrase as `contains` looks for it. */
export const phraseOf = (text: string, language?: string): string[] => spoken(text, language).map(({ term }) => term);

/** Whether all words of a phrase are said in this order with nothing between them but function words. */
export function contains(said: SpokenWord[], phrase: string[]): boolean {
  return said.some((_, from) => {
    let found = 0;
    for (let at = from; found < phrase.length; at++) {
      const word = said[at];
      if (word?.term === phrase[found]) found++;
      else if (found === 0 || !word?.isFunction) return false;
    }
    return true;
  });
}

/** Of a word, how rare it is among the hits: every passage with any of the words is among them unless they are many. */
function rarityOf(words: string[], matches: Match[]): (word: string) => number {
  const countOf = (word: string): number =>
    matches.filter(({ found, titled }) => found.has(word) || titled.includes(word)).length;
  const counts = new Map(words.map((word) => [word, countOf(word)]));
  return rarityIn(matches.length, (word) => counts.get(word) ?? 0);
}
/** The idf of BM25 (Robertson & Zaragoza 2009, with the 1 + that keeps it positive) among `texts` that are known and as many that are not. */
export function rarityIn(texts: number, countOf: (word: string) => number): (word: string) => number {
  const all = 2 * texts + 10;
  return (word) => Math.log(1 + (all - countOf(word) + 0.5) / (countOf(word) + 0.5));
}
