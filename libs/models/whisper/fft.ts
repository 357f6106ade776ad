/**
 * Power spectra of two real signals at once: one is the real, the other the imaginary part of one complex transform (a Stockham
 * transform with any radices, so that Whisper's 400 = 4*4*5*5 needs no padding).
 */
export class PowerSpectra {
  readonly size: number;
  readonly #radices: number[];
  readonly #cos: Float64Array;
  readonly #sin: Float64Array;
  #re: Float64Array;
  #im: Float64Array;
  #nextRe: Float64Array;
  #nextIm: Float64Array;

  constructor(size: number) {
    this.size = size;
    this.#radices = factors(size);
    this.#cos = Float64Array.from({ length: size }, (_, i) => Math.cos((-2 * Math.PI * i) / size));
    this.#sin = Float64Array.from({ length: size }, (_, i) => Math.sin((-2 * Math.PI * i) / size));
    this.#re = new Float64Array(size);
    this.#im = new Float64Array(size);
    this.#nextRe = new Float64Array(size);
    this.#nextIm = new Float64Array(size);
  }

  /** Where to write the two signals before `transform`. */
  get inputs(): [Float64Array, Float64Array] {
    return [this.#re, this.#im];
  }

  /** Writes size/2+1 squared magnitudes of each signal. The inputs are used up. */
  transform(first: Float64Array, second: Float64Array): void {
    let length = this.size;
    let stride = 1;
    for (const radix of this.#radices) {
      this.#pass(radix, length / radix, stride);
      [this.#re, this.#nextRe] = [this.#nextRe, this.#re];
      [this.#im, this.#nextIm] = [this.#nextIm, this.#im];
      length /= radix;
      stride *= radix;
    }
    const re = this.#re;
    const im = this.#im;
    // The transform of a real signal is symmetric, so Z[k] and Z[n-k] tell the two apart.
    for (let k = 0; k <= this.size / 2; k++) {
      const mirror = k === 0 ? 0 : this.size - k;
      const a = re[k] as number;
      const b = im[k] as number;
      const c = re[mirror] as number;
      const d = im[mirror] as number;
      first[k] = ((a + c) ** 2 + (b - d) ** 2) / 4;
      second[k] = ((b + d) ** 2 + (a - c) ** 2) / 4;
    }
  }

  #pass(radix: number, groups: number, stride: number): void {
    const { size } = this;
    const cos = this.#cos;
    const sin = this.#sin;
    const re = this.#re;
    const im = this.#im;
    const outRe = this.#nextRe;
    const outIm = this.#nextIm;
    const rootStep = size / radix;
    const leap = stride * groups;
    for (let group = 0; group < groups; group++) {
      for (let k = 0; k < radix; k++) {
        const twiddle = group * k * stride;
        const twiddleRe = cos[twiddle] as number;
        const twiddleIm = sin[twiddle] as number;
        const to = stride * (radix * group + k);
        for (let q = 0; q < stride; q++) {
          let from = q + stride * group;
          let sumRe = re[from] as number;
          let sumIm = im[from] as number;
          for (let i = 1; i < radix; i++) {
            from += leap;
            const root = ((i * k) % radix) * rootStep;
            const rootRe = cos[root] as number;
            const rootIm = sin[root] as number;
            const x = re[from] as number;
            const y = im[from] as number;
            sumRe += x * rootRe - y * rootIm;
            sumIm += x * rootIm + y * rootRe;
          }
          outRe[to + q] = sumRe * twiddleRe - sumIm * twiddleIm;
          outIm[to + q] = sumRe * twiddleIm + sumIm * twiddleRe;
        }
      }
    }
  }
}

function factors(size: number): number[] {
  const found: number[] = [];
  let rest = size;
  for (const radix of [4, 2, 3, 5]) {
    for (; rest % radix === 0; rest /= radix) found.push(radix);
  }
  for (let radix = 7; rest > 1; radix += 2) {
    for (; rest % radix === 0; rest /= radix) found.push(radix);
  }
  return found;
}
