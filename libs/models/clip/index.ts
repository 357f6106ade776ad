import type { RuntimeOptions } from '../runtime.ts';

/** A CLIP (image and text towers) open in a worker thread. Embeddings are L2-normalised float32, `dimension` long. */
export interface ClipModel {
  /** Name that goes with every vector; two models of the same id give comparable vectors. */
  readonly id: string;
  readonly dimension: number;
  /** Side of the square picture it takes (preprocessor_config.json). */
  readonly imageSize: number;
  /** exp of the trained temperature (config.json), for turning cosines into confidences. */
  readonly logitScale: number;
  /** `count` pictures, RGB 8-bit `imageSize`², one after the other in one buffer (transferred: do not use it again). One embedding each. */
  encodeImages(rgb: Uint8Array, count: number, signal?: AbortSignal): Promise<Float32Array[]>;
  /** Over-long texts are cut to the model's context, as the reference tokeniser does. */
  encodeTexts(texts: string[], signal?: AbortSignal): Promise<Float32Array[]>;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
/** Opens a folder in the hub's layout. `towers` loads only what is needed: the api encodes text only. Throws ModelError. */
export async function openClip(
  _folder: string,
  _options: RuntimeOptions & { id: string; towers: 'both' | 'text' | 'image' },
): Promise<ClipModel> {
  throw new Error('unfinished');
}
