import { dot, type FrameHit, type IndexFilter, type PassageHit, terms, type VectorIndex } from '#store';
import { type Background, background } from './background.ts';
import type { Candidate, Names } from './candidate.ts';
import { momentsOfFrames, showsSurely } from './frame-moments.ts';
import { fuse } from './fuse.ts';
import { nearInMeaning, type PassageEncoder, withMeaning } from './meaning.ts';
import { momentsOfPassages } from './passage-moments.ts';
import { mean, promptsOf } from './prompts.ts';
import { highlights, inLanguage, MAX_WITHOUT, type Query, readQuery } from './query.ts';

export type Modality = 'frames' | 'passages';
export interface Evidence {
  kind: 'frame' | 'passage';
  atMs: number;
  endMs: number;
  text?: string;
  /** Of the text, ISO 639-1. */
  language?: string;
  /** The words of `text` that were asked for: [from, to) in UTF-16 units. */
  highlights?: [from: number, to: number][];
  /** Cosine of a frame, BM25 of a passage. */
  score: number;
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
  limit: number;
  /** Moments left out before the first one that is given. */
  offset?: number;
}
/** Encodes text into the frames' space; from libs/models, injected so that this library needs no model. */
export interface TextEncoder {
  id: string;
  dimension: number;
  logitScale: number;
  encodeTexts(texts: string[], signal?: AbortSignal): Promise<Float32Array[]>;
}
export interface SearchDeps {
  index: VectorIndex;
  encoder: TextEncoder;
  /** Where there is a model for it, passages are found by what they mean as well as by their words. */
  passageEncoder?: PassageEncoder;
  /** Title and metadata of videos as text, as far as they are known: words of the query that are in there count for each moment of the video. */
  describe?: (videoIds: string[]) => Promise<Map<string, string>>;
  /** Hears how long each step took; the steps of the two modalities run side by side. */
  onStep?: (step: 'text' | 'frames' | 'passages' | 'meaning' | 'fuse', ms: number) => void;
}

/** The same for every page of an answer, so that pages fit together. */
const FRAME_HITS = 300;
const PASSAGE_HITS = 100;
const EVEN = { frames: 1, passages: 1 };
/** Videos whose title and metadata are looked at. */
const NAMED_VIDEOS = 50;

/**
 * CLIP text to frames, BM25 (and embeddings, where there is a model for them) to passages, fused by weighted reciprocal rank (Cormack et al. 2009),
 * neighbours in time merged into moments. Never more moments than some hundred hits give, however large `limit` is.
 */
export async function search(deps: SearchDeps, options: SearchOptions, signal?: AbortSignal): Promise<Moment[]> {
  signal?.throwIfAborted();
  const { query: text, picture, limit, offset = 0, modalities, weights: given, ...filter } = options;
  if (limit < 1 || filter.videoIds?.length === 0) return [];
  const query = readQuery(text);
  if (query.seen === '' && !picture) return [];
  const leaning = modalities?.length === 1 || picture ? EVEN : query.weights;
  const weights = given ? { frames: given.frames ?? 0, passages: given.passages ?? 0 } : leaning;
  const uses = (modality: Modality) => weights[modality] > 0 && (modalities?.includes(modality) ?? true);
  const step = timer(deps);

  const found = await retrieve(deps, query, { picture, uses, filter, step }, signal);
  signal?.throwIfAborted();
  const fusing = step('fuse');
  const { frames, passages } = candidatesOf(found, query, deps.encoder.logitScale);
  const moments = fuse(frames, passages, { isTwofold: query.isTwofold, limit: offset + limit, weights });
  fusing();
  return moments.slice(offset).map((moment) => withHighlights(moment, query));
}

/** What the index gives for a query, before anything is made of it. */
interface Found {
  seen?: { hits: FrameHit[]; background: Background };
  said: PassageHit[];
  meant: Candidate[];
  named: Names;
}

/** Asks the index for each modality in use, side by side; then for the names of the videos that were found. */
async function retrieve(
  deps: SearchDeps,
  query: Query,
  {
    picture,
    uses,
    filter,
    step,
  }: { picture?: Float32Array; uses: (modality: Modality) => boolean; filter: IndexFilter; step: Step },
  signal?: AbortSignal,
): Promise<Found> {
  const usesWords = uses('passages') && !picture;
  const [seen, said, meant] = await Promise.all([
    uses('frames') ? framesFor(deps, query, picture, filter, step, signal) : undefined,
    usesWords ? passagesFor(deps, query, filter, step) : [],
    usesWords ? meaningFor(deps, query, filter, step, signal) : [],
  ]);
  const named = picture ? new Map() : await namesIn(deps, query, [...(seen?.hits ?? []), ...said]);
  return { seen, said, meant, named };
}

/** Stretches of video that each modality finds, best first. */
function candidatesOf(
  { seen, said, meant, named }: Found,
  query: Query,
  logitScale: number,
): Record<Modality, Candidate[]> {
  const frames = seen ? momentsOfFrames(seen.hits, seen.background, logitScale, named) : [];
  return { frames, passages: withMeaning(momentsOfPassages(said, query, named), meant) };
}

const withHighlights = (moment: Moment, { words }: Query): Moment => ({
  ...moment,
  evidence: moment.evidence.map((one) =>
    one.text === undefined ? one : { ...one, highlights: highlights(one.text, words, one.language) },
  ),
});

type Step = (name: 'text' | 'frames' | 'passages' | 'meaning' | 'fuse') => () => void;
function timer({ onStep }: SearchDeps): Step {
  return (name) => {
    const startedAt = performance.now();
    return () => onStep?.(name, performance.now() - startedAt);
  };
}

async function framesFor(
  deps: SearchDeps,
  query: Query,
  picture: Float32Array | undefined,
  filter: IndexFilter,
  step: Step,
  signal?: AbortSignal,
): Promise<{ hits: FrameHit[]; background: Background }> {
  const { index, encoder } = deps;
  const encoding = step('text');
  const prompts = picture ? [] : promptsOf(query.seen, encoder);
  const vectors = await encoder.encodeTexts([...prompts, ...query.without.slice(0, MAX_WITHOUT)], signal);
  encoding();
  signal?.throwIfAborted();
  const vector = picture ?? mean(vectors.slice(0, prompts.length));
  const unwanted = vectors.slice(prompts.length);

  const searching = step('frames');
  // Vectors tell changes of shot, and what is not wanted.
  const [hits, own] = await Promise.all([
    index.searchFrames(encoder, vector, filter, FRAME_HITS, { withVectors: true }),
    background(deps, filter.tenant, vector, picture !== undefined),
  ]);
  let wanted = hits;
  for (const one of unwanted) {
    const theirs = await background(deps, filter.tenant, one, false);
    wanted = wanted.filter((hit) => !hit.vector || !showsSurely(dot(hit.vector, one), theirs));
  }
  searching();
  return { hits: wanted, background: own };
}

/** Words of the query in title and metadata of the videos that have the best hits: by video, the share of them and which. */
async function namesIn({ describe }: SearchDeps, query: Query, hits: { videoId: string }[]): Promise<Names> {
  const names: Names = new Map();
  if (!describe || query.words.length === 0) return names;
  const ids = [...new Set(hits.map(({ videoId }) => videoId))].slice(0, NAMED_VIDEOS);
  for (const [id, text] of await describe(ids)) {
    const own = new Set(terms(text));
    const found = [...inLanguage(query.words, undefined)].flatMap(([term, word]) => (own.has(term) ? [word] : []));
    if (found.length > 0) names.set(id, found);
  }
  return names;
}

async function passagesFor(
  { index }: SearchDeps,
  query: Query,
  filter: IndexFilter,
  step: Step,
): Promise<PassageHit[]> {
  const searching = step('passages');
  const hits = await index.searchPassages(query.said, filter, PASSAGE_HITS);
  searching();
  return hits.filter((hit) => !query.without.some((unwanted) => says(hit, unwanted)));
}

async function meaningFor(
  { index, passageEncoder }: SearchDeps,
  query: Query,
  filter: IndexFilter,
  step: Step,
  signal?: AbortSignal,
): Promise<Candidate[]> {
  // A phrase in quotes is asked for word for word.
  if (!passageEncoder || query.phrases.length > 0 || query.said === '') return [];
  const searching = step('meaning');
  const near = await nearInMeaning(index, passageEncoder, query.said, filter, signal);
  searching();
  return near.filter(
    ({ evidence: [one] }) =>
      !query.without.some((unwanted) => says({ text: one?.text ?? '', language: one?.language }, unwanted)),
  );
}

function says({ text, language }: Pick<PassageHit, 'text' | 'language'>, unwanted: string): boolean {
  const said = new Set(terms(text, language));
  const words = terms(unwanted, language);
  return words.length > 0 && words.every((word) => said.has(word));
}
