import type { TextEncoder } from '#retrieval';

/** Texts kept: at most 6 MB of embeddings of 768 numbers. */
const MAX_TEXTS = 2000;
type Encode = (texts: string[], signal?: AbortSignal) => Promise<Float32Array[]>;

/** The encoder, which remembers the texts that came last. */
export function cached({ id, dimension, logitScale, logitBias, encodeTexts }: TextEncoder): TextEncoder {
  return { id, dimension, logitScale, logitBias, encodeTexts: remembering(encodeTexts) };
}

/** Remembers embeddings of the texts that came last (least recently used go first): paging, and words that many ask, cost no inference. */
export function remembering(encode: Encode): Encode {
  const known = new Map<string, Float32Array>();
  return async (texts, signal) => {
    const unknown = [...new Set(texts.filter((text) => !known.has(text)))];
    const vectors = unknown.length > 0 ? await encode(unknown, signal) : [];
    const made = new Map(unknown.map((text, i) => [text, vectors[i] as Float32Array]));
    return texts.map((text) => {
      const vector = (known.get(text) ?? made.get(text)) as Float32Array;
      known.delete(text);
      known.set(text, vector);
      const [oldest] = known.size > MAX_TEXTS ? known.keys() : [];
      if (oldest !== undefined) known.delete(oldest);
      return vector;
    });
  };
}
