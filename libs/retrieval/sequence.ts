import { byScore } from './candidate.ts';
import { type Moment, type SearchDeps, type SearchOptions, search } from './search.ts';

/** Moments of each step that are looked at; a sequence of moments that rank lower is not found. */
const DEPTH = 60;
/** A step may begin so long before the end of the one before it: borders are no sharper than frames are far apart. */
const SLACK_MS = 1000;
/** How a person says that one thing comes after another; not what is looked for. */
const ORDER = /^\s*(?:first|and then|then|next|after that|afterwards|finally|followed by)\b[\s,:]*/i;

/** What a step looks for, without the word that puts it in order. */
export const stepQuery = (step: string): string => step.replace(ORDER, '');

/**
 * Moments in which the first thing is followed by the second, and so on, each beginning at most `windowMs` after the one before it has ended. A moment spans
 * all of them; it is as sure as its least sure step, and shows the best evidence of each.
 */
export async function searchSequence(
  deps: SearchDeps,
  { steps, windowMs, limit, offset = 0, ...rest }: Omit<SearchOptions, 'query'> & { steps: string[]; windowMs: number },
  signal?: AbortSignal,
): Promise<Moment[]> {
  const found: Moment[][] = [];
  for (const step of steps) {
    found.push(await search(deps, { ...rest, query: stepQuery(step), limit: DEPTH }, signal));
  }
  const [first = [], ...later] = found;
  const chains = first.flatMap((start) => {
    let chain: Moment[] | undefined = [start];
    for (const moments of later) {
      const last = chain.at(-1) as Moment;
      // The surest that follows in time; of equals, the next.
      const next = moments
        .filter(
          ({ videoId, startMs, endMs }) =>
            videoId === last.videoId &&
            startMs >= last.endMs - SLACK_MS &&
            startMs > last.startMs &&
            endMs > last.endMs &&
            startMs - last.endMs <= windowMs,
        )
        .sort((a, b) => b.score - a.score || a.startMs - b.startMs)[0];
      if (!next) {
        chain = undefined;
        break;
      }
      chain.push(next);
    }
    return chain ? [chain] : [];
  });
  const moments = chains.map(
    (chain): Moment => ({
      videoId: (chain[0] as Moment).videoId,
      startMs: (chain[0] as Moment).startMs,
      endMs: (chain.at(-1) as Moment).endMs,
      // The geometric mean: one step that is hardly there is not made up for by another.
      score: Math.exp(chain.reduce((sum, { score }) => sum + Math.log(Math.max(score, 1e-9)), 0) / chain.length),
      confidence: Math.min(...chain.map(({ confidence }) => confidence)),
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
