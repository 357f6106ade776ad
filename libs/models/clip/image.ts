import type { ClipConfig } from './config.ts';

/**
 * Turns RGB bytes at model size into the tower's input: rescaled, normalised, planes instead of pixels (NCHW). There are only 256 values
 * a channel, so each is computed once, rounded to float32 after each step as transformers' CLIPImageProcessor does.
 */
export class ImageNormaliser {
  readonly #size: number;
  readonly #tables: Float32Array[];
  #buffer = new Float32Array(0);

  constructor({ imageSize, preprocessor }: ClipConfig) {
    this.#size = imageSize;
    const { do_rescale, rescale_factor, do_normalize, image_mean, image_std } = preprocessor;
    this.#tables = image_mean.map((mean, channel) =>
      Float32Array.from({ length: 256 }, (_, byte) => {
        const value = do_rescale ? Math.fround(byte * rescale_factor) : byte;
        if (!do_normalize) return value;
        return Math.fround(value - Math.fround(mean)) / Math.fround(image_std[channel] as number);
      }),
    );
  }

  /** `count` pictures from `rgb`, the first at byte `offset`. The result is valid until the next call. */
  normalise(rgb: Uint8Array, offset: number, count: number): Float32Array {
    const plane = this.#size * this.#size;
    const length = count * 3 * plane;
    if (this.#buffer.length < length) this.#buffer = new Float32Array(length);
    const out = this.#buffer;
    const [red, green, blue] = this.#tables as [Float32Array, Float32Array, Float32Array];
    let from = offset;
    for (let image = 0; image < count; image++) {
      const base = image * 3 * plane;
      for (let pixel = base; pixel < base + plane; pixel++) {
        out[pixel] = red[rgb[from++] as number] as number;
        out[pixel + plane] = green[rgb[from++] as number] as number;
        out[pixel + 2 * plane] = blue[rgb[from++] as number] as number;
      }
    }
    return out.subarray(0, length);
  }
}
