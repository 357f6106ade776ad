import type { ClipConfig } from './config.ts';
import { type Picture, resample } from './resample.ts';

/**
 * Makes the image tower's input as the model's image processor does (transformers' CLIPImageProcessor and SiglipImageProcessor on Pillow):
 * resize, centre crop, rescale, normalise, planes instead of pixels (NCHW).
 */
export class ImagePreprocessor {
  readonly #size: number;
  readonly #config: ClipConfig;
  /** There are only 256 values a channel, so each is computed once, rounded to float32 after each step as numpy does. */
  readonly #tables: [Float32Array, Float32Array, Float32Array];
  #buffer = new Float32Array(0);

  constructor(config: ClipConfig) {
    this.#config = config;
    this.#size = config.imageSize;
    const { do_rescale, rescale_factor, do_normalize, image_mean, image_std } = config.preprocessor;
    const table = (channel: 0 | 1 | 2) =>
      Float32Array.from({ length: 256 }, (_, byte) => {
        const value = do_rescale ? Math.fround(byte * rescale_factor) : byte;
        if (!do_normalize) return value;
        return Math.fround(value - Math.fround(image_mean[channel])) / Math.fround(image_std[channel]);
      });
    this.#tables = [table(0), table(1), table(2)];
  }

  /** `count` frames of `frameSize`² from `rgb`, the first at byte `offset`. The result is valid until the next call. */
  frames(rgb: Uint8Array, offset: number, count: number): Float32Array {
    const { frameSize } = this.#config;
    const bytes = frameSize * frameSize * 3;
    const margin = Math.floor((frameSize - this.#size) / 2);
    return this.#fill(count, (image, base) => {
      for (let row = 0; row < this.#size; row++) {
        const from = offset + image * bytes + ((margin + row) * frameSize + margin) * 3;
        this.#fillRow(rgb, from, base + row * this.#size);
      }
    });
  }

  /** Pictures of any size. The result is valid until the next call. */
  pictures(pictures: readonly Picture[]): Float32Array {
    return this.#fill(pictures.length, (image, base) => {
      const rgb = this.#crop(pictures[image] as Picture);
      for (let row = 0; row < this.#size; row++) {
        this.#fillRow(rgb, row * this.#size * 3, base + row * this.#size);
      }
    });
  }

  /** Resized and cropped to `imageSize`². */
  #crop(picture: Picture): Uint8Array {
    const { fit, frameSize, resampleFilter } = this.#config;
    const { width, height } = picture;
    // As transformers' get_resize_output_image_size: the longer edge is cut to whole pixels, not rounded.
    const scaled = (side: number) =>
      fit === 'squash' ? frameSize : Math.trunc((frameSize * side) / Math.min(width, height));
    const size = { width: scaled(width), height: scaled(height) };
    const window = {
      left: Math.floor((size.width - this.#size) / 2),
      top: Math.floor((size.height - this.#size) / 2),
      width: this.#size,
      height: this.#size,
    };
    return resample(picture, size, resampleFilter, window);
  }

  #fill(count: number, one: (image: number, base: number) => void): Float32Array {
    const length = count * 3 * this.#size * this.#size;
    if (this.#buffer.length < length) this.#buffer = new Float32Array(length);
    for (let image = 0; image < count; image++) one(image, image * 3 * this.#size * this.#size);
    return this.#buffer.subarray(0, length);
  }

  #fillRow(rgb: Uint8Array, from: number, to: number): void {
    const out = this.#buffer;
    const plane = this.#size * this.#size;
    const [red, green, blue] = this.#tables;
    for (let pixel = to; pixel < to + this.#size; pixel++) {
      out[pixel] = red[rgb[from++] as number] as number;
      out[pixel + plane] = green[rgb[from++] as number] as number;
      out[pixel + 2 * plane] = blue[rgb[from++] as number] as number;
    }
  }
}
