import { describe, expect, it } from 'vitest';
import type { DecoderConfig } from '../../libs/models/whisper/config.ts';
import { believable, judge, remainder } from '../../libs/models/whisper/guards.ts';
import { promptTokens } from '../../libs/models/whisper/prompt.ts';
import { chooseNext, randomFrom } from '../../libs/models/whisper/rules.ts';
import { toSegments } from '../../libs/models/whisper/segments.ts';

// Ten text tokens, the end (10), a start token (11), then timestamps from 12 on, 20 ms apart.
const config: DecoderConfig = {
  layers: 0,
  heads: 0,
  headSize: 0,
  vocabulary: 20,
  maxTokens: 100,
  maxNewTokens: 50,
  startToken: 11,
  endToken: 10,
  previousToken: undefined,
  firstTimestamp: 12,
  maxInitialTimestamp: 3,
  msPerTimestamp: 20,
  tasks: { transcribe: 11, translate: undefined },
  languages: new Map(),
  noSpeechToken: 11,
  suppressed: [11],
  suppressedFirst: [10],
  thresholds: { noSpeech: 0.6, logprob: -1, compressionRatio: 2.4, temperatures: [0, 0.5] },
};
/** Tokens that may come next: each of them is the most probable one once. */
const allowed = (tokens: number[], logits = new Float32Array(20)) =>
  [...logits.keys()].filter((token) => {
    const others = logits.slice();
    others[token] = 60;
    return chooseNext(others, tokens, config).token === token;
  });
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
    expect(chooseNext(new Float32Array(20), [13, 1], config).token).toBe(14);
    expect(chooseNext(level(), [13, 1], config).token).toBe(0);
  });
  it('give the probability of what was chosen among what was possible', () => {
    const logits = Float32Array.from({ length: 20 }, () => -Infinity);
    logits.set([0, Math.log(3)]);
    logits[11] = 50; // suppressed
    const { token, logprob } = chooseNext(logits, [13], config);
    expect(token).toBe(1);
    expect(logprob).toBeCloseTo(Math.log(3 / 4), 6);
  });
  it('end a window in which nothing is possible, broken logits included', () => {
    expect(chooseNext(new Float32Array(20).fill(Number.NaN), [13], config).token).toBe(10);
  });
  it('draw at a temperature as often as probable, the same each time for the same seed', () => {
    const draws = (seed: number) => {
      const random = randomFrom(seed);
      return Array.from({ length: 2000 }, () => {
        const logits = Float32Array.from({ length: 20 }, () => -Infinity);
        logits.set([0, Math.log(3)]);
        return chooseNext(logits, [13], config, 0.5, random).token;
      });
    };
    // At temperature 0.5 three times as probable becomes nine times.
    const share = draws(1).filter((token) => token === 1).length / 2000;
    expect(share).toBeGreaterThan(0.88);
    expect(share).toBeLessThan(0.92);
    expect(draws(1)).toEqual(draws(1));
    expect(draws(1)).not.toEqual(draws(2));
  });
});

describe('what a window opens with', () => {
  const several: DecoderConfig = {
    ...config,
    previousToken: 9,
    languages: new Map([
      ['en', 5],
      ['de', 6],
    ]),
    tasks: { transcribe: 7, translate: 8 },
  };
  const options = { language: 'de', task: 'translate', prompt: [] } as const;
  it('is start, language and task, or the start alone for a model of one language', () => {
    expect(promptTokens({ decoder: several }, { ...options, prompt: [] })).toEqual([11, 6, 8]);
    expect(promptTokens({ decoder: config }, { language: undefined, task: 'transcribe', prompt: [] })).toEqual([11]);
  });
  it('is a prompt before that, of which the end is kept when it is too long', () => {
    expect(promptTokens({ decoder: several }, { ...options, prompt: [1, 2] })).toEqual([9, 1, 2, 11, 6, 8]);
    const long = Array.from({ length: 300 }, (_, i) => i);
    expect(promptTokens({ decoder: several }, { ...options, prompt: long })).toEqual([9, ...long.slice(-49), 11, 6, 8]);
  });
});

describe('segments', () => {
  const text = (ids: number[]) => ` ${ids.join(' ')}`;
  const cut = (tokens: number[], leastStepMs?: number) =>
    toSegments({ tokens, logprobs: tokens.map(() => 0) }, config, text, leastStepMs);
  it('are cut at the timestamps', () => {
    const decoded = { tokens: [12, 1, 2, 14, 15, 3, 19], logprobs: [0, -1, -3, 0, 0, -0.5, 0] };
    expect(toSegments(decoded, config, text)).toEqual({
      segments: [
        { startMs: 0, endMs: 40, text: '1 2', avgLogprob: -2 },
        { startMs: 60, endMs: 140, text: '3', avgLogprob: -0.5 },
      ],
      resumeMs: undefined,
    });
  });
  it('end at the last pair of timestamps, and decoding goes on from there', () => {
    expect(cut([12, 1, 14, 14])).toMatchObject({ segments: [{ text: '1' }], resumeMs: 40 });
    expect(cut([12, 1, 14, 15, 3, 4])).toMatchObject({ segments: [{ text: '1', endMs: 40 }], resumeMs: 40 });
  });
  it('are kept unfinished where nothing would be won by that', () => {
    const unfinished = { text: '3 4', startMs: 60, endMs: undefined };
    expect(cut([12, 1, 14, 15, 3, 4], 1000)).toMatchObject({ segments: [{ text: '1' }, unfinished] });
    expect(cut([12, 1, 14, 15, 3, 4], 1000).resumeMs).toBeUndefined();
    expect(cut([12, 3, 4])).toMatchObject({ segments: [{ text: '3 4', endMs: undefined }], resumeMs: undefined });
  });

  const window = { startMs: 1000, pcm: new Float32Array(5 * 16), speech: [{ startMs: 1000, endMs: 4000 }] };
  const said = (segment: object) =>
    believable(
      window,
      [{ startMs: 0, endMs: 2000, text: 'hello there', avgLogprob: -0.1, ...segment }],
      6000,
      config.thresholds,
    );
  it('end where speech ends when the decoder did not say, and never after the audio', () => {
    expect(said({ endMs: undefined })[0]?.endMs).toBe(4000);
    expect(said({ endMs: 29_000 })[0]?.endMs).toBe(6000);
  });
  it('are not believed over silence, or as one phrase over and over', () => {
    expect(said({})).toHaveLength(1);
    expect(said({ startMs: 3500, endMs: 4500 })).toEqual([]);
    expect(said({ text: 'thank you for watching '.repeat(20) })).toEqual([]);
  });
  it('are looked for again where speech goes on well after the last one', () => {
    const speech = [
      { startMs: 1000, endMs: 3000 },
      { startMs: 4000, endMs: 5500 },
    ];
    const long = { startMs: 1000, pcm: Float32Array.from({ length: 5000 }, (_, i) => i), speech };
    expect(remainder(long, 3100, 1000)).toEqual({
      startMs: 3800,
      pcm: long.pcm.subarray(2800),
      speech: [{ startMs: 4000, endMs: 5500 }],
    });
    expect(remainder(long, 5000, 1000)).toBeUndefined();
  });
});

describe('a whole window', () => {
  const judged = (scores: object) =>
    judge({ text: 'hello there', avgLogprob: -0.2, noSpeech: 0, ...scores }, config.thresholds);
  it('is silent when the model hears no speech and is not sure of its words', () => {
    expect(judged({ noSpeech: 0.9, avgLogprob: -1.1 })).toBe('silent');
    expect(judged({ noSpeech: 0.9 })).toBe('good');
  });
  it('is decoded again when it is unsure or says one thing over and over', () => {
    expect(judged({})).toBe('good');
    expect(judged({ avgLogprob: -1.1 })).toBe('doubtful');
    expect(judged({ text: 'thank you for watching '.repeat(20) })).toBe('doubtful');
  });
});
