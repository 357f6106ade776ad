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

/** Cuts decoded tokens at their timestamps: each segment is opened by one and closed by the next. */
export function toSegments(
  { tokens, logprobs }: Decoded,
  { firstTimestamp, msPerTimestamp }: DecoderConfig,
  decodeText: (ids: number[]) => string,
): RawSegment[] {
  const segments: RawSegment[] = [];
  let startMs = 0;
  let ids: number[] = [];
  let sum = 0;
  const close = (endMs: number | undefined) => {
    if (ids.length > 0) segments.push({ startMs, endMs, text: decodeText(ids).trim(), avgLogprob: sum / ids.length });
    ids = [];
    sum = 0;
  };
  for (const [i, token] of tokens.entries()) {
    if (token < firstTimestamp) {
      ids.push(token);
      sum += logprobs[i] as number;
      continue;
    }
    const at = Math.round((token - firstTimestamp) * msPerTimestamp);
    close(at);
    startMs = at;
  }
  close(undefined);
  return segments;
}
