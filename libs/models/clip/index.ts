import { ModelError } from '../errors.ts';
import type { RuntimeInfo, RuntimeOptions } from '../runtime.ts';
import { openEngine } from '../thread.ts';
import { movable } from '../transfer.ts';
import type { ClipEngine } from './engine.ts';
import type { Picture } from './resample.ts';

export type { Picture };

/** A CLIP (image and text towers) open in a worker thread. Embeddings are L2-normalised float32, `dimension` long. */
export interface ClipModel {
  /** Name that goes with every vector; two models of the same id give comparable vectors. */
  readonly id: string;
  readonly dimension: number;
  /** Side of the square frames that `encodeImages` takes (preprocessor_config.json). */
  readonly imageSize: number;
  /** Pictures that it computes at a time: fewest calls for most speed. */
  readonly batch: number;
  /** How a frame is to be made square: `crop` its centre, or `squash` all of it (preprocessor_config.json). */
  readonly fit: 'crop' | 'squash';
  /** exp of the trained temperature (config.json), for turning cosines into confidences. */
  readonly logitScale: number;
  /** Of a model that learnt by SigLIP's sigmoid loss, where it is known: logistic(logitScale · cosine + logitBias) is how likely a text and a picture belong together. */
  readonly logitBias: number | undefined;
  /** What it runs on, and why not on something better. */
  readonly runtime: RuntimeInfo;
  /** `count` frames as `imageSize` and `fit` say, RGB 8-bit `imageSize`², one after the other in one buffer (transferred: do not use it again). One embedding each. */
  encodeImages(rgb: Uint8Array, count: number, signal?: AbortSignal): Promise<Float32Array[]>;
  /** Pictures of any size, prepared as the model's image processor does (their memory is transferred). One embedding each. */
  encodePictures(pictures: Picture[], signal?: AbortSignal): Promise<Float32Array[]>;
  /** Over-long texts are cut to the model's context, as the reference tokeniser does. */
  encodeTexts(texts: string[], signal?: AbortSignal): Promise<Float32Array[]>;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Scale (not its logarithm) and bias of logits, in place of what config.json says or leaves out. */
export interface Logits {
  scale?: number;
  bias?: number;
}

/** Opens a folder in the hub's layout. `towers` loads only what is needed: the api encodes text only. Throws ModelError. */
export async function openClip(
  folder: string,
  {
    id,
    towers,
    logits,
    ...runtimeOptions
  }: RuntimeOptions & { id: string; towers: 'both' | 'text' | 'image'; logits?: Logits },
): Promise<ClipModel> {
  const spec = { kind: 'clip', folder, towers, runtime: runtimeOptions } as const;
  const engine = await openEngine<ClipEngine>(spec);
  const { dimension, frameSize: imageSize, fit, logitScale, logitBias, batch, ...runtime } = engine.info;
  const rows = (all: Float32Array) =>
    Array.from({ length: all.length / dimension }, (_, i) => all.slice(i * dimension, (i + 1) * dimension));
  return {
    id,
    dimension,
    imageSize,
    batch,
    fit,
    logitScale: logits?.scale ?? logitScale,
    logitBias: logits?.bias ?? logitBias,
    runtime,
    async encodeImages(rgb, count, signal) {
      if (rgb.length !== count * imageSize ** 2 * 3) {
        const wanted = `${count} pictures of ${imageSize}x${imageSize} RGB`;
        throw new ModelError('inference_failed', `${rgb.length} bytes are not ${wanted}`);
      }
      const { view, transfer } = movable(rgb);
      return rows(await engine.call('encodeImages', { rgb: view, count }, { transfer, signal }));
    },
    async encodePictures(pictures, signal) {
      const moved = pictures.map(({ rgb, width, height }) => {
        const whole = Number.isSafeInteger(width) && Number.isSafeInteger(height) && width > 0 && height > 0;
        if (!whole || rgb.length !== width * height * 3) {
          throw new ModelError('inference_failed', `${rgb.length} bytes are not a picture of ${width}x${height} RGB`);
        }
        const { view, transfer } = movable(rgb);
        return { picture: { rgb: view, width, height }, transfer };
      });
      const args = { pictures: moved.map(({ picture }) => picture) };
      const buffers = new Set(moved.flatMap(({ transfer }) => transfer)); // one picture may be given twice
      return rows(await engine.call('encodePictures', args, { transfer: [...buffers], signal }));
    },
    async encodeTexts(texts, signal) {
      return rows(await engine.call('encodeTexts', { texts }, { signal }));
    },
    close: () => engine.close(),
    [Symbol.asyncDispose]: () => engine.close(),
  };
}
