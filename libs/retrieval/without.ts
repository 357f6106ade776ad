import { dot, type FrameHit, firstWhere, type IndexFilter, MAX_LISTED, type PassageHit, spoken, terms } from '#store';
import { type Background, background } from './background.ts';
import type { FrameDeps } from './each-frame.ts';
import { showsSurely } from './frame-moments.ts';
import { contains, phraseOf } from './passage-moments.ts';
import { MAX_WITHOUT } from './query.ts';
import type { Modality } from './search.ts';

/** Hits looked at, of what is asked for and of each thing that must not be there: a few tens of ms, and more of one thing than most libraries have. */
const MAX_HITS = 4096;
/** Frames looked at first: few things are surely shown by more. */
const FIRST_FRAMES = 256;

export interface Span {
  videoId: string;
  startMs: number;
  endMs: number;
}
/** Whether what must not be there is at the place of a hit, or in the hit itself, or anywhere in a stretch of a video. */
export interface Unwanted {
  atFrame(hit: Span & { vector?: Float32Array }): boolean;
  atText(hit: Span & { text: string; language?: string }): boolean;
  within(span: Span): boolean;
}

/**
 * Where what must not be there is said or surely shown: what overlaps such a span is none of the results, whichever modality found it. Only the modalities
 * in use are looked at. A vector minus a vector would also remove what the two have in common.
 */
export async function findUnwanted(
  deps: FrameDeps,
  without: string[],
  uses: (modality: Modality) => boolean,
  filter: IndexFilter,
  signal?: AbortSignal,
): Promise<Unwanted> {
  const texts = without.slice(0, MAX_WITHOUT);
  // A passage in another language than the one asked for says it too.
  const { tenant, timeRange, videoIds, excludeVideoIds } = filter;
  const isShort = (videoIds?.length ?? 0) + (excludeVideoIds?.length ?? 0) <= MAX_LISTED;
  const where = { tenant, ...(timeRange && { timeRange }), ...(isShort && { videoIds, excludeVideoIds }) };
  const vectors = uses('frames') ? await deps.encoder.encodeTexts(texts, signal) : [];
  const shown = await Promise.all(
    vectors.map(async (vector) => ({
      vector,
      own: await background(deps, tenant, vector, false),
    })),
  );
  const found = await Promise.all([
    ...shown.map((one) => framesThatShow(deps, one, where)),
    ...(uses('passages') ? texts : []).map(async (text) =>
      (await deps.index.searchPassages(text, where, MAX_HITS)).filter((hit) => says(hit, text)),
    ),
  ]);
  const spans = inOrder(found.flat());
  return {
    // Each hit is asked itself, too: there may be more than were looked at.
    atFrame: (hit) =>
      overlapsAny(spans, hit) ||
      shown.some(({ vector, own }) => hit.vector !== undefined && showsSurely(dot(hit.vector, vector), own)),
    atText: (hit) => overlapsAny(spans, hit) || texts.some((text) => says(hit, text)),
    within: (span) => overlapsAny(spans, span),
  };
}

async function framesThatShow(
  { index, encoder }: FrameDeps,
  { vector, own }: { vector: Float32Array; own: Background },
  filter: IndexFilter,
): Promise<FrameHit[]> {
  for (const limit of [FIRST_FRAMES, MAX_HITS]) {
    const hits = await index.searchFrames(encoder, vector, filter, limit);
    const sure = hits.filter(({ score }) => showsSurely(score, own));
    if (sure.length < limit || limit === MAX_HITS) return sure;
  }
  return [];
}

/** The `enough` best hits that are kept: as many more are fetched as it takes, within bounds. */
export async function fetchKept<Hit>(
  enough: number,
  fetch: (limit: number) => Promise<Hit[]>,
  isUnwanted: ((hit: Hit) => boolean) | undefined,
): Promise<Hit[]> {
  for (let limit = enough; ; limit = Math.min(4 * limit, MAX_HITS)) {
    const hits = await fetch(limit);
    const kept = isUnwanted ? hits.filter((hit) => !isUnwanted(hit)) : hits;
    if (kept.length >= enough || hits.length < limit || limit === MAX_HITS) return kept.slice(0, enough);
  }
}

function says({ text, language }: Pick<PassageHit, 'text' | 'language'>, unwanted: string): boolean {
  // Of several words, which were in quotes, each counts.
  const phrase = (/\s/.test(unwanted) ? phraseOf : terms)(unwanted, language);
  return phrase.length > 0 && contains(spoken(text, language), phrase);
}

/** By video, in time order, those that overlap as one. */
function inOrder(spans: Span[]): Map<string, Span[]> {
  const joined = new Map<string, Span[]>();
  for (const { videoId, startMs, endMs } of spans.sort((a, b) => a.startMs - b.startMs)) {
    const own = joined.get(videoId) ?? [];
    const last = own.at(-1);
    if (last && startMs < last.endMs) last.endMs = Math.max(last.endMs, endMs);
    else own.push({ videoId, startMs, endMs });
    joined.set(videoId, own);
  }
  return joined;
}

function overlapsAny(spans: Map<string, Span[]>, { videoId, startMs, endMs }: Span): boolean {
  const own = spans.get(videoId) ?? [];
  const next = own[firstWhere(own.length, (i) => (own[i] as Span).endMs > startMs)];
  return next !== undefined && next.startMs < endMs;
}
