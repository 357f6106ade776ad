import type { DecoderConfig } from './config.ts';
import type { Decoded } from './decoder.ts';

/** Text between two timestamps of one window, in milliseconds from its start. */
export interface RawSegment {
  startMs: number;
  /** Missing where the decoder ended without a closing timestamp. */
  endMs: number | undefined;
  text: string;
  avgLogprob: number;
}
export interface RawSegments {
  segments: RawSegment[];
  /** Where decoding has to go on, if it stopped before the window's end. */
  resumeMs: number | undefined;
}

/**
 * Cuts decoded tokens at their timestamps: each segment is opened by one and closed by the next. As in openai/whisper transcribe.py, text
 * after the last pair of timestamps is given up and decoded again from there, for it may have been cut off; a single timestamp at the end
 * says that nothing follows; and without any pair all text is one segment. `leastStepMs`: how far that must bring us, or the text is kept.
 */
export function toSegments(
  { tokens, logprobs }: Pick<Decoded, 'tokens' | 'logprobs'>,
  { firstTimestamp, msPerTimestamp }: DecoderConfig,
  decodeText: (ids: number[]) => string,
  leastStepMs = 0,
): RawSegments {
  const segments: RawSegment[] = [];
  let startMs = 0;
  let ids: number[] = [];
  let sum = 0;
  const close = (endMs: number | undefined) => {
    if (ids.length > 0) segments.push({ startMs, endMs, text: decodeText(ids).trim(), avgLogprob: sum / ids.length });
    ids = [];
    sum = 0;
  };
  const toMs = (token: number) => Math.round((token - firstTimestamp) * msPerTimestamp);
  let pairMs: number | undefined;
  for (const [i, token] of tokens.entries()) {
    if (token < firstTimestamp) {
      ids.push(token);
      sum += logprobs[i] as number;
      continue;
    }
    const before = tokens[i - 1];
    if (before !== undefined && before >= firstTimestamp) pairMs = toMs(before);
    const at = toMs(token);
    close(at);
    startMs = at;
  }
  const last = tokens.length - 1;
  const saysNoMore =
    last > 0 && (tokens[last] as number) >= firstTimestamp && (tokens[last - 1] as number) < firstTimestamp;
  const resumeMs = saysNoMore || pairMs === undefined || pairMs < leastStepMs ? undefined : pairMs;
  if (resumeMs === undefined) close(undefined);
  return { segments, resumeMs };
}
