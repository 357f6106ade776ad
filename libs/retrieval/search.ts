import type { IndexFilter, VectorIndex } from '#store';
import { background } from './background.ts';
import type { Candidate, Names } from './candidate.ts';
import { momentsOfFrames } from './frame-moments.ts';
import { fuse, HALF } from './fuse.ts';
import { asksForMeaning, nearInMeaning, type PassageEncoder, withMeaning } from './meaning.ts';
import { momentsOfPassages } from './passage-moments.ts';
import { mean, promptsOf } from './prompts.ts';
import { highlights, type Query, readQuery } from './query.ts';
import type { Titles } from './titles.ts';
import { fetchKept, findUnwanted, type Unwanted } from './without.ts';

export type Modality = 'frames' | 'passages';
export interface Evidence {
  /** A title stands for the video's opening: title and metadata have what was asked for. */
  kind: 'frame' | 'passage' | 'title';
  atMs: number;
  endMs: number;
  text?: string;
  /** Of the text, ISO 639-1. */
  language?: string;
  /** The words of `text` that were asked for: [from, to) in UTF-16 units. */
  highlights?: [from: number, to: number][];
  /** Cosine of a frame, BM25 of a passage, share of the query's words of a title. */
  score: number;
  /** How likely this alone shows or says what was asked for, 0..1. Left out where nothing was searched for: as sure as its moment. */
  confidence?: number;
}
/**
 * A search result: where it happens and why we think so. Times in ms; `score` orders results. `confidence` (0..1) is calibrated: above one half, it is
 * likelier there than not (docs/search.md says on what that was measured). It need not fall in the order of `score`.
 */
export interface Moment {
  videoId: string;
  startMs: number;
  endMs: number;
  score: number;
  confidence: number;
  /** At most five, best first. */
  evidence: Evidence[];
}
export interface SearchOptions extends Omit<IndexFilter, 'tenant'> {
  tenant: string;
  /** In plain words. "Quotes" are said word for word; -word must not be there. */
  query: string;
  /** Embedding of a picture, in place of words. */
  picture?: Float32Array;
  modalities?: Modality[];
  /** How much a rank of each modality counts; left out, it follows the query. 0 leaves a modality out. */
  weights?: Partial<Record<Modality, number>>;
  /** False: that a title has the words makes no moment of the video's opening. */
  openings?: boolean;
  limit: number;
  /** Moments left out before the first one that is given. */
  offset?: number;
}
type StepName = 'text' | 'without' | 'frames' | 'passages' | 'meaning' | 'fuse';
/** Encodes text into the frames' space; from libs/models, injected so that this library needs no model. */
export interface TextEncoder {
  id: string;
  dimension: number;
  logitScale: number;
  /** Of a sigmoid model: logistic(logitScale · cosine + logitBias) is how likely a text and a picture belong together. */
  logitBias?: number;
  encodeTexts(texts: string[], signal?: AbortSignal): Promise<Float32Array[]>;
}
export interface SearchDeps {
  index: VectorIndex;
  encoder: TextEncoder;
  /** Where there is a model for it, passages are found by what they mean as well as by their words. */
  passageEncoder?: PassageEncoder;
  /** Titles and metadata of the tenant's videos: they find videos by name, and count for each moment of them. */
  titles?: () => Promise<Titles>;
  /** Hears how long each step took; the steps of the two modalities run side by side. */
  onStep?: (step: StepName, ms: number) => void;
}

/** The same for every page of an answer, so that pages fit together. */
const FRAME_HITS = 300;
const PASSAGE_HITS = 100;
const EVEN = { frames: 1, passages: 1 };

/**
 * CLIP text to frames, BM25 (and embeddings, where there is a model for them) to passages, fused by weighted reciprocal rank (Cormack et al. 2009),
 * neighbours in time merged into moments. Never more moments than some hundred hits give, however large `limit` is.
 */
export async function search(deps: SearchDeps, options: SearchOptions, signal?: AbortSignal): Promise<Moment[]> {
  signal?.throwIfAborted();
  const { query: text, picture, limit, offset = 0, modalities, weights: given, openings = true, ...filter } = options;
  if (limit < 1 || filter.videoIds?.length === 0) return [];
  const query = readQuery(text);
  if (query.seen === '' && !picture) return [];
  const leaning = modalities?.length === 1 || picture ? EVEN : query.weights;
  const weights = given ? { frames: given.frames ?? 0, passages: given.passages ?? 0 } : leaning;
  const uses = (modality: Modality) => weights[modality] > 0 && (modalities?.includes(modality) ?? true);

  const asked = { deps, query, picture, uses, openings: openings && uses('passages'), filter, signal };
  const candidates = await candidatesFor(asked);
  signal?.throwIfAborted();
  const { isTwofold } = query;
  const fusing = async () => fuse(candidates, { isTwofold, limit: offset + limit, weights });
  const moments = await timed(deps, 'fuse', fusing);
  return moments.slice(offset).map((moment) => marked(moment, query));
}

/** The moment with the words in its texts that were asked for. */
export const marked = (moment: Moment, { words }: Query): Moment => ({
  ...moment,
  evidence: moment.evidence.map((one) =>
    one.text === undefined ? one : { ...one, highlights: highlights(one.text, words, one.language) },
  ),
});

interface Asked {
  deps: SearchDeps;
  query: Query;
  picture?: Float32Array;
  uses: (modality: Modality) => boolean;
  openings: boolean;
  filter: IndexFilter;
  signal?: AbortSignal;
}
/**
 * Stretches of video that each modality finds, best first. All are asked for side by side, and what comes first is made moments of while the others are
 * waited for.
 */
async function candidatesFor(asked: Asked): Promise<Record<Modality | 'titles', Candidate[]>> {
  const { deps, query, picture, uses, openings, filter, signal } = asked;
  const usesWords = uses('passages') && !picture;
  const unwanted =
    query.without.length > 0
      ? await timed(deps, 'without', () => findUnwanted(deps, query.without, uses, filter, signal))
      : undefined;
  const titles = Promise.resolve(picture ? undefined : deps.titles?.());
  const named = titles.then((all): Names => all?.named(query.words) ?? new Map());
  named.catch(() => {}); // thrown where it is waited for, which may be long after it failed
  const byMeaningFor = () => nearInMeaning(deps, query, filter, unwanted, signal);
  // What takes longest begins first.
  const [byMeaning, frames, byWords, titled] = await Promise.all([
    usesWords && asksForMeaning(deps, query) ? timed(deps, 'meaning', byMeaningFor) : [],
    uses('frames') ? framesFor(asked, unwanted, named) : [],
    usesWords ? passagesFor(asked, unwanted, named) : [],
    // Of two things at once, a title says neither when.
    titles.then((all) => (openings && !query.isTwofold && all?.find(query, filter, unwanted)) || []),
  ]);
  return { frames, passages: withMeaning(byWords, byMeaning), titles: titled };
}

async function timed<T>({ onStep }: SearchDeps, step: StepName, work: () => Promise<T>): Promise<T> {
  const startedAt = performance.now();
  const done = await work();
  onStep?.(step, performance.now() - startedAt);
  return done;
}

async function framesFor(
  { deps, query, picture, uses, filter, signal }: Asked,
  unwanted: Unwanted | undefined,
  named: Promise<Names>,
): Promise<Candidate[]> {
  const { index, encoder } = deps;
  const encoding = async () => mean(await encoder.encodeTexts(promptsOf(query.seen, encoder), signal));
  const vector = picture ?? (await timed(deps, 'text', encoding));
  signal?.throwIfAborted();
  // Vectors tell changes of shot, and what is not wanted.
  const fetch = (limit: number) => index.searchFrames(encoder, vector, filter, limit, { withVectors: true });
  const [hits, own] = await timed(deps, 'frames', () =>
    Promise.all([
      fetchKept(FRAME_HITS, fetch, unwanted?.atFrame),
      background(deps, filter.tenant, vector, picture !== undefined),
    ]),
  );
  const moments = momentsOfFrames(hits, own, encoder.logitScale, await named);
  // A picture is half an answer to what is asked to be said, unless only pictures are searched.
  return query.isSaid && uses('passages')
    ? moments.map((one) => ({ ...one, confidence: HALF * one.confidence }))
    : moments;
}

async function passagesFor(
  { deps, query, filter }: Asked,
  unwanted: Unwanted | undefined,
  named: Promise<Names>,
): Promise<Candidate[]> {
  const fetch = (limit: number) => deps.index.searchPassages(query.said, filter, limit);
  const hits = await timed(deps, 'passages', () => fetchKept(PASSAGE_HITS, fetch, unwanted?.atText));
  return momentsOfPassages(hits, query, await named, unwanted);
}
