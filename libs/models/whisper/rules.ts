import type { DecoderConfig } from './config.ts';

/**
 * Makes tokens that may not come next impossible, in place, by Whisper's rules: timestamps open and close every segment and never go
 * back (openai/whisper decoding.py, ApplyTimestampRules; transformers' WhisperTimeStampLogitsProcessor). `tokens`: what was chosen so far.
 */
export function applyRules(logits: Float32Array, tokens: number[], config: DecoderConfig): void {
  const { firstTimestamp, endToken, maxInitialTimestamp } = config;
  for (const token of config.suppressed) logits[token] = -Infinity;

  if (tokens.length === 0) {
    for (const token of config.suppressedFirst) logits[token] = -Infinity;
    logits.fill(-Infinity, 0, firstTimestamp);
    if (maxInitialTimestamp !== undefined) logits.fill(-Infinity, firstTimestamp + maxInitialTimestamp + 1);
    return;
  }
  const isTimestamp = (token: number | undefined) => token !== undefined && token >= firstTimestamp;
  const lastIs = isTimestamp(tokens.at(-1));
  const lastButOneIs = tokens.length < 2 || isTimestamp(tokens.at(-2));
  if (lastIs && lastButOneIs) {
    logits.fill(-Infinity, firstTimestamp); // a segment is open: text comes
  } else if (lastIs) {
    logits.fill(-Infinity, 0, endToken); // a segment has closed: another opens, or the end
  }
  const latest = tokens.findLast(isTimestamp);
  if (latest !== undefined) {
    // The next segment may open where the last closed; no segment may be of no length.
    const from = lastIs && !lastButOneIs ? latest : latest + 1;
    logits.fill(-Infinity, firstTimestamp, from);
  }
  if (timestampsOutweighText(logits, firstTimestamp)) logits.fill(-Infinity, 0, firstTimestamp);
}

/** Whether a timestamp, any of them, is more probable than the most probable text token. */
function timestampsOutweighText(logits: Float32Array, firstTimestamp: number): boolean {
  let text = -Infinity;
  for (let i = 0; i < firstTimestamp; i++) text = Math.max(text, logits[i] as number);
  let highest = -Infinity;
  for (let i = firstTimestamp; i < logits.length; i++) highest = Math.max(highest, logits[i] as number);
  if (highest === -Infinity) return false;
  let sum = 0;
  for (let i = firstTimestamp; i < logits.length; i++) sum += Math.exp((logits[i] as number) - highest);
  return highest + Math.log(sum) > text;
}

/** The most probable token and its log-probability among those still possible. */
export function pick(logits: Float32Array): { token: number; logprob: number } {
  let token = 0;
  for (let i = 1; i < logits.length; i++) if ((logits[i] as number) > (logits[token] as number)) token = i;
  const highest = logits[token] as number;
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp((logits[i] as number) - highest);
  return { token, logprob: -Math.log(sum) };
}

/** Probability of one token before any rule. */
export function probability(logits: Float32Array, token: number): number {
  let highest = -Infinity;
  for (const logit of logits) highest = Math.max(highest, logit);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - highest);
  return Math.exp((logits[token] as number) - highest) / sum;
}

/** Longest phrase that is looked for in a loop, and how often in a row it must come. Speech says "no, no, no", not forty of them. */
const longestLoop = 16;
const loopTurns = 6;

/** If text ends in one phrase said over and over (the decoder is stuck), how many tokens to drop so that it is said once; else 0. */
export function loopedTail(tokens: number[], firstTimestamp: number): number {
  const start = tokens.findLastIndex((token) => token >= firstTimestamp) + 1;
  const end = tokens.length;
  for (let period = 1; period <= longestLoop && period * loopTurns <= end - start; period++) {
    let same = 0;
    while (end - 1 - same - period >= start && tokens[end - 1 - same] === tokens[end - 1 - same - period]) same++;
    if (same >= period * (loopTurns - 1)) return same;
  }
  return 0;
}
