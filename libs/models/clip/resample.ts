/**
 * Resampling as Pillow's Image.resize does it, bit for bit: CLIP's and SigLIP's image processors use it, and one level of 255 is already
 * more than a hundredth in the tensor. Separable, antialiased (the filter widens when scaling down), each pass rounded to
 * 8 bits, weights in fixed point (Pillow, src/libImaging/Resample.c: precompute_coeffs, normalize_coeffs_8bpc, ImagingResampleHorizontal_8bpc).
 */

/** An RGB picture, 8 bits a channel, rows from the top, `width * height * 3` bytes. */
export interface Picture {
  rgb: Uint8Array;
  width: number;
  height: number;
}

/** The part of the scaled picture that is wanted. Only what it needs is computed, however large the rest would be. */
export interface Window {
  left: number;
  top: number;
  width: number;
  height: number;
}

interface Filter {
  support: number;
  weight(x: number): number;
}

const sinc = (x: number) => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));

/** Numbers are PIL.Image.Resampling's, as `resample` in preprocessor_config.json has them. 0 (nearest) has no filter. */
const filters: Record<number, Filter> = {
  1: { support: 3, weight: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) }, // Lanczos
  2: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) }, // bilinear
  3: { support: 2, weight: cubic },
  4: { support: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) }, // box
  5: { support: 1, weight: hamming },
};
const NEAREST = 0;
/** What `resample` may be. */
export const RESAMPLE_FILTERS = [NEAREST, ...Object.keys(filters).map(Number)];

/** Keys 1981, with a = -0.5. */
function cubic(x: number): number {
  const a = -0.5;
  const t = Math.abs(x);
  if (t < 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  if (t < 2) return (((t - 5) * t + 8) * t - 4) * a;
  return 0;
}
function hamming(x: number): number {
  const t = Math.abs(x);
  if (t === 0) return 1;
  return t >= 1 ? 0 : sinc(t) * (0.54 + 0.46 * Math.cos(t * Math.PI));
}

/** Scales `picture` to `width` x `height` with one of PIL's filters and returns the pixels of `window`. */
export function resample(
  picture: Picture,
  { width, height }: { width: number; height: number },
  filter: number,
  window: Window,
): Uint8Array {
  if (filter === NEAREST) return nearest(picture, { width, height }, window);
  const chosen = filters[filter];
  if (!chosen) throw new RangeError(`no resampling filter ${filter}`);
  const down = axis(picture.height, height, window.top, window.height, chosen);
  const across = axis(picture.width, width, window.left, window.width, chosen);
  const [rows, columns] = [inputsOf(down), inputsOf(across)];
  // Each pass rounds, so their order shows in the result. Since Pillow 13 a height that shrinks by far more than the width goes first.
  const narrower = picture.width - width;
  const lower = picture.height - height;
  if (lower > 0 && lower > 2 * narrower) {
    return scaleAcross(scaleDown(picture, down, columns), shifted(across, columns.first), all(window.height)).rgb;
  }
  return scaleDown(scaleAcross(picture, across, rows), shifted(down, rows.first), all(window.width)).rgb;
}

/** Fixed-point weights of each wanted output position: `lengths[i]` input positions from `starts[i]`. */
interface Axis {
  starts: Int32Array;
  lengths: Int32Array;
  weights: Int32Array;
  /** Weights of one output position. */
  stride: number;
}
const PRECISION_BITS = 22;
const HALF = 2 ** (PRECISION_BITS - 1);

function axis(inSize: number, outSize: number, first: number, count: number, filter: Filter): Axis {
  const scale = inSize / outSize;
  const stretch = Math.max(scale, 1);
  const support = filter.support * stretch;
  // A filter that reaches past the picture is cut off there, so it never has more weights than the picture has pixels.
  const stride = Math.min(Math.ceil(support) * 2 + 1, inSize);
  const starts = new Int32Array(count);
  const lengths = new Int32Array(count);
  const weights = new Int32Array(count * stride);
  const exact = new Float64Array(stride);
  for (let i = 0; i < count; i++) {
    const center = (first + i + 0.5) * scale;
    const start = Math.max(0, Math.trunc(center - support + 0.5));
    const length = Math.min(inSize, Math.trunc(center + support + 0.5)) - start;
    let sum = 0;
    for (let j = 0; j < length; j++) {
      const weight = filter.weight((j + start - center + 0.5) * (1 / stretch));
      exact[j] = weight;
      sum += weight;
    }
    for (let j = 0; j < length; j++) {
      const share = sum === 0 ? (exact[j] as number) : (exact[j] as number) / sum;
      weights[i * stride + j] = Math.trunc(share * 2 ** PRECISION_BITS + (share < 0 ? -0.5 : 0.5));
    }
    starts[i] = start;
    lengths[i] = length;
  }
  return { starts, lengths, weights, stride };
}

const toByte = (sum: number) => Math.max(0, Math.min(255, sum >> PRECISION_BITS));

interface Span {
  first: number;
  count: number;
}
const all = (count: number): Span => ({ first: 0, count });
/** The input positions that an axis reads. */
function inputsOf({ starts, lengths }: Axis): Span {
  const first = starts[0] as number;
  return { first, count: (starts.at(-1) as number) + (lengths.at(-1) as number) - first };
}
/** The same axis for an input whose first `by` positions are left out. */
const shifted = (axis: Axis, by: number): Axis => ({ ...axis, starts: axis.starts.map((start) => start - by) });

/** Scales the width, for the rows that are wanted. */
function scaleAcross({ rgb, width }: Picture, across: Axis, rows: Span): Picture {
  const { starts, lengths, weights, stride } = across;
  const out = new Uint8Array(rows.count * starts.length * 3);
  let to = 0;
  for (let row = rows.first; row < rows.first + rows.count; row++) {
    for (let x = 0; x < starts.length; x++) {
      let from = (row * width + (starts[x] as number)) * 3;
      let [red, green, blue] = [HALF, HALF, HALF];
      const end = x * stride + (lengths[x] as number);
      for (let k = x * stride; k < end; k++) {
        const weight = weights[k] as number;
        red += (rgb[from++] as number) * weight;
        green += (rgb[from++] as number) * weight;
        blue += (rgb[from++] as number) * weight;
      }
      out[to++] = toByte(red);
      out[to++] = toByte(green);
      out[to++] = toByte(blue);
    }
  }
  return { rgb: out, width: starts.length, height: rows.count };
}

/** Scales the height, for the columns that are wanted. */
function scaleDown({ rgb, width }: Picture, down: Axis, columns: Span): Picture {
  const { starts, lengths, weights, stride } = down;
  const rowBytes = columns.count * 3;
  const out = new Uint8Array(starts.length * rowBytes);
  const sums = new Float64Array(rowBytes);
  for (let y = 0; y < starts.length; y++) {
    sums.fill(HALF);
    for (let j = 0; j < (lengths[y] as number); j++) {
      const weight = weights[y * stride + j] as number;
      const from = (((starts[y] as number) + j) * width + columns.first) * 3;
      for (let i = 0; i < rowBytes; i++) sums[i] = (sums[i] as number) + (rgb[from + i] as number) * weight;
    }
    for (let i = 0; i < rowBytes; i++) out[y * rowBytes + i] = toByte(sums[i] as number);
  }
  return { rgb: out, width: columns.count, height: starts.length };
}

/** Pillow steps by adding (src/libImaging/Geometry.c, ImagingScaleAffine); the sums' last bits decide where a pixel lies on a border. */
function nearest({ rgb, width, height }: Picture, size: { width: number; height: number }, window: Window): Uint8Array {
  const steps = (inSize: number, outSize: number, first: number, count: number) => {
    const step = inSize / outSize;
    let at = step * 0.5;
    for (let i = 0; i < first; i++) at += step;
    return Int32Array.from({ length: count }, () => {
      const here = Math.min(Math.floor(at), inSize - 1);
      at += step;
      return here;
    });
  };
  const columns = steps(width, size.width, window.left, window.width);
  const out = new Uint8Array(window.width * window.height * 3);
  let to = 0;
  for (const row of steps(height, size.height, window.top, window.height)) {
    for (const column of columns) {
      const from = (row * width + column) * 3;
      out.set(rgb.subarray(from, from + 3), to);
      to += 3;
    }
  }
  return out;
}
