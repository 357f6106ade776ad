import { describe, expect, it } from 'vitest';
import { terms } from '#store';
import { documentVector, queryVector, stem } from '../../libs/store/bm25.ts';

describe('Words of a text', () => {
  it('are lower case, without accents, function words and inflection', () => {
    expect(terms("The cats don't RUN past the Café’s naïve Übermenschen!")).toEqual([
      'cat',
      'run',
      'past',
      'cafe',
      'naive',
      'ubermenschen',
    ]);
    expect(terms('')).toEqual([]);
    expect(terms('the of and 🎈 !?')).toEqual([]);
    expect(terms('x'.repeat(10_000))).toEqual([]);
  });

  it('are cut by a dictionary where there are no spaces', () => {
    expect(terms('今天天气很好')).toContain('天气');
    expect(terms('погода сегодня')).toEqual(['погода', 'сегодня']);
  });

  it('are stemmed as in step 1 of Porter 1980', () => {
    const examples: Record<string, string> = {
      caresses: 'caress',
      ponies: 'poni',
      cats: 'cat',
      feed: 'feed',
      agreed: 'agree',
      plastered: 'plaster',
      bled: 'bled',
      motoring: 'motor',
      sing: 'sing',
      conflated: 'conflate',
      troubled: 'trouble',
      sized: 'size',
      hopping: 'hop',
      falling: 'fall',
      hissing: 'hiss',
      filing: 'file',
      happy: 'happi',
      sky: 'sky',
      red: 'red',
    };
    for (const [word, wanted] of Object.entries(examples)) expect(stem(word), word).toBe(wanted);
  });
});

describe('The sparse vector of a passage', () => {
  it('weighs a word as BM25 does: more for repetition, less for length', () => {
    const [weight] = documentVector('weather').values as [number];
    // tf = 1, length 1, average 12: 2.2 / (1 + 1.2 * (0.25 + 0.75 / 12))
    expect(weight).toBeCloseTo(2.2 / 1.375, 6);
    expect(documentVector('weather weather').values[0]).toBeGreaterThan(weight);
    expect(documentVector('weather over mountain, sea and river').values[0]).toBeLessThan(weight);
  });

  it('shares indices with the query, each once, all of them 32-bit', () => {
    const query = queryVector('weather, weather in the mountains');
    expect(query.values).toEqual([1, 1]);
    expect(documentVector('the mountain weather').indices.sort()).toEqual([...query.indices].sort());
    for (const index of query.indices) expect(index === index >>> 0).toBe(true);
    expect(queryVector('the')).toEqual({ indices: [], values: [] });
  });
});
