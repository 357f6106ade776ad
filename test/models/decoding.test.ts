import { describe, expect, it } from 'vitest';
import type { DecoderConfig } from '../../libs/models/whisper/config.ts';
import { believable } from '../../libs/models/whisper/guards.ts';
import { applyRules, loopedTail, pick } from '../../libs/models/whisper/rules.ts';
import { toSegments } from '../../libs/models/whisper/segments.ts';

// Ten text tokens, the end (10), a task token (11), then timestamps from 12 on, 20 ms apart.
const config: DecoderConfig = {
  layers: 0,
  heads: 0,
  headSize: 0,
  maxTokens: 100,
  startToken: 11,
  endToken: 10,
  firstTimestamp: 12,
  maxInitialTimestamp: 3,
  msPerTimestamp: 20,
  transcribeToken: 11,
  languages: new Map(),
  noSpeechToken: undefined,
  suppressed: [11],
  suppressedFirst: [10],
};
const allowed = (tokens: number[], logits = new Float32Array(20)) => {
  applyRules(logits, tokens, config);
  return [...logits.keys()].filter((token) => logits[token] !== -Infinity);
};
/** All tokens as probable as each other, text so much more that timestamps do not outweigh it. */
const level = () => Float32Array.from({ length: 20 }, (_, token) => (token < 12 ? 5 : 0));

describe('the rules of decoding', () => {
  it('open a window with a timestamp, no later than the model says', () => {
    expect(allowed([])).toEqual([12, 13, 14, 15]);
  });
  it('have text after an opening timestamp', () => {
    expect(allowed([13], level())).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });
  it('close a segment later than it opened', () => {
    expect(allowed([13, 1], level()).filter((token) => token >= 12)).toEqual([14, 15, 16, 17, 18, 19]);
  });
  it('have the next segment or the end after a closing timestamp, and time does not go back', () => {
    expect(allowed([13, 1, 16], level())).toEqual([10, 16, 17, 18, 19]);
  });
  it('choose a timestamp when all of them together outweigh every word', () => {
    expect(allowed([13, 1])).toEqual([14, 15, 16, 17, 18, 19]);
  });
  it('give the probability of what was chosen', () => {
    const { token, logprob } = pick(Float32Array.from([0, Math.log(3), -Infinity]));
    expect(token).toBe(1);
    expect(logprob).toBeCloseTo(Math.log(3 / 4), 6);
  });
});

describe('a decoder that is stuck', () => {
  it('is stopped, and what it says over and over is kept once', () => {
    const tokens = [12, 5, ...Array(6).fill([1, 2, 3]).flat()];
    expect(tokens.slice(0, tokens.length - loopedTail(tokens, 12))).toEqual([12, 5, 1, 2, 3]);
  });
  it('is not seen in what people do repeat, nor across segments', () => {
    expect(loopedTail([12, 1, 1, 1, 1, 1], 12)).toBe(0);
    expect(loopedTail(Array(10).fill([12, 1, 2, 13]).flat(), 12)).toBe(0);
  });
});

describe('segments', () => {
  const text = (ids: number[]) => ` ${ids.join(' ')}`;
  it('are cut at the timestamps', () => {
    const decoded = { tokens: [12, 1, 2, 14, 15, 3, 19], logprobs: [0, -1, -3, 0, 0, -0.5, 0], noSpeech: 0 };
    expect(toSegments(decoded, config, text)).toEqual([
      { startMs: 0, endMs: 40, text: '1 2', avgLogprob: -2 },
      { startMs: 60, endMs: 140, text: '3', avgLogprob: -0.5 },
    ]);
  });

  const window = { startMs: 1000, pcm: new Float32Array(0), speech: [{ startMs: 1000, endMs: 4000 }] };
  const said = (segment: object, noSpeech = 0) =>
    believable(
      window,
      { segments: [{ startMs: 0, endMs: 2000, text: 'hello there', avgLogprob: -0.1, ...segment }], noSpeech },
      6000,
    );
  it('end where speech ends when the decoder did not say, and never after the audio', () => {
    expect(said({ endMs: undefined })[0]?.endMs).toBe(4000);
    expect(said({ endMs: 29_000 })[0]?.endMs).toBe(6000);
  });
  it('are not believed over silence, without confidence, or as one phrase over and over', () => {
    expect(said({})).toHaveLength(1);
    expect(said({ startMs: 3500, endMs: 4500 })).toEqual([]);
    expect(said({ avgLogprob: -1.5 }, 0.9)).toEqual([]);
    expect(said({ avgLogprob: -1.5 }, 0.1)).toHaveLength(1);
    expect(said({ text: 'thank you for watching '.repeat(20) })).toEqual([]);
  });
});
