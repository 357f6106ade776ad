import { type InferenceSession, run, Tensor } from '../sessions.ts';
import { asInput, floats, floatTensor } from '../tensors.ts';
import type { DecoderConfig } from './config.ts';
import { chooseNext, probability } from './rules.ts';

/** What the decoder chose for one window. */
export interface Decoded {
  /** Without the end token. */
  tokens: number[];
  /** Log-probability of each token. */
  logprobs: number[];
  /** Mean log-probability, the end token's included where it was reached. */
  avgLogprob: number;
  /** Probability that there is no speech at all. */
  noSpeech: number;
}
/** How to choose: the most probable token, or, over temperature 0, drawn with a window's own random numbers. */
export interface Sampling {
  temperature: number;
  /** One a window. */
  random: (() => number)[];
  /** Most tokens a window; default: what the model allows. */
  most?: number;
}
const greedy: Sampling = { temperature: 0, random: [] };

interface Row extends Decoded {
  random: (() => number) | undefined;
  /** Log-probabilities, the end token's included. */
  sum: number;
}

/**
 * Decodes a batch of windows in step, with the merged decoder's key-value cache. onnxruntime-node reads inputs where they lie and copies
 * each output once, so the cache goes back in as the arrays it came out in; a window that is done gives its place in them to the last one.
 */
export class Decoder {
  readonly #session: InferenceSession;
  readonly #config: DecoderConfig;
  readonly #cachedOutputs: string[];

  constructor(session: InferenceSession, config: DecoderConfig) {
    this.#session = session;
    this.#config = config;
    this.#cachedOutputs = session.outputNames.filter((name) => !name.includes('.encoder.'));
    const given = Object.keys(this.#feeds(new Tensor('float32', new Float32Array(0), [0, 0, 0]), []));
    const odd = [...session.inputNames, ...given].find(
      (name) => !given.includes(name) || !session.inputNames.includes(name),
    );
    if (odd) throw new Error(`the decoder's inputs and config.json differ in ${odd}`);
  }

  /** The language most probable over all windows together. `encoded` is [windows, positions, width]. */
  async detectLanguage(encoded: Tensor): Promise<string> {
    const { languages, startToken } = this.#config;
    const { logits } = await run(this.#session, this.#feeds(encoded, [startToken]), ['logits']);
    const rows = Array.from({ length: encoded.dims[0] as number }, (_, row) => rowLogits(logits as Tensor, row));
    let best = '';
    let bestSum = -Infinity;
    for (const [language, token] of languages) {
      // What a row's logits fall short of log-probabilities is the same for each language.
      const sum = rows.reduce((total, row) => total + (row[token] as number), 0);
      if (sum > bestSum) [best, bestSum] = [language, sum];
    }
    return best;
  }

  /** Decodes each window of `encoded` ([windows, positions, width]) after the same prompt. */
  async decode(encoded: Tensor, prompt: number[], sampling = greedy, signal?: AbortSignal): Promise<Decoded[]> {
    const { endToken, maxTokens, maxNewTokens, noSpeechToken, startToken } = this.#config;
    const rows = Array.from({ length: encoded.dims[0] as number }, (_, i): Row => {
      return { tokens: [], logprobs: [], sum: 0, avgLogprob: 0, noSpeech: 0, random: sampling.random[i] };
    });
    const open = [...rows];
    const most = Math.min(sampling.most ?? maxNewTokens, maxTokens - prompt.length);
    let feeds = this.#feeds(encoded, prompt);
    for (let step = 0; step < most && open.length > 0; step++) {
      signal?.throwIfAborted();
      const outputs = await run(this.#session, feeds, step === 0 ? undefined : this.#cachedOutputs);
      const logits = outputs.logits as Tensor;
      if (step === 0) {
        const start = prompt.indexOf(startToken);
        for (const [i, row] of open.entries()) row.noSpeech = probability(rowLogits(logits, i, start), noSpeechToken);
      }
      const ended = open.map((row, i) => {
        const { token, logprob } = chooseNext(
          rowLogits(logits, i),
          row.tokens,
          this.#config,
          sampling.temperature,
          row.random,
        );
        row.sum += logprob;
        if (token === endToken) return true;
        row.tokens.push(token);
        row.logprobs.push(logprob);
        return false;
      });
      feeds = nextFeeds(feeds, outputs);
      dropRows(open, ended, feeds);
      feeds.input_ids = int64(
        open.map(({ tokens }) => tokens.at(-1) as number),
        [open.length, 1],
      );
    }
    for (const row of rows) row.avgLogprob = row.sum / (row.tokens.length + (open.includes(row) ? 0 : 1));
    return rows.map(({ tokens, logprobs, avgLogprob, noSpeech }) => ({ tokens, logprobs, avgLogprob, noSpeech }));
  }

  #feeds(encoded: Tensor, prompt: number[]): Record<string, Tensor> {
    const count = encoded.dims[0] as number;
    const { layers, heads, headSize } = this.#config;
    const feeds: Record<string, Tensor> = {
      input_ids: int64(Array<number[]>(count).fill(prompt).flat(), [count, prompt.length]),
      encoder_hidden_states: asInput(this.#session, 'encoder_hidden_states', encoded),
      use_cache_branch: new Tensor('bool', [false], [1]),
    };
    for (let layer = 0; layer < layers; layer++) {
      for (const part of ['decoder.key', 'decoder.value', 'encoder.key', 'encoder.value']) {
        const name = `past_key_values.${layer}.${part}`;
        feeds[name] = floatTensor(this.#session, name, new Float32Array(0), [count, heads, 0, headSize]);
      }
    }
    return feeds;
  }
}

/** The encoder's keys and values stay those of the first step, the only one that gives them. */
function nextFeeds(last: Record<string, Tensor>, outputs: InferenceSession.ReturnType): Record<string, Tensor> {
  const feeds: Record<string, Tensor> = { ...last };
  for (const [name, value] of Object.entries(outputs)) {
    if (name.startsWith('present.')) feeds[name.replace('present', 'past_key_values')] = value as Tensor;
  }
  feeds.use_cache_branch = new Tensor('bool', [true], [1]);
  return feeds;
}

/** Takes rows that have ended out of the batch, in place: each gap is filled from the end, and the arrays are seen as shorter. */
function dropRows(open: Row[], ended: boolean[], feeds: Record<string, Tensor>): void {
  const moves: [from: number, to: number][] = [];
  for (let i = 0; i < open.length; i++) {
    while (open.length > i && ended[open.length - 1]) open.pop();
    if (i >= open.length || !ended[i]) continue;
    moves.push([open.length - 1, i]);
    open[i] = open.pop() as Row;
    ended[i] = false;
  }
  if (open.length === ended.length) return;
  for (const [name, tensor] of Object.entries(feeds)) {
    // The encoder's output is read in the first step only, and is the caller's: it is not moved about in.
    if (name === 'encoder_hidden_states') feeds[name] = firstRows(tensor, open.length, []);
    if (name.startsWith('past_key_values.')) feeds[name] = firstRows(tensor, open.length, moves);
  }
}

function firstRows(tensor: Tensor, count: number, moves: [from: number, to: number][]): Tensor {
  const data = tensor.data as Float32Array;
  const size = data.length / (tensor.dims[0] as number);
  for (const [from, to] of moves) data.copyWithin(to * size, from * size, (from + 1) * size);
  return new Tensor(tensor.type as 'float32', data.subarray(0, count * size), [count, ...tensor.dims.slice(1)]);
}

const int64 = (ids: number[], dims: number[]) => new Tensor('int64', BigInt64Array.from(ids, BigInt), dims);

/** Logits of one row at a position (default: the last) of [rows, positions, vocabulary]. Rules write into it. */
function rowLogits(logits: Tensor, index: number, position?: number): Float32Array {
  const [, positions, size] = logits.dims as [number, number, number];
  const start = (index * positions + (position ?? positions - 1)) * size;
  const data = (logits.data as Float32Array).subarray(start, start + size);
  return floats(new Tensor(logits.type as 'float32', data, [size]));
}
