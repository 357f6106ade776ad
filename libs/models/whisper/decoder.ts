import { type InferenceSession, run, Tensor } from '../sessions.ts';
import type { DecoderConfig } from './config.ts';
import { applyRules, loopedTail, pick, probability } from './rules.ts';

/** What the decoder chose for one window. */
export interface Decoded {
  tokens: number[];
  /** Log-probability of each token. */
  logprobs: number[];
  /** Probability that there is no speech at all; 0 where the vocabulary has no token for it. */
  noSpeech: number;
}

/** Greedy decoding of a batch of windows in step, with the merged decoder's key-value cache. */
export class Decoder {
  readonly #session: InferenceSession;
  readonly #config: DecoderConfig;
  readonly #cachedOutputs: string[];

  constructor(session: InferenceSession, config: DecoderConfig) {
    this.#session = session;
    this.#config = config;
    this.#cachedOutputs = session.outputNames.filter((name) => !name.includes('.encoder.'));
    const nothing = new Tensor('float32', new Float32Array(0), [0, 0, 0]);
    const given = Object.keys(this.#feeds(nothing, [], 0));
    const odd = [...session.inputNames, ...given].find(
      (name) => !given.includes(name) || !session.inputNames.includes(name),
    );
    if (odd) throw new Error(`the decoder's inputs and config.json differ in ${odd}`);
  }

  /** The language most probable over all windows together. `encoded` is [windows, positions, width]. */
  async detectLanguage(encoded: Tensor): Promise<string> {
    const count = encoded.dims[0] as number;
    const { languages, startToken } = this.#config;
    const outputs = await run(this.#session, this.#feeds(encoded, new Array<number>(count).fill(startToken), 1));
    const logits = outputs.logits as Tensor;
    let best = '';
    let bestSum = -Infinity;
    const rows = Array.from({ length: count }, (_, row) => lastLogits(logits, row));
    for (const [language, token] of languages) {
      const sum = rows.reduce((total, row) => total + Math.log(probability(row, token)), 0);
      if (sum > bestSum) [best, bestSum] = [language, sum];
    }
    return best;
  }

  async decode(encoded: Tensor, prompt: number[], signal: AbortSignal): Promise<Decoded[]> {
    const count = encoded.dims[0] as number;
    const { endToken, maxTokens, firstTimestamp, noSpeechToken } = this.#config;
    const results = Array.from({ length: count }, (): Decoded => ({ tokens: [], logprobs: [], noSpeech: 0 }));
    const done = new Array<boolean>(count).fill(false);
    let feeds = this.#feeds(encoded, Array(count).fill(prompt).flat(), prompt.length);

    for (let length = prompt.length; length < maxTokens && done.includes(false); length++) {
      signal.throwIfAborted();
      const first = length === prompt.length;
      const outputs = await run(this.#session, feeds, first ? undefined : this.#cachedOutputs);
      const logits = outputs.logits as Tensor;
      if (first && noSpeechToken !== undefined) {
        for (const [row, result] of results.entries())
          result.noSpeech = probability(lastLogits(logits, row, 0), noSpeechToken);
      }
      const next = results.map(({ tokens, logprobs }, row) => {
        if (done[row]) return endToken; // rows that are done keep the batch in step; what they say is not kept
        const candidates = lastLogits(logits, row);
        applyRules(candidates, tokens, this.#config);
        const { token, logprob } = pick(candidates);
        if (token === endToken) {
          done[row] = true;
          return token;
        }
        tokens.push(token);
        logprobs.push(logprob);
        const looped = loopedTail(tokens, firstTimestamp);
        if (looped > 0) {
          tokens.length -= looped;
          logprobs.length -= looped;
          done[row] = true;
        }
        return token;
      });
      feeds = nextFeeds(feeds, outputs, next);
    }
    return results;
  }

  #feeds(encoded: Tensor, ids: number[], length: number): Record<string, Tensor> {
    const count = encoded.dims[0] as number;
    const { layers, heads, headSize } = this.#config;
    const feeds: Record<string, Tensor> = {
      input_ids: int64(ids, [count, length]),
      encoder_hidden_states: encoded,
      use_cache_branch: new Tensor('bool', [false], [1]),
    };
    for (let layer = 0; layer < layers; layer++) {
      for (const name of ['decoder.key', 'decoder.value', 'encoder.key', 'encoder.value']) {
        const empty = new Tensor('float32', new Float32Array(0), [count, heads, 0, headSize]);
        feeds[`past_key_values.${layer}.${name}`] = empty;
      }
    }
    return feeds;
  }
}

/** The encoder's keys and values stay those of the first step, the only one that gives them. */
function nextFeeds(
  last: Record<string, Tensor>,
  outputs: InferenceSession.ReturnType,
  next: number[],
): Record<string, Tensor> {
  const feeds: Record<string, Tensor> = { ...last };
  for (const [name, value] of Object.entries(outputs)) {
    if (name.startsWith('present.')) feeds[name.replace('present', 'past_key_values')] = value as Tensor;
  }
  feeds.input_ids = int64(next, [next.length, 1]);
  feeds.use_cache_branch = new Tensor('bool', [true], [1]);
  return feeds;
}

const int64 = (ids: number[], dims: number[]) => new Tensor('int64', BigInt64Array.from(ids, BigInt), dims);

/** Logits of one row at a position (default: the last): [rows, positions, vocabulary]. A view: rules write into it. */
function lastLogits(logits: Tensor, row: number, position?: number): Float32Array {
  const [, positions, size] = logits.dims as [number, number, number];
  const start = (row * positions + (position ?? positions - 1)) * size;
  return (logits.data as Float32Array).subarray(start, start + size);
}
