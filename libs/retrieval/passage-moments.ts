import { type PassageHit, terms } from '#store';
import { namesAmount } from './amounts.ts';
import { byScore, type Candidate, groupByVideo, logistic, type Names } from './candidate.ts';
import { inLanguage, type Query } from './query.ts';

/** Two passages become one moment when so little time lies between them, each matches nearly as much, and the whole stays short. */
const MAX_GAP_MS = 1500;
const MERGE_SHARE = 0.6;
const MAX_MERGED_MS = 30_000;
/** A passage that holds this share of what is asked for is half sure: what lacks one of six words is not sure, what has all words is surer (0.95) than most pictures (docs/search.md). */
export const SURE_SHARE = 0.84;
export const SURE_SLOPE = 0.056;
/** What lacks a phrase in quotes is no more than this likely. */
const WITHOUT_PHRASE = 0.3;

/** A passage is a moment. How sure it is follows from the share of the query's words that it holds, each word weighed by its rarity. */
export function momentsOfPassages(hits: PassageHit[], query: Query, named: Names = new Map()): Candidate[] {
  const { words } = query;
  const askedIn = remembering((language: string | undefined) => ({
    words: inLanguage(words, language),
    phrases: query.phrases.map((phrase) => terms(phrase, language)),
  }));
  const texts = hits.map((hit) => {
    const inOrder = terms(hit.text, hit.language);
    const own = new Set(inOrder);
    const asked = askedIn(hit.language);
    const hasPhrases = asked.phrases.every((phrase) => contains(inOrder, phrase));
    const said = [...asked.words].flatMap(([term, word]) => (own.has(term) ? [word] : []));
    return { hit, hasPhrases, said };
  });
  const titled = titledWords(texts, named);
  const matches = texts.map(({ hit, hasPhrases, said }) => {
    // Neither what the title says nor an amount makes a match by itself.
    const amounts = query.amounts.length > 0 && namesAmount(hit.text) ? query.amounts : [];
    const found = said.length > 0 ? [...new Set([...said, ...amounts, ...titled(hit.videoId)])] : [];
    return { hit, hasPhrases, found };
  });
  const rarity = rarityOf(
    words,
    matches.map((match) => match.found),
  );
  const totalIn = remembering((language: string | undefined) => sum([...askedIn(language).words.values()].map(rarity)));
  const missable = remembering((language: string | undefined) =>
    [...askedIn(language).words.values()].filter((word) => query.optional.includes(word)),
  );
  const share = (said: Iterable<string>, language: string | undefined): number => {
    const found = new Set(said);
    const total =
      totalIn(language) -
      sum(
        missable(language)
          .filter((word) => !found.has(word))
          .map(rarity),
      );
    return total > 0 ? Math.min(1, sum([...found].map(rarity)) / total) : 0;
  };

  const moments: (Candidate & { share: number })[] = [];
  const matching = matches
    .filter((match) => match.found.length > 0)
    .map((match) => ({ ...match, videoId: match.hit.videoId }));
  for (const ofVideo of groupByVideo(matching).values()) {
    let open: Open | undefined;
    for (const { hit, found, hasPhrases } of ofVideo.sort((a, b) => a.hit.startMs - b.hit.startMs)) {
      const own = share(found, hit.language);
      const sureness = (part: number): number =>
        logistic((part - SURE_SHARE) / SURE_SLOPE) * (hasPhrases ? 1 : WITHOUT_PHRASE);
      const evidence = {
        kind: 'passage',
        atMs: hit.startMs,
        endMs: hit.endMs,
        text: hit.text,
        language: hit.language,
        score: hit.score,
        confidence: sureness(own),
      } as const;
      if (open && joins(open.moment, hit, own) && hasPhrases === open.hasPhrases) {
        for (const word of found) open.found.add(word);
        open.moment.endMs = Math.max(open.moment.endMs, hit.endMs);
        // Words that two sentences share out between them are half of what one sentence with all of them says.
        open.most = Math.max(open.most, own);
        open.moment.share = (open.most + share(open.found, hit.language)) / 2;
        open.moment.evidence = [...open.moment.evidence, evidence].sort((a, b) => b.score - a.score);
      } else {
        const { videoId, startMs, endMs } = hit;
        const moment = { videoId, startMs, endMs, score: 0, share: own, confidence: 0, evidence: [evidence] };
        open = { moment, found: new Set(found), most: own, hasPhrases };
        moments.push(moment);
      }
      open.moment.confidence = sureness(open.moment.share);
      // By how much of the query is said; BM25 decides among those that say as much.
      open.moment.score = (hasPhrases ? 1 : WITHOUT_PHRASE) * open.moment.share + 1e-3 * Math.tanh(hit.score / 10);
    }
  }
  return moments.sort(byScore);
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
  moment: Candidate & { share: number };
  found: Set<string>;
  /** Largest share of one passage. */
  most: number;
  hasPhrases: boolean;
}

function joins(moment: Candidate & { share: number }, next: PassageHit, share: number): boolean {
  const alike = Math.min(share, moment.share) >= MERGE_SHARE * Math.max(share, moment.share);
  const isShort = next.endMs - moment.startMs <= MAX_MERGED_MS;
  return alike && isShort && next.startMs - moment.endMs <= MAX_GAP_MS;
}

export function contains(words: string[], phrase: string[]): boolean {
  return words.some((_, at) => phrase.every((word, i) => words[at + i] === word));
}

/** Of a word, how rare it is among the hits: every passage with any of the words is among them unless they are many. */
function rarityOf(words: string[], found: string[][]): (word: string) => number {
  const counts = new Map(words.map((word) => [word, found.filter((some) => some.includes(word)).length]));
  return rarityIn(found.length, (word) => counts.get(word) ?? 0);
}
/** The idf of BM25 (Robertson & Zaragoza 2009, with the 1 + that keeps it positive) among `texts` that are known and as many that are not. */
export function rarityIn(texts: number, countOf: (word: string) => number): (word: string) => number {
  const all = 2 * texts + 10;
  return (word) => Math.log(1 + (all - countOf(word) + 0.5) / (countOf(word) + 0.5));
}
function remembering<Key, Value>(make: (key: Key) => Value): (key: Key) => Value {
  const known = new Map<Key, Value>();
  return (key) => {
    const value = known.get(key) ?? make(key);
    known.set(key, value);
    return value;
  };
}
const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);
