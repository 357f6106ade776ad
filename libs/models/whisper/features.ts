import type { FeatureConfig } from './config.ts';
import { PowerSpectra } from './fft.ts';

/** Highest frequency of the filter bank; not in preprocessor_config.json but fixed in transformers' WhisperFeatureExtractor. */
const maxFrequency = 8000;
const floorPower = 1e-10;

/**
 * Log-mel features as transformers' WhisperFeatureExtractor makes them: periodic Hann window, reflected borders, power spectrum, Slaney
 * mel filters, log10, no more than 8 (80 dB) under the loudest, (x + 4) / 4. Checked against it in test/models.
 */
export class LogMel {
  readonly #config: FeatureConfig;
  readonly #hann: Float64Array;
  readonly #filters: { first: number; weights: Float64Array }[];
  readonly #fft: PowerSpectra;
  readonly #powers: [Float64Array, Float64Array];

  constructor(config: FeatureConfig) {
    this.#config = config;
    const size = config.fftSize;
    this.#hann = Float64Array.from({ length: size }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / size));
    this.#filters = melFilters(config);
    this.#fft = new PowerSpectra(size);
    const bins = Math.floor(size / 2) + 1;
    this.#powers = [new Float64Array(bins), new Float64Array(bins)];
  }

  /** Features of one window: `pcm` is padded with silence or cut to the model's length. `out` is melBins x frames. */
  extract(pcm: Float32Array, out: Float32Array): void {
    const { frames, melBins, hopLength, fftSize, windowSamples } = this.#config;
    const length = Math.min(pcm.length, windowSamples);
    const half = fftSize / 2;
    // Frames past the last sample are silent; a frame reaches half a window past its middle.
    const sounding = Math.min(frames, Math.ceil((length + half) / hopLength));
    const [first, second] = this.#powers;
    let loudest = Math.log10(floorPower);
    for (let frame = 0; frame < sounding; frame += 2) {
      const [a, b] = this.#fft.inputs;
      this.#windowed(pcm, length, frame, a);
      this.#windowed(pcm, length, frame + 1, b);
      this.#fft.transform(first, second);
      for (let mel = 0; mel < melBins; mel++) {
        const { first: bin, weights } = this.#filters[mel] as { first: number; weights: Float64Array };
        let sumA = 0;
        let sumB = 0;
        for (let i = 0; i < weights.length; i++) {
          const weight = weights[i] as number;
          sumA += weight * (first[bin + i] as number);
          sumB += weight * (second[bin + i] as number);
        }
        const at = mel * frames + frame;
        const logA = Math.log10(Math.max(sumA, floorPower));
        out[at] = logA;
        if (logA > loudest) loudest = logA;
        if (frame + 1 < frames) {
          const logB = Math.log10(Math.max(sumB, floorPower));
          out[at + 1] = logB;
          if (logB > loudest) loudest = logB;
        }
      }
    }
    const filled = Math.min(frames, sounding + (sounding % 2));
    for (let mel = 0; mel < melBins; mel++) {
      out.fill(Math.log10(floorPower), mel * frames + filled, (mel + 1) * frames);
    }
    const lowest = loudest - 8;
    for (let i = 0; i < melBins * frames; i++) {
      out[i] = (Math.max(out[i] as number, lowest) + 4) / 4;
    }
  }

  #windowed(pcm: Float32Array, length: number, frame: number, out: Float64Array): void {
    const { fftSize, hopLength, windowSamples } = this.#config;
    const start = frame * hopLength - fftSize / 2;
    for (let i = 0; i < fftSize; i++) {
      let at = start + i;
      if (at < 0) at = -at;
      else if (at >= windowSamples) at = 2 * (windowSamples - 1) - at;
      out[i] = at < length ? (pcm[at] as number) * (this.#hann[i] as number) : 0;
    }
  }
}

/** Triangular filters, area-normalised, on the Slaney mel scale (linear to 1 kHz, then logarithmic), as librosa's defaults. */
function melFilters({ melBins, fftSize, sampleRate }: FeatureConfig): { first: number; weights: Float64Array }[] {
  const logStep = Math.log(6.4) / 27;
  const toMel = (hz: number) => (hz < 1000 ? (3 * hz) / 200 : 15 + Math.log(hz / 1000) / logStep);
  const toHz = (mel: number) => (mel < 15 ? (200 * mel) / 3 : 1000 * Math.exp(logStep * (mel - 15)));
  const corners = Array.from({ length: melBins + 2 }, (_, i) => toHz((toMel(maxFrequency) * i) / (melBins + 1)));
  const bins = Math.floor(fftSize / 2) + 1;
  return Array.from({ length: melBins }, (_, mel) => {
    const [low, middle, high] = corners.slice(mel, mel + 3) as [number, number, number];
    const all = Array.from({ length: bins }, (_, bin) => {
      const hz = (bin * sampleRate) / 2 / (bins - 1);
      const height = Math.max(0, Math.min((hz - low) / (middle - low), (high - hz) / (high - middle)));
      return (height * 2) / (high - low);
    });
    const first = Math.max(
      0,
      all.findIndex((weight) => weight > 0),
    );
    const last = all.findLastIndex((weight) => weight > 0);
    return { first, weights: Float64Array.from(all.slice(first, last + 1)) };
  });
}
