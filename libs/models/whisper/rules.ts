import type { DecoderConfig } from './config.ts';

/** A token and its log-probability among those that were possible. */
export interface Choice {
  token: number;
  logprob: number;
}

/** Terms of a softmax this far under the highest (2e-9 of it) change no digit that counts, and cost most of its time. */
const negligible = 20;

/**
 * Chooses the next token by Whisper's rules: timestamps open and close every segment and never go back, and a timestamp comes when all of
 * them together outweigh every word (openai/whisper decoding.py, ApplyTimestampRules; transformers' WhisperTimeStampLogitsProcessor).
 * `logits` are one row's, over the whole vocabulary, and are written into; `tokens` is what was chosen so far. The most probable token is
 * taken, or with a `temperature` over 0 one drawn by `random`; its log-probability is that at temperature 1 either way.
 */
export function chooseNext(
  logits: Float32Array,
  tokens: readonly number[],
  config: DecoderConfig,
  temperature = 0,
  random: () => number = () => 0,
): Choice {
  const { firstTimestamp } = config;
  const range = allowed(logits, tokens, config);
  for (const token of config.suppressed) logits[token] = -Infinity;
  if (tokens.length === 0) for (const token of config.suppressedFirst) logits[token] = -Infinity;

  const stamp = highest(logits, range.stampFrom, range.stampTo);
  const stampSum = sumOfExp(logits, range.stampFrom, range.stampTo, stamp.logit);
  const text = highest(logits, range.textFrom, firstTimestamp);
  const stampsOutweighText = stamp.logit + Math.log(stampSum) > text.logit;
  const textFrom = stampsOutweighText ? firstTimestamp : range.textFrom;
  const best = !stampsOutweighText && text.logit >= stamp.logit ? text : stamp;

  let sum = stampSum * Math.exp(stamp.logit - best.logit) || 0;
  sum += sumOfExp(logits, textFrom, firstTimestamp, best.logit);
  if (best.logit === -Infinity) return { token: config.endToken, logprob: 0 }; // nothing is possible: the window ends
  const ranges: [number, number][] = [
    [textFrom, firstTimestamp],
    [range.stampFrom, range.stampTo],
  ];
  const token = temperature > 0 ? draw(logits, ranges, best, temperature, random()) : best.token;
  return { token, logprob: (logits[token] as number) - best.logit - Math.log(sum) };
}

/** Which text tokens [textFrom, firstTimestamp) and timestamps [stampFrom, stampTo) may come next. */
function allowed(logits: Float32Array, tokens: readonly number[], config: DecoderConfig) {
  const { firstTimestamp, endToken, maxInitialTimestamp } = config;
  const end = logits.length;
  if (tokens.length === 0) {
    const stampTo = Math.min(end, firstTimestamp + maxInitialTimestamp + 1);
    return { textFrom: firstTimestamp, stampFrom: firstTimestamp, stampTo };
  }
  const isTimestamp = (token: number | undefined) => token !== undefined && token >= firstTimestamp;
  const lastIs = isTimestamp(tokens.at(-1));
  const lastButOneIs = tokens.length < 2 || isTimestamp(tokens.at(-2));
  // A segment is open: text comes.
  if (lastIs && lastButOneIs) return { textFrom: 0, stampFrom: end, stampTo: end };
  const latest = tokens.findLast(isTimestamp) ?? firstTimestamp - 1;
  // A segment has closed: another opens, where it closed or later, or the window ends.
  if (lastIs) return { textFrom: endToken, stampFrom: latest, stampTo: end };
  // No segment may be of no length.
  return { textFrom: 0, stampFrom: latest + 1, stampTo: end };
}

interface Choosable {
  token: number;
  logit: number;
}

function highest(logits: Float32Array, from: number, to: number): Choosable {
  let token = from;
  let logit = -Infinity;
  for (let i = from; i < to; i++) {
    const value = logits[i] as number;
    if (value > logit) {
      logit = value;
      token = i;
    }
  }
  return { token, logit };
}

/** Sum of exp(logit - shift). */
function sumOfExp(logits: Float32Array, from: number, to: number, shift: number): number {
  let sum = 0;
  const least = shift - negligible;
  for (let i = from; i < to; i++) {
    const value = logits[i] as number;
    if (value > least) sum += Math.exp(value - shift);
  }
  return sum;
}

/** The token at `point` (0 to 1) of the probabilities at a temperature, over ranges of tokens. */
function draw(
  logits: Float32Array,
  ranges: [from: number, to: number][],
  best: Choosable,
  temperature: number,
  point: number,
): number {
  const weight = (token: number) => Math.exp(((logits[token] as number) - best.logit) / temperature);
  let total = 0;
  for (const [from, to] of ranges) for (let i = from; i < to; i++) total += weight(i);
  let left = point * total;
  for (const [from, to] of ranges) {
    for (let i = from; i < to; i++) {
      left -= weight(i);
      if (left < 0) return i;
    }
  }
  return best.token; // rounding
}

/** Probability of one token before any rule. */
export function probability(logits: Float32Array, token: number): number {
  const { logit } = highest(logits, 0, logits.length);
  return Math.exp((logits[token] as number) - logit) / sumOfExp(logits, 0, logits.length, logit);
}

/** Numbers in [0, 1) that follow from the seed alone (mulberry32, T. Ettinger, public domain). */
export function randomFrom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
