import type { IndexFilter, VectorIndex } from '#store';
import { background } from './background.ts';
import type { Candidate, Names } from './candidate.ts';
import { momentsOfFrames } from './frame-moments.ts';
import { fuse, HALF } from './fuse.ts';
import { nearInMeaning, type PassageEncoder, withMeaning } from './meaning.ts';
import { momentsOfPassages } from './passage-moments.ts';
import { mean, promptsOf } from './prompts.ts';
import { highlights, MAX_WITHOUT, type Query, readQuery } from './query.ts';
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
  const step = timer(deps);

  const within = { picture, uses, filter, step, openings: openings && uses('passages') };
  const candidates = await candidatesFor(deps, query, within, signal);
  signal?.throwIfAborted();
  const fusing = step('fuse');
  const moments = fuse(candidates, { isTwofold: query.isTwofold, limit: offset + limit, weights });
  fusing();
  return moments.slice(offset).map((moment) => withHighlights(moment, query));
}

interface Within {
  picture?: Float32Array;
  uses: (modality: Modality) => boolean;
  /** Whether titles find the openings of videos. */
  openings: boolean;
  filter: IndexFilter;
  step: Step;
}
/**
 * Stretches of video that each modality finds, best first. All are asked for side by side, and what comes first is made moments of while the others are
 * waited for.
 */
async function candidatesFor(
  deps: SearchDeps,
  query: Query,
  within: Within,
  signal?: AbortSignal,
): Promise<Record<Modality | 'titles', Candidate[]>> {
  const { picture, uses, openings, filter } = within;
  const usesWords = uses('passages') && !picture;
  const encoded = uses('frames') ? encodeFor(deps, query, within, signal) : undefined;
  // Passages wait for no encoder, unless what must not be there is to be found first.
  const unwanted = query.without.length > 0 ? await unwantedFor(deps, query, encoded, usesWords, within) : undefined;
  const titles = Promise.resolve(picture ? undefined : deps.titles?.());
  const named = titles.then((all): Names => all?.named(query.words) ?? new Map());
  // What takes longest begins first.
  const [byMeaning, frames, byWords, titled] = await Promise.all([
    usesWords ? meaningFor(deps, query, unwanted, within, signal) : [],
    encoded ? framesFor(deps, query, encoded, unwanted, named, within) : [],
    usesWords ? passagesFor(deps, query, unwanted, named, within) : [],
    // Of two things at once, a title says neither when.
    titles.then((all) => (openings && !query.isTwofold && all?.find(query, filter, unwanted)) || []),
  ]);
  return { frames, passages: withMeaning(byWords, byMeaning), titles: titled };
}

const withHighlights = (moment: Moment, { words }: Query): Moment => ({
  ...moment,
  evidence: moment.evidence.map((one) =>
    one.text === undefined ? one : { ...one, highlights: highlights(one.text, words, one.language) },
  ),
});

type Step = (name: StepName) => () => void;
function timer({ onStep }: SearchDeps): Step {
  return (name) => {
    const startedAt = performance.now();
    return () => onStep?.(name, performance.now() - startedAt);
  };
}

interface Encoded {
  vector: Float32Array;
  isPicture: boolean;
  unwanted: Float32Array[];
}
async function encodeFor(
  { encoder }: SearchDeps,
  query: Query,
  { picture, step }: Within,
  signal?: AbortSignal,
): Promise<Encoded> {
  const encoding = step('text');
  const prompts = picture ? [] : promptsOf(query.seen, encoder);
  const vectors = await encoder.encodeTexts([...prompts, ...query.without.slice(0, MAX_WITHOUT)], signal);
  encoding();
  signal?.throwIfAborted();
  const vector = picture ?? mean(vectors.slice(0, prompts.length));
  return { vector, isPicture: picture !== undefined, unwanted: vectors.slice(prompts.length) };
}

async function unwantedFor(
  deps: SearchDeps,
  query: Query,
  encoded: Promise<Encoded> | undefined,
  usesPassages: boolean,
  { filter, step }: Within,
): Promise<Unwanted> {
  const vectors = (await encoded)?.unwanted;
  const searching = step('without');
  const found = await findUnwanted(deps, query.without.slice(0, MAX_WITHOUT), { vectors, usesPassages }, filter);
  searching();
  return found;
}

async function framesFor(
  deps: SearchDeps,
  query: Query,
  encoded: Promise<Encoded>,
  unwanted: Unwanted | undefined,
  named: Promise<Names>,
  { filter, step, uses }: Within,
): Promise<Candidate[]> {
  const { index, encoder } = deps;
  const { vector, isPicture } = await encoded;
  const searching = step('frames');
  // Vectors tell changes of shot, and what is not wanted.
  const fetch = (limit: number) => index.searchFrames(encoder, vector, filter, limit, { withVectors: true });
  const [hits, own] = await Promise.all([
    fetchKept(FRAME_HITS, fetch, unwanted?.atFrame),
    background(deps, filter.tenant, vector, isPicture),
  ]);
  searching();
  const moments = momentsOfFrames(hits, own, encoder.logitScale, await named);
  // A picture is half an answer to what is asked to be said, unless only pictures are searched.
  return query.isSaid && uses('passages')
    ? moments.map((one) => ({ ...one, confidence: HALF * one.confidence }))
    : moments;
}

async function passagesFor(
  { index }: SearchDeps,
  query: Query,
  unwanted: Unwanted | undefined,
  named: Promise<Names>,
  { filter, step }: Within,
): Promise<Candidate[]> {
  const searching = step('passages');
  const hits = await fetchKept(
    PASSAGE_HITS,
    (limit) => index.searchPassages(query.said, filter, limit),
    unwanted?.atText,
  );
  searching();
  return momentsOfPassages(hits, query, await named, unwanted);
}

async function meaningFor(
  { index, passageEncoder }: SearchDeps,
  query: Query,
  unwanted: Unwanted | undefined,
  { filter, step }: Within,
  signal?: AbortSignal,
): Promise<Candidate[]> {
  // A phrase in quotes is asked for word for word.
  if (!passageEncoder || query.phrases.length > 0 || query.said === '') return [];
  const searching = step('meaning');
  const near = await nearInMeaning(index, passageEncoder, query.said, filter, unwanted?.atText, signal);
  searching();
  return near;
}
