import type { RuntimeInfo, RuntimeOptions } from '../runtime.ts';
import { openEngine } from '../thread.ts';
import type { TextEngine } from './engine.ts';

/** A text encoder open in a worker thread: finds passages by what they mean. Embeddings are L2-normalised float32, `dimension` long. */
export interface PassageEncoder {
  /** Name that goes with every vector; two models of the same id give comparable vectors. */
  readonly id: string;
  readonly dimension: number;
  /** What it runs on, and why not on something better. */
  readonly runtime: RuntimeInfo;
  /** One embedding a text, which does not depend on the others. Over-long texts are cut to the model's context. */
  encodeQueries(texts: string[], signal?: AbortSignal): Promise<Float32Array[]>;
  /** As `encodeQueries`, for what is searched through. */
  encodePassages(texts: string[], signal?: AbortSignal): Promise<Float32Array[]>;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Opens a folder in the hub's layout (`onnx/model.onnx`: E5, BGE, sentence-transformers). `id` is resolveProfile's: where the folder says
 * nothing of prefixes, the model's name in it decides. Throws ModelError.
 */
export async function openPassageEncoder(
  folder: string,
  { id, ...runtime }: RuntimeOptions & { id: string },
): Promise<PassageEncoder> {
  const engine = await openEngine<TextEngine>({ kind: 'text', folder, name: id, runtime });
  const { dimension, ...info } = engine.info;
  const encode = async (texts: string[], as: 'query' | 'passage', signal?: AbortSignal) => {
    const all = await engine.call('encode', { texts, as }, { signal });
    return texts.map((_, i) => all.slice(i * dimension, (i + 1) * dimension));
  };
  return {
    id,
    dimension,
    runtime: info,
    encodeQueries: (texts, signal) => encode(texts, 'query', signal),
    encodePassages: (texts, signal) => encode(texts, 'passage', signal),
    close: () => engine.close(),
    [Symbol.asyncDispose]: () => engine.close(),
  };
}
