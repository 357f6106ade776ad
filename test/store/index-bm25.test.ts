import { describe, expect, it } from 'vitest';
import { termOf, terms } from '#store';
import { documentVector, queryVector } from '../../libs/store/bm25.ts';
import { queryTerms, wordsOf } from '../../libs/store/words.ts';

describe('Words of a text', () => {
  it('are lower case, without accents, function words and inflection', () => {
    expect(terms("The cats don't RUN past the Café’s naïve Übermenschen!")).toEqual([
      'cat',
      'run',
      'past',
      'cafe',
      'naiv',
      'ubermenschen',
    ]);
    expect(terms('')).toEqual([]);
    expect(terms('the of and 🎈 !?')).toEqual([]);
    expect(terms('x'.repeat(10_000))).toEqual([]);
  });

  it('are cut by a dictionary where there are no spaces', () => {
    expect(terms('今天天气很好')).toContain('天气');
    expect(terms('погода сегодня', 'uk')).toEqual(['погода', 'сегодня']);
  });

  it('are the same with marks of layout in them or without, and with letters that stand in for others', () => {
    expect(terms('Donau\u00addampf\u2060er \u200fمی\u200cخواهم', 'xx')).toEqual(['donaudampfer', 'میخواهم']);
    const typed = {
      oeuf: 'œuf',
      lodka: 'łódka',
      diyarbakir: 'Diyarbakır',
      dep: 'đẹp',
      strasse: 'Straße',
      smorrebrod: 'smørrebrød',
    };
    for (const [word, written] of Object.entries(typed)) expect(terms(written, 'xx')).toEqual([word]);
  });

  it('are kept where a function word is also what somebody may look for', () => {
    expect(terms("L'été, le son", 'fr')).toEqual(['ete', 'son']);
    expect(terms('не жизнь', 'ru')).toEqual(['жизн']);
  });

  it('are the same whether a text is all ASCII or not', () => {
    const ascii = Array.from({ length: 128 }, (_, code) => String.fromCharCode(code));
    for (const a of ascii)
      for (const b of ascii) {
        const text = `don${a}t x${b}9${a}${b}Z`;
        expect(wordsOf(text)).toEqual(wordsOf(`${text} é`).slice(0, -1));
      }
  });

  it('are stemmed as in steps 1 and 5a of Porter 1980', () => {
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
      conflated: 'conflat',
      troubled: 'troubl',
      sized: 'size',
      hopping: 'hop',
      falling: 'fall',
      hissing: 'hiss',
      filing: 'file',
      happy: 'happi',
      sky: 'sky',
      red: 'red',
    };
    for (const [word, wanted] of Object.entries(examples)) expect(termOf(word), word).toBe(wanted);
  });
});

describe('Words in a language', () => {
  const meets = (language: string, ...forms: string[]) =>
    new Set(forms.map((form) => termOf(form, language))).size === 1;

  it('meet their other forms by the rules of that language', () => {
    expect(meets('en', 'go', 'goes', 'went', 'gone')).toBe(true);
    expect(meets('en', 'child', 'children')).toBe(true);
    for (const forms of [
      ['arrive', 'arrives', 'arrived', 'arriving'],
      ['change', 'changed', 'changing'],
      ['use', 'uses', 'used', 'using'],
      ['add', 'adds', 'added'],
      ['box', 'boxes'],
      ['dish', 'dishes'],
      ['tomato', 'tomatoes'],
      ['movie', 'movies'],
      ['pie', 'pies'],
      ['leave', 'leaves', 'left'],
      ['lose', 'lost', 'losing'],
      ['buy', 'buys', 'bought'],
      ['say', 'says', 'said'],
    ])
      expect(meets('en', ...forms), forms.join()).toBe(true);
    for (const apart of [
      ['car', 'care'],
      ['plan', 'plane'],
      ['us', 'use'],
      ['universe', 'university'],
      ['star', 'stare'],
    ])
      expect(meets('en', ...apart), apart.join()).toBe(false);
    expect(meets('de', 'haus', 'häuser', 'hause')).toBe(true);
    expect(meets('fr', 'cheval', 'chevaux')).toBe(true);
    expect(meets('es', 'canción', 'canciones', 'cancion')).toBe(true);
    expect(meets('ru', 'лошадь', 'лошади', 'лошадью')).toBe(true);
    expect(meets('sv', 'häst', 'hästar', 'hästen')).toBe(true);
    expect(meets('tr', 'kitap', 'kitaplar')).toBe(true);
    // No rules: as written.
    expect(meets('ja', '家', '家')).toBe(true);
    expect(meets('xx', 'horse', 'horses')).toBe(false);
  });

  it('are left out where they say nothing in that language, and there only', () => {
    expect(terms('die Katze ist auf dem Dach', 'de')).toEqual(['katz', 'dach']);
    expect(terms('die hard', 'en')).toEqual(['die', 'hard']);
    expect(terms('el perro de la casa', 'es')).toEqual(['perr', 'cas']);
    expect(terms('de la verdad y del tiempo', 'es')).toHaveLength(2);
    expect(terms('¿Dónde, cuándo y cuánto?', 'es')).toEqual([]);
    expect(terms('Wer, wann und warum?', 'de')).toEqual([]);
  });

  it('of a query are looked for in each language, since nobody says which one it is in', () => {
    for (const [query, said, language] of [
      ['Pferde', 'ein Pferd im Stall', 'de'],
      ['chevaux', 'un cheval blanc', 'fr'],
      ['horses', 'a white horse', 'en'],
      ['horses', 'a white horse', undefined],
      ['天气', '今天天气很好', 'zh'],
    ] as const) {
      const held = new Set(terms(said, language));
      expect(
        queryTerms(query).some((term) => held.has(term)),
        query,
      ).toBe(true);
    }
    expect(queryTerms('Pferde', 'en')).toEqual(['pferd']);
    expect(queryTerms('my mother is 14', 'en')).toEqual(expect.arrayContaining(['mother', 'mum', '14', 'fourteen']));
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
    expect(query.values.every((value) => value === 1)).toBe(true);
    expect(new Set(query.indices).size).toBe(query.indices.length);
    expect(query.indices).toEqual(expect.arrayContaining(documentVector('the mountain weather').indices));
    expect(queryVector('weather in the mountains', 'en').indices.sort()).toEqual(
      documentVector('the mountain weather').indices.sort(),
    );
    for (const index of query.indices) expect(index === index >>> 0).toBe(true);
    expect(queryVector('the', 'en')).toEqual({ indices: [], values: [] });
  });
});
