import { type IndexFilter, spoken, terms } from '#store';
import { type Candidate, logistic, type Names } from './candidate.ts';
import { contains, phraseOf, rarityIn, SURE_SHARE, SURE_SLOPE } from './passage-moments.ts';
import { inLanguage, type Query, readQuery } from './query.ts';
import type { Unwanted } from './without.ts';

/** What people call a video. */
export interface TitledVideo {
  id: string;
  title: string;
  /** Values of its metadata. */
  metadata: string[];
  /** Left out: not known yet, and its title alone finds nothing of it. */
  durationMs?: number;
}
type Known = TitledVideo & { titleTerms: string[] };

/** A title says what a video is about, not where: the moment is how it begins. */
const OPENING_MS = 10_000;
/** More videos of one name than anyone pages through. */
const MAX_FOUND = 100;
/** Of title and metadata: up to twenty values of a thousand characters may come with each video. */
const MAX_CHARS = 1000;

/** Titles and metadata of a tenant's videos, to be looked through by words: about a KB for each video. */
export class Titles {
  readonly #videos = new Map<string, Known>();
  /** By term, the videos that have it. */
  readonly #holding = new Map<string, string[]>();

  /** Hundreds at a time take some ms. What is known of a video already is replaced. */
  add(videos: Iterable<TitledVideo>): void {
    for (const video of videos) {
      this.remove(video.id);
      let left = MAX_CHARS - video.title.length;
      const metadata = video.metadata.filter((value) => {
        left -= value.length;
        return left >= 0;
      });
      const titleTerms = [...new Set(terms(video.title))];
      const known = { ...video, metadata, titleTerms };
      this.#videos.set(video.id, known);
      for (const term of termsOf(known)) {
        const holding = this.#holding.get(term);
        if (holding) holding.push(video.id);
        else this.#holding.set(term, [video.id]);
      }
    }
  }

  remove(id: string): void {
    const video = this.#videos.get(id);
    if (!video) return;
    this.#videos.delete(id);
    for (const term of termsOf(video)) {
      const left = this.#holding.get(term)?.filter((other) => other !== id) ?? [];
      if (left.length > 0) this.#holding.set(term, left);
      else this.#holding.delete(term);
    }
  }

  /** Videos that have any of these words, and which. */
  named(words: readonly string[]): Names {
    const names: Names = new Map();
    const asked = inLanguage(words, undefined);
    for (const [term, word] of asked) {
      for (const id of this.#holding.get(term) ?? []) {
        const found = names.get(id);
        if (found?.words.includes(word)) continue;
        if (found) found.words.push(word);
        else names.set(id, { words: [word], isCalled: this.#isCalled(id, asked) });
      }
    }
    return names;
  }

  #isCalled(id: string, asked: Map<string, string>): boolean {
    const { titleTerms } = this.#videos.get(id) as Known;
    const held = titleTerms.filter((term) => asked.has(term)).length;
    return held > 1 && held > titleTerms.length / 2;
  }

  /** Videos that are called so, best first: by the whole title; else, unless `isWhole`, by its words in this order; else by most of them, and by metadata. */
  called(name: string, filter: IndexFilter, isWhole = false): string[] {
    const plain = name.replace(/["“”]/g, ' ').replace(/(?<=^|\s)-+/g, '');
    for (const text of [`"${plain}"`, plain]) {
      const found = this.find(readQuery(text), filter, undefined, OPENING_MS);
      // Words that only ask are none of those that are looked for, but may be of a title ("The picture show").
      const whole = found.filter(({ videoId, score }) => score === 1 || this.#isWhole(videoId, plain));
      if (isWhole || found.length > 0)
        return (isWhole || whole.length > 0 ? whole : found).map(({ videoId }) => videoId);
    }
    return [];
  }

  #isWhole(id: string, name: string): boolean {
    return terms(this.#videos.get(id)?.title ?? '').join(' ') === terms(name).join(' ');
  }

  /**
   * The openings of videos whose title and metadata have all words of the query, or nearly all by rarity, as a passage is judged. Best first. `unknownMs`:
   * how long a video counts whose length is not known yet.
   */
  find({ words, phrases }: Query, filter: IndexFilter, unwanted: Unwanted | undefined, unknownMs = 0): Candidate[] {
    const asked = inLanguage(words, undefined);
    const counts = new Map<string, number>();
    for (const [term, word] of asked)
      counts.set(word, (counts.get(word) ?? 0) + (this.#holding.get(term)?.length ?? 0));
    const rarity = rarityIn(this.#videos.size, (word) => counts.get(word) ?? 0);
    const sum = (some: Iterable<string>): number => [...some].reduce((total, word) => total + rarity(word), 0);
    const total = sum(new Set(asked.values()));
    const inOrder = phrases.map((phrase) => phraseOf(phrase));
    const isWanted = wantedBy(filter);

    const found: { video: Known; endMs: number; share: number; score: number }[] = [];
    for (const [id, { words: held }] of this.named(words)) {
      const video = this.#videos.get(id) as Known;
      const endMs = Math.min(OPENING_MS, video.durationMs ?? unknownMs);
      const share = sum(held) / total;
      if (share < SURE_SHARE || !isWanted(id, endMs)) continue;
      if (!inOrder.every((phrase) => contains(spoken(video.title), phrase))) continue;
      // A word among many others, or in the metadata of a hundred videos, says less than a whole title.
      const covered = video.titleTerms.filter((term) => asked.has(term)).length / Math.max(1, video.titleTerms.length);
      found.push({ video, endMs, share, score: (share * (1 + covered)) / 2 });
    }
    found.sort((a, b) => b.score - a.score || (a.video.id < b.video.id ? -1 : 1));
    const moments: Candidate[] = [];
    for (const { video, endMs, share, score } of found) {
      const { id: videoId, title, metadata } = video;
      const span = { videoId, startMs: 0, endMs };
      if (unwanted?.atText({ ...span, text: [title, ...metadata].join('\n') })) continue;
      const confidence = logistic((share - SURE_SHARE) / SURE_SLOPE);
      const held = metadata.filter((value) => terms(value).some((term) => asked.has(term)));
      const text = [title, ...held].join(' · ');
      const evidence = [{ kind: 'title', atMs: 0, endMs, text, score: share, confidence } as const];
      moments.push({ ...span, confidence, score, evidence });
      if (moments.length === MAX_FOUND) break;
    }
    return moments;
  }
}

const termsOf = ({ titleTerms, metadata }: Known): Set<string> =>
  new Set([...titleTerms, ...metadata.flatMap((value) => terms(value))]);

/** What a filter leaves of the videos' openings. */
function wantedBy({ videoIds, excludeVideoIds, timeRange }: IndexFilter): (id: string, endMs: number) => boolean {
  const only = videoIds && new Set(videoIds);
  const not = new Set(excludeVideoIds);
  const { startMs, endMs: untilMs } = timeRange ?? { startMs: 0, endMs: Number.POSITIVE_INFINITY };
  return (id, endMs) => endMs > startMs && untilMs > 0 && (only?.has(id) ?? true) && !not.has(id);
}
