import type { TextEncoder } from '#retrieval';

/** Texts kept: at most 6 MB of embeddings of 768 numbers. */
const MAX_TEXTS = 2000;

/** Remembers embeddings of the texts that came last (least recently used go first): paging, and words that many ask, cost no inference. */
export function cached(encoder: TextEncoder): TextEncoder {
  const known = new Map<string, Float32Array>();
  const { id, dimension, logitScale } = encoder;
  return {
    id,
    dimension,
    logitScale,
    async encodeTexts(texts, signal) {
      const unknown = [...new Set(texts.filter((text) => !known.has(text)))];
      const vectors = unknown.length > 0 ? await encoder.encodeTexts(unknown, signal) : [];
      const made = new Map(unknown.map((text, i) => [text, vectors[i] as Float32Array]));
      return texts.map((text) => {
        const vector = (known.get(text) ?? made.get(text)) as Float32Array;
        known.delete(text);
        known.set(text, vector);
        const [oldest] = known.size > MAX_TEXTS ? known.keys() : [];
        if (oldest !== undefined) known.delete(oldest);
        return vector;
      });
    },
  };
}
