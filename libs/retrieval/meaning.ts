import { dot, type IndexFilter } from '#store';
import { byScore, type Candidate, logistic } from './candidate.ts';
import type { Query } from './query.ts';
import type { SearchDeps } from './search.ts';
import { fetchKept, type Unwanted } from './without.ts';

/** Encodes questions into the space of the passages; from libs/models, injected so that this library needs no model. */
export interface PassageEncoder {
  id: string;
  dimension: number;
  encodeQueries(texts: string[], signal?: AbortSignal): Promise<Float32Array[]>;
}

/** Passages that stand for all that a tenant has. */
const SAMPLE = 500;
const HITS = 50;
/** Counts like so many passages where few are indexed yet: the spread of unrelated cosines in models trained as E5 is, at a temperature of 0.01. */
const PRIOR_PASSAGES = 16;
const PRIOR_SPREAD = 0.03;
/**
 * Of a thousand unrelated passages the nearest lies 3.2 spreads over the mean (of a normal distribution): what lies farther is likelier related.
 * By this reasoning alone, not fitted: no model of this kind is small enough to come with the repository.
 */
const SURE_SPREADS = 4;
const SURE_SLOPE = 0.5;
/** Words that are found say more than meaning that is near, where both are sure. */
const SHARE = 0.9;

/** Whether passages are found by what they mean: a phrase in quotes is asked for word for word. */
export const asksForMeaning = ({ passageEncoder }: SearchDeps, { phrases }: Query): boolean =>
  passageEncoder !== undefined && phrases.length === 0;

/** Passages that mean what is asked for, whatever their words. */
export async function nearInMeaning(
  { index, passageEncoder: encoder }: SearchDeps,
  { said }: Query,
  filter: IndexFilter,
  unwanted: Unwanted | undefined,
  signal?: AbortSignal,
): Promise<Candidate[]> {
  const [vector] = (await encoder?.encodeQueries([said], signal)) ?? [];
  if (!encoder || !vector) return [];
  const [hits, sample] = await Promise.all([
    fetchKept(HITS, (limit) => index.searchPassagesByVector(encoder, vector, filter, limit), unwanted?.atText),
    index.samplePassages(encoder, { tenant: filter.tenant }, SAMPLE),
  ]);
  const cosines = sample.map((other) => dot(other, vector));
  const mean = cosines.reduce((sum, one) => sum + one, 0) / Math.max(1, cosines.length);
  const squares = cosines.reduce((sum, one) => sum + (one - mean) ** 2, 0);
  const spread = Math.sqrt((squares + PRIOR_SPREAD ** 2 * PRIOR_PASSAGES) / (cosines.length + PRIOR_PASSAGES));
  return hits.map(({ videoId, startMs, endMs, text, language, score }): Candidate => {
    const confidence = logistic(((score - mean) / spread - SURE_SPREADS) / SURE_SLOPE);
    const evidence = [{ kind: 'passage', atMs: startMs, endMs, text, language, score, confidence } as const];
    return { videoId, startMs, endMs, confidence, score: SHARE * confidence, evidence };
  });
}

/** Passages found by their words and those found by their meaning as one list: where both find the same, its words say from when to when. */
export function withMeaning(byWords: Candidate[], byMeaning: Candidate[]): Candidate[] {
  const all = byWords.map((one) => ({ ...one }));
  for (const near of byMeaning) {
    const same = all.find(
      (one) => one.videoId === near.videoId && one.startMs <= near.startMs && one.endMs >= near.endMs,
    );
    if (same) {
      // Independent signs of the same thing.
      const both = (confidence: number): number => 1 - (1 - confidence) * (1 - SHARE * near.confidence);
      same.confidence = both(same.confidence);
      same.evidence = same.evidence.map((one) =>
        one.atMs === near.startMs ? { ...one, confidence: both(one.confidence ?? 0) } : one,
      );
      same.score = Math.max(same.score, near.score);
    } else {
      all.push(near);
    }
  }
  return all.sort(byScore);
}
