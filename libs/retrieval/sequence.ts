import { byScore } from './candidate.ts';
import { type Moment, type SearchDeps, type SearchOptions, search } from './search.ts';

/** Moments of each step that are looked at; a sequence of moments that rank lower is not found. */
const DEPTH = 60;
/** A step may begin so long before the end of the one before it: borders are no sharper than frames are far apart. */
const SLACK_MS = 1000;
/** What a chain loses whose steps follow each other as late as they may: among those nearly as sure, the closest wins. */
const NEARNESS = 0.1;
/** How a person says that one thing comes after another; not what is looked for. */
const ORDER = /^\s*(?:first|and then|then|next|after that|afterwards|finally|followed by)\b[\s,:]*/i;

/** What a step looks for, without the word that puts it in order. */
export const stepQuery = (step: string): string => step.replace(ORDER, '');

/**
 * Moments in which the first thing is followed by the second, and so on, each beginning at most `windowMs` after the one before it has ended. A moment spans
 * all of them; it is as sure as its least sure step, and shows the best evidence of each. Chains are in the order of that confidence, the closer ones first.
 */
export async function searchSequence(
  deps: SearchDeps,
  { steps, windowMs, limit, offset = 0, ...rest }: Omit<SearchOptions, 'query'> & { steps: string[]; windowMs: number },
  signal?: AbortSignal,
): Promise<Moment[]> {
  const found: Moment[][] = [];
  for (const step of steps) {
    found.push(await search(deps, { ...rest, query: stepQuery(step), openings: false, limit: DEPTH }, signal));
  }
  const videos = new Set(found[0]?.map(({ videoId }) => videoId));
  const inVideo = (id: string) => found.map((moments) => moments.filter(({ videoId }) => videoId === id));
  const chains = [...videos].flatMap((id) => chainsOf(inVideo(id), windowMs));
  const moments = chains.map(
    ({ chain, score }): Moment => ({
      videoId: (chain[0] as Moment).videoId,
      startMs: (chain[0] as Moment).startMs,
      endMs: (chain.at(-1) as Moment).endMs,
      score,
      confidence: leastSure(chain),
      evidence: chain.flatMap(({ evidence }) => evidence.slice(0, 1)),
    }),
  );
  const kept: Moment[] = [];
  for (const moment of moments.sort(byScore)) {
    const isNew = kept.every(
      (other) => other.videoId !== moment.videoId || other.startMs >= moment.endMs || other.endMs <= moment.startMs,
    );
    if (isNew) kept.push(moment);
  }
  return kept.slice(offset, offset + limit);
}

interface Chain {
  chain: Moment[];
  score: number;
}
/** Time between the moments of a chain, summed. */
interface Rest {
  gapMs: number;
  chain: Moment[];
}

/**
 * Of each moment of the first step, the best chain through all steps within one video. For each confidence that there is (in percent): the closest chain of
 * moments at least as sure, by dynamic programming from the last step to the first. The best of these is the best chain there is.
 */
function chainsOf(steps: Moment[][], windowMs: number): Chain[] {
  const best = new Map<Moment, Chain>();
  const longestMs = windowMs * (steps.length - 1);
  for (const least of new Set(steps.flat().map(({ confidence }) => Math.floor(100 * confidence) / 100))) {
    const sure = steps.map((moments) => moments.filter(({ confidence }) => confidence >= least));
    let rests: Rest[] = (sure.at(-1) ?? []).map((last) => ({ gapMs: 0, chain: [last] }));
    for (const moments of sure.slice(0, -1).reverse()) {
      rests = moments.flatMap((moment) => closest(moment, rests, windowMs) ?? []);
    }
    for (const { gapMs, chain } of rests) {
      const first = chain[0] as Moment;
      const score = leastSure(chain) * (1 - (NEARNESS * gapMs) / longestMs);
      if (score > (best.get(first)?.score ?? -1)) best.set(first, { chain, score });
    }
  }
  return [...best.values()];
}

/** `moment`, and of what may follow it the rest that lies closest. */
function closest(moment: Moment, rests: Rest[], windowMs: number): Rest | undefined {
  let best: Rest | undefined;
  for (const rest of rests) {
    const { startMs, endMs } = rest.chain[0] as Moment;
    const gapMs = startMs - moment.endMs;
    const follows = gapMs >= -SLACK_MS && startMs > moment.startMs && endMs > moment.endMs && gapMs <= windowMs;
    const total = rest.gapMs + Math.max(0, gapMs);
    if (follows && (!best || total < best.gapMs)) best = { gapMs: total, chain: [moment, ...rest.chain] };
  }
  return best;
}

const leastSure = (chain: Moment[]): number => Math.min(...chain.map(({ confidence }) => confidence));
