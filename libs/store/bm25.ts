/**
 * BM25 on the client's side, for an index that only multiplies sparse vectors (Qdrant): a document's vector holds the term weights below,
 * a query's vector holds ones, and the server multiplies by idf.
 */
import { queryTerms, terms } from './words.ts';

export interface SparseVector {
  indices: number[];
  values: number[];
}
const K1 = 1.2;
const B = 0.75;
const AVERAGE_LENGTH = 12;

/**
 * Term weights tf·(k1+1) / (tf + k1·(1 − b + b·length/averageLength)): Robertson & Zaragoza, "The Probabilistic Relevance Framework: BM25 and
 * Beyond", 2009, eq. 3.15 without its idf factor. The average length is a constant, so that a row's vector never depends on other rows:
 * a transcript passage has about twelve content words.
 */
export function documentVector(text: string, language?: string): SparseVector {
  const words = terms(text, language);
  const frequency = new Map<number, number>();
  for (const word of words) frequency.set(termIndex(word), (frequency.get(termIndex(word)) ?? 0) + 1);
  const norm = K1 * (1 - B + (B * words.length) / AVERAGE_LENGTH);
  return {
    indices: [...frequency.keys()],
    values: [...frequency.values()].map((tf) => (tf * (K1 + 1)) / (tf + norm)),
  };
}
/** Ones for each term that a query's words may be in the passages' language, or in any. */
export function queryVector(text: string, language?: string): SparseVector {
  const indices = [...new Set(queryTerms(text, language).map(termIndex))];
  return { indices, values: indices.map(() => 1) };
}
/** FNV-1a, 32 bits (Fowler, Noll, Vo): place of a term in the sparse space. */
function termIndex(term: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(term)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
