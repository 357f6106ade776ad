/**
 * BM25 on the client's side, for an index that only multiplies sparse vectors (Qdrant): a document's vector holds the term weights below,
 * a query's vector holds ones, and the server multiplies by idf. Also the one place that says what a word is.
 */

/** English function words, and nothing that could be what somebody looks for ("cat" is on the union list of some engines: Romanian "cât", folded). */
export const STOP_WORDS: readonly string[] = (
  'a about am an and are as at be been being but by can could did do does doing don for from had has have having he her hers him his how i if in ' +
  'into is it its me my of on or our ours she should so some than that the their theirs them then there these they this those to was we were ' +
  'what when where which while who whom why will with would you your yours s t d ll m re ve'
).split(' ');
const stopWords = new Set(STOP_WORDS);
const segmenter = new Intl.Segmenter('en', { granularity: 'word' });
const MAX_TERM_LENGTH = 40;

/** Words of a text as they are compared: lower case, no accents, no stop words, stemmed. Chinese and Japanese are cut by ICU's dictionary. */
export function terms(text: string): string[] {
  const folded = text
    .toWellFormed()
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '')
    .toLowerCase();
  const found: string[] = [];
  for (const { segment, isWordLike } of segmenter.segment(folded)) {
    if (!isWordLike) continue;
    for (const word of segment.split(/[^\p{L}\p{N}]+/u)) {
      if (word && word.length <= MAX_TERM_LENGTH && !stopWords.has(word)) found.push(stem(word));
    }
  }
  return found;
}

const CONSONANT = '(?:[^aeiouy]|(?<=^|[aeiou])y)';
const hasVowel = (word: string): boolean => /[aeiou]|[^aeiou]y/.test(word);
/** m > 0 in the paper's terms: a vowel, then a consonant. */
const hasMeasure = (word: string): boolean => /[aeiouy][^aeiouy]/.test(word);
const isShort = new RegExp(`^${CONSONANT}+[aeiouy][^aeiouywx]$`);

/** Step 1 (inflections) of M. F. Porter, "An algorithm for suffix stripping", Program 14(3), 1980. */
export function stem(word: string): string {
  if (word.length < 3 || !/^[a-z]+$/.test(word)) return word;
  let w = word.replace(/sses$/, 'ss').replace(/ies$/, 'i');
  if (/[^s]s$/.test(w)) w = w.slice(0, -1);
  if (w.endsWith('eed')) {
    if (hasMeasure(w.slice(0, -3))) w = w.slice(0, -1);
  } else {
    const base = w.replace(/(?:ed|ing)$/, '');
    if (base !== w && hasVowel(base)) {
      if (/(?:at|bl|iz)$/.test(base)) w = `${base}e`;
      else if (/([^aeioulsz])\1$/.test(base)) w = base.slice(0, -1);
      else w = isShort.test(base) ? `${base}e` : base;
    }
  }
  return w.endsWith('y') && hasVowel(w.slice(0, -1)) ? `${w.slice(0, -1)}i` : w;
}

export interface SparseVector {
  indices: number[];
  values: number[];
}
/**
 * Term weights tf·(k1+1) / (tf + k1·(1 − b + b·length/averageLength)): Robertson & Zaragoza, "The Probabilistic Relevance Framework: BM25 and
 * Beyond", 2009, eq. 3.15 without its idf factor. The average length is a constant, so that a row's vector never depends on other rows:
 * a transcript passage has about twelve content words.
 */
export function documentVector(text: string, k1 = 1.2, b = 0.75, averageLength = 12): SparseVector {
  const words = terms(text);
  const frequency = new Map<number, number>();
  for (const word of words) frequency.set(termIndex(word), (frequency.get(termIndex(word)) ?? 0) + 1);
  const norm = k1 * (1 - b + (b * words.length) / averageLength);
  return {
    indices: [...frequency.keys()],
    values: [...frequency.values()].map((tf) => (tf * (k1 + 1)) / (tf + norm)),
  };
}
/** Ones for each distinct word of a query. */
export function queryVector(text: string): SparseVector {
  const indices = [...new Set(terms(text).map(termIndex))];
  return { indices, values: indices.map(() => 1) };
}
/** FNV-1a, 32 bits (Fowler, Noll, Vo): place of a term in the sparse space. */
function termIndex(term: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(term)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
