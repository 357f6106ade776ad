import { type InferenceSession, run, Tensor } from '../sessions.ts';
import { floats, floatTensor } from '../tensors.ts';
import type { FeatureConfig } from './config.ts';
import { LogMel } from './features.ts';

/** An offset of the whole signal over this (1 of full scale is 1) is taken away: it would stand out of the lowest mel bin as the loudest sound. */
const leastOffset = 0.01;

/** Features and encoder of windows, one by one: the result of a window never depends on those beside it, and memory on their number. */
export class Encoder {
  readonly #session: InferenceSession;
  readonly #config: FeatureConfig;
  readonly #logMel: LogMel;
  readonly #features: Float32Array;

  constructor(session: InferenceSession, config: FeatureConfig) {
    this.#session = session;
    this.#config = config;
    this.#logMel = new LogMel(config);
    this.#features = new Float32Array(config.melBins * config.frames);
  }

  /** Encodes windows of PCM, each padded with silence: [windows, positions, width], 32-bit floats. */
  async encode(windows: Float32Array[], signal?: AbortSignal): Promise<Tensor> {
    const { melBins, frames } = this.#config;
    let all = new Float32Array(0);
    let dims: readonly number[] = [0, 0];
    for (const [i, pcm] of windows.entries()) {
      signal?.throwIfAborted();
      this.#logMel.extract(withoutOffset(pcm), this.#features);
      const input = floatTensor(this.#session, 'input_features', this.#features, [1, melBins, frames]);
      const { last_hidden_state: encoded } = await run(this.#session, { input_features: input });
      if (!encoded) throw new Error('the encoder has no output last_hidden_state');
      const one = floats(encoded as Tensor);
      if (windows.length === 1) all = one as typeof all;
      else if (i === 0) all = new Float32Array(windows.length * one.length);
      if (windows.length > 1) all.set(one, i * one.length);
      dims = (encoded as Tensor).dims.slice(1);
    }
    return new Tensor('float32', all, [windows.length, ...dims]);
  }
}

/** Some rows of an encoded batch, in the order given. */
export function rowsOf(encoded: Tensor, rows: number[]): Tensor {
  const [count, ...rest] = encoded.dims as [number, ...number[]];
  if (rows.length === count) return encoded;
  const data = encoded.data as Float32Array;
  const size = data.length / count;
  const out = new Float32Array(rows.length * size);
  for (const [i, row] of rows.entries()) out.set(data.subarray(row * size, (row + 1) * size), i * size);
  return new Tensor('float32', out, [rows.length, ...rest]);
}

function withoutOffset(pcm: Float32Array): Float32Array {
  let sum = 0;
  for (let i = 0; i < pcm.length; i++) sum += pcm[i] as number;
  const mean = sum / Math.max(1, pcm.length);
  return Math.abs(mean) < leastOffset ? pcm : pcm.map((sample) => sample - mean);
}
