import { setImmediate as nextTurn } from 'node:timers/promises';
import { type PassageRow, terms } from '#store';

/** Passages whose words are counted before the event loop has its turn: 16 take about 5 ms. */
const BATCH = 16;
/** Fewer words than this say little by themselves. */
const FULL_WORDS = 6;

/** Words of each passage with their counts, as search compares them. */
export async function countTerms(
  passages: Pick<PassageRow, 'text' | 'language'>[],
  signal?: AbortSignal,
): Promise<Map<string, number>[]> {
  const counts: Map<string, number>[] = [];
  for (const [i, { text, language }] of passages.entries()) {
    if (i % BATCH === BATCH - 1) await nextTurn(undefined, { signal });
    const count = new Map<string, number>();
    for (const term of terms(text, language)) count.set(term, (count.get(term) ?? 0) + 1);
    counts.push(count);
  }
  return counts;
}

/** Rarity of each word among the texts: log(1 + N / df) (Sparck Jones 1972, smoothed). */
export function idfOf(counts: Map<string, number>[]): Map<string, number> {
  const df = new Map<string, number>();
  for (const count of counts) for (const term of count.keys()) df.set(term, (df.get(term) ?? 0) + 1);
  return new Map([...df].map(([term, n]) => [term, Math.log(1 + counts.length / n)]));
}

/**
 * How much each text stands for all of them: the cosine of its TF-IDF vector with their sum (the centroid score of Radev et al., "Centroid-based
 * summarization of multiple documents", 2004), less for texts of very few words.
 */
export function centrality(counts: Map<string, number>[]): number[] {
  const idf = idfOf(counts);
  const weight = (term: string, n: number): number => n * (idf.get(term) as number);
  const centroid = new Map<string, number>();
  for (const count of counts) {
    for (const [term, n] of count) centroid.set(term, (centroid.get(term) ?? 0) + weight(term, n));
  }
  const length = Math.hypot(...[...centroid.values()].slice(0, 50_000)) || 1;
  return counts.map((count) => {
    let [product, square] = [0, 0];
    for (const [term, n] of count) {
      product += weight(term, n) * (centroid.get(term) as number);
      square += weight(term, n) ** 2;
    }
    return square === 0 ? 0 : (product / (Math.sqrt(square) * length)) * Math.min(1, count.size / FULL_WORDS);
  });
}
