import { setImmediate as nextTurn } from 'node:timers/promises';
import { dot, type IndexFilter, type PassageHit } from '#store';
import { type Background, background } from './background.ts';
import { byScore, type Candidate, groupByVideo, isSure, MAX_EVIDENCE, overlaps } from './candidate.ts';
import { eachFrame, lengthOf } from './each-frame.ts';
import { middleBeneath, showsSurely, sureness } from './frame-moments.ts';
import { asksForMeaning, nearInMeaning, withMeaning } from './meaning.ts';
import { momentsOfPassages } from './passage-moments.ts';
import { mean, promptsOf } from './prompts.ts';
import { type Query, readQuery } from './query.ts';
import { type Modality, type Moment, type SearchDeps, search } from './search.ts';
import { findUnwanted, type Span, type Unwanted } from './without.ts';

/** As many rows as the index gives for one query. */
const MAX_PASSAGES = 10_000;
/** Passages whose words are compared between two turns of the event loop: some 10 ms; more than twice as many as search looks at. */
const STRETCH = 250;
/** Frames read of a scope too long to look at each: the second only where all of the first are sure. */
const FRAMES = [1_000, 10_000];
/** Up to this length together, each frame of the videos is looked at: four hours of a frame a second are some 30 MB. */
const MAX_LOOKED_AT_MS = 4 * 3_600_000;
/** One frame that is not sure, at the usual interval, does not part what is in view. */
const MAX_GAP_MS = 1_500;
/** Of a query that only `search` can answer. */
const SEARCHED = 50;

export interface Places {
  /** All that are sure, the surest first. Their texts are not marked (`marked`). */
  moments: Moment[];
  /** False where there may be more: not every row was looked at. */
  isWhole: boolean;
}
interface EveryPlaceOptions extends Omit<IndexFilter, 'tenant'> {
  tenant: string;
  query: string;
  modalities?: Modality[];
  /** True: a title that has the words makes a place of its video's opening, as in `search`. */
  openings?: boolean;
  /** All videos of the scope with their lengths, where they are few. */
  videos?: { id: string; durationMs: number }[];
}

/**
 * Every place of what is asked for, not the best of some hundred hits: for counting, and for the first and the last one. What is said is looked up among all
 * passages that have the words, and merged as `search` merges it. What is seen is looked for in each frame where the videos are a few hours long, and is
 * one place while it stays in view; else among the nearest thousands.
 */
export async function everyPlace(deps: SearchDeps, options: EveryPlaceOptions, signal?: AbortSignal): Promise<Places> {
  signal?.throwIfAborted();
  const { query: text, modalities, videos, openings = false, ...filter } = options;
  const query = readQuery(text);
  if (query.seen === '' || filter.videoIds?.length === 0) return { moments: [], isWhole: true };
  if (query.isTwofold) {
    const moments = await search(deps, { ...filter, query: text, modalities, openings, limit: SEARCHED }, signal);
    return { moments: moments.filter(isSure), isWhole: false };
  }
  const uses = (modality: Modality): boolean => modalities?.includes(modality) ?? true;
  const nothing = { found: [], isWhole: true };
  const unwanted = query.without.length > 0 ? await findUnwanted(deps, query.without, uses, filter, signal) : undefined;
  const asked = { deps, query, filter, videos, unwanted, signal };
  const [seen, said, titles] = await Promise.all([
    uses('frames') ? sightings(asked) : nothing,
    uses('passages') ? mentions(asked) : nothing,
    openings ? deps.titles?.() : undefined,
  ]);
  const sure = [...seen.found, ...said.found].filter(isSure);
  // Beside a place that is known, a title says nothing of where it is.
  const placed = new Set(sure.map(({ videoId }) => videoId));
  const titled = titles?.find(query, filter, unwanted).filter((one) => isSure(one) && !placed.has(one.videoId)) ?? [];
  return { moments: apart([...sure, ...titled]), isWhole: seen.isWhole && said.isWhole };
}

interface Asked extends Pick<EveryPlaceOptions, 'videos'> {
  deps: SearchDeps;
  query: Query;
  filter: IndexFilter;
  unwanted?: Unwanted;
  signal?: AbortSignal;
}
interface Found {
  found: Candidate[];
  isWhole: boolean;
}
async function mentions({ deps, query, filter, unwanted, signal }: Asked): Promise<Found> {
  const [hits, meant] = await Promise.all([
    deps.index.searchPassages(query.said, filter, MAX_PASSAGES),
    asksForMeaning(deps, query) ? nearInMeaning(deps, query, filter, unwanted, signal) : [],
  ]);
  const found: Candidate[] = [];
  const kept = unwanted ? hits.filter((hit) => !unwanted.atText(hit)) : hits;
  for (const stretch of stretches(kept)) {
    found.push(...momentsOfPassages(stretch, query, undefined, unwanted));
    await nextTurn(undefined, { signal });
  }
  const isWhole = hits.length < MAX_PASSAGES && (meant.length === 0 || !meant.every(isSure));
  return { found: withMeaning(found, meant), isWhole };
}

/** Hits in runs that no moment reaches over, each with enough of them to tell which words are rare; where all that is said has the words, of twice as many. */
function* stretches(hits: PassageHit[]): Generator<PassageHit[]> {
  const inTime = [...groupByVideo(hits).values()].flatMap((all) => all.sort((a, b) => a.startMs - b.startMs));
  let from = 0;
  for (const [i, hit] of inTime.entries()) {
    const last = inTime[i - 1];
    const isApart = last && (last.videoId !== hit.videoId || hit.startMs - last.endMs > MAX_GAP_MS);
    if (i - from < STRETCH || inTime.length - i < STRETCH || !(isApart || i - from >= 2 * STRETCH)) continue;
    yield inTime.slice(from, i);
    from = i;
  }
  yield inTime.slice(from);
}

type Sight = Span & { score: number };

async function sightings({ deps, query, filter, videos, unwanted, signal }: Asked): Promise<Found> {
  const { index, encoder } = deps;
  const vector = mean(await encoder.encodeTexts(promptsOf(query.seen, encoder), signal));
  const own = await background(deps, filter.tenant, vector, false);
  const beneath = (best: number): Background => ({ ...own, middle: middleBeneath(best, own) });
  const parts = videos?.map((video) => ({ ...video, timeRange: filter.timeRange }));
  const isShort = parts !== undefined && parts.reduce((sum, part) => sum + lengthOf(part), 0) <= MAX_LOOKED_AT_MS;
  let sights: Sight[] = [];
  if (isShort) {
    for (const part of parts) {
      for await (const frames of eachFrame(deps, filter.tenant, part)) {
        signal?.throwIfAborted();
        const kept = frames.filter((frame) => !unwanted?.atFrame(frame));
        const { id: videoId } = part;
        sights.push(
          ...kept.map(({ startMs, endMs, vector: own }) => ({ videoId, startMs, endMs, score: dot(own, vector) })),
        );
      }
    }
  } else {
    for (const limit of FRAMES) {
      const hits = await index.searchFrames(encoder, vector, filter, limit, { withVectors: unwanted !== undefined });
      sights = unwanted ? hits.filter((hit) => !unwanted.atFrame(hit)) : hits;
      const [best, last] = [hits[0], hits.at(-1)];
      if (!best || !last || hits.length < limit || !showsSurely(last.score, beneath(best.score))) break;
    }
  }
  signal?.throwIfAborted();
  const unlike = beneath(sights.reduce((most, { score }) => Math.max(most, score), -1));
  const sure = sights.filter(({ score }) => showsSurely(score, unlike));
  return { found: inView(sure, unlike), isWhole: isShort };
}

/** Frames that follow each other are one place, as sure as its surest. */
function inView(sure: Sight[], unlike: Background): Candidate[] {
  const places: Candidate[] = [];
  for (const [videoId, sights] of groupByVideo(sure)) {
    let open: Candidate | undefined;
    for (const { startMs, endMs, score } of sights.sort((a, b) => a.startMs - b.startMs)) {
      if (!open || startMs - open.endMs > MAX_GAP_MS) {
        open = { videoId, startMs, endMs, score, confidence: 0, evidence: [] };
        places.push(open);
      }
      open.endMs = Math.max(open.endMs, endMs);
      open.score = Math.max(open.score, score);
      open.evidence.push({ kind: 'frame', atMs: startMs, endMs, score });
    }
  }
  for (const place of places) {
    place.confidence = sureness(place.score, unlike);
    place.evidence.sort((a, b) => b.score - a.score);
  }
  return places;
}

/** What is seen and said at the same time, or said twice (captions beside speech), is one place. */
function apart(places: Candidate[]): Moment[] {
  const kept: Candidate[] = [];
  for (const ofVideo of groupByVideo(places).values()) {
    let last: Candidate | undefined;
    for (const place of ofVideo.sort((a, b) => a.startMs - b.startMs || a.endMs - b.endMs)) {
      if (!last || !overlaps(last, place)) {
        last = { ...place };
        kept.push(last);
        continue;
      }
      const [surer, other] = last.confidence >= place.confidence ? [last, place] : [place, last];
      // Of each kind the best: a moment shows few.
      const [first, second] = [surer.evidence.slice(0, MAX_EVIDENCE - 1), other.evidence.slice(0, 1)];
      Object.assign(last, { ...surer, evidence: [...first, ...second] });
    }
  }
  return kept
    .map((one): Moment => ({ ...one, score: one.confidence, evidence: one.evidence.slice(0, MAX_EVIDENCE) }))
    .sort(byScore);
}
