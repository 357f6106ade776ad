import { describe, expect, it } from 'vitest';
// Not public: how a query is read decides everything after it, and has more cases than a search can show.
import { promptsOf } from '../../libs/retrieval/prompts.ts';
import { highlights, readQuery } from '../../libs/retrieval/query.ts';

describe('A query', () => {
  it('leans to speech where it asks for something said, to pictures where it asks for something seen', () => {
    const lean = (text: string) => {
      const { frames, passages } = readQuery(text).weights;
      return Math.sign(passages - frames);
    };
    expect(['she mentions the budget', 'they talk about soup', '"mind the gap"', 'who says hello'].map(lean)).toEqual([
      1, 1, 1, 1,
    ]);
    expect(['a photo of a cat', 'what colour is the car', 'he is wearing a hat'].map(lean)).toEqual([-1, -1, -1]);
    expect(['a red car', 'the third chapter', 'what does the picture say'].map(lean)).toEqual([0, 0, 0]);
  });

  it('may begin with a way to ask, which is not looked for and points at nothing', () => {
    for (const text of [
      ...['Show me the old train', 'find me the old train', 'find the old train', 'Can you take me to the old train'],
      ...['search for the old train', 'Tell me more about the old train', 'find the words the old train'],
      ...["I'm looking for the old train", 'jump to the old train', 'At what point the old train'],
    ]) {
      const { seen, said, weights } = readQuery(text);
      expect({ seen, said, weights }).toEqual({
        ...{ seen: 'the old train', said: 'the old train' },
        weights: { frames: 1, passages: 1 },
      });
    }
    expect(readQuery('"show me the money"').phrases).toEqual(['show me the money']);
    expect(readQuery('show me').seen).toBe('show me');
    expect(readQuery('know your enemy').seen).toBe('know your enemy');
    expect(readQuery('find -people')).toMatchObject({ seen: 'find', without: ['people'] });
  });

  it('may ask what kind of thing is said, which is not missed where the thing itself is', () => {
    expect(readQuery('Which day is it sunny?').kinds).toEqual([{ kind: 'time', words: ['day'] }]);
    expect(readQuery('what colour is the door').kinds).toEqual([{ kind: 'colour', words: ['colour'] }]);
    expect(readQuery('which city has the most bridges').optional).toEqual(['city']);
    expect(readQuery('what animal').optional).toEqual([]);
    expect(readQuery('which car is red').optional).toEqual([]);
  });

  it('splits two things at once into what is seen and what is said', () => {
    expect(readQuery('a red car while they count to twelve')).toMatchObject({
      seen: 'a red car',
      said: 'they count to twelve',
      isTwofold: true,
    });
    expect(readQuery('she talks about soup as a cat walks by')).toMatchObject({
      seen: 'a cat walks by',
      said: 'she talks about soup',
    });
    // Both halves may be seen: the whole is asked of both.
    expect(readQuery('a rainbow while it rains')).toMatchObject({ seen: 'a rainbow while it rains', isTwofold: true });
    expect(readQuery('what happens on monday when we talk about music').isTwofold).toBe(false);
    expect(readQuery('when does the cat appear').isTwofold).toBe(false);
  });

  it('leaves out what follows a minus, and knows a minus from a hyphen', () => {
    expect(readQuery('a beach -people -"red umbrella"')).toMatchObject({
      seen: 'a beach',
      without: ['people', 'red umbrella'],
    });
    expect(readQuery('an e-mail, 5 - 3 and -7').without).toEqual([]);
    expect(readQuery('-people')).toMatchObject({ seen: '', without: ['people'] });
    for (const minus of ['-', '−', '－']) {
      const query = `a beach ${minus}people ${minus}“red umbrella” ${minus}„zwei Boote“`;
      expect(readQuery(query)).toMatchObject({ seen: 'a beach', without: ['people', 'red umbrella', 'zwei Boote'] });
    }
    // In quotes nothing is an order.
    expect(readQuery('"five -nought" „zwei Boote“ -rain')).toMatchObject({
      phrases: ['five -nought', 'zwei Boote'],
      without: ['rain'],
    });
  });

  it('asks for nothing without a letter, a number or an emoji', () => {
    for (const text of ['!?', '"-"', '- -', '\u0000', '\u200b', '$%&']) expect(readQuery(text).seen).toBe('');
    for (const text of ['🎈', '🇩🇪', '7', 'ß', 'שלום', '车', '❤']) expect(readQuery(text).seen).toBe(text);
    expect(readQuery('?! while they say hello')).toMatchObject({ seen: '?! while they say hello', isTwofold: false });
  });

  it('takes any text there is', () => {
    for (const text of [
      '',
      ' ',
      '-',
      '"',
      '""',
      '"-"',
      '🎈🎈',
      '-🎈',
      '\u0000',
      '\ud800',
      'ß'.repeat(1000),
      "' OR 1=1 --",
    ]) {
      expect(() => readQuery(text)).not.toThrow();
    }
  });
});

describe('Words of the query', () => {
  it('are marked in a text by their stems, in places that a client can cut out', () => {
    const text = 'Über Cafés: the doctors’ trains, a train!';
    const marked = highlights(text, ['train', 'café', 'doctors']).map(([from, to]) => text.slice(from, to));
    expect(marked).toEqual(['Cafés', 'doctors', 'trains', 'train']);
    expect(highlights('nothing here', ['train'])).toEqual([]);
  });
});

describe('Prompts', () => {
  const clip = { logitScale: 100 };
  it('put a short noun into the sentences of captions', () => {
    expect(promptsOf('a red car', clip)).toContain('a photo of a red car.');
    expect(promptsOf('dogs', clip).length).toBeGreaterThan(1);
  });
  it('leave alone what is a sentence already, and models that were not trained on captions', () => {
    for (const text of ['when does it rain', 'a photo of a cat', 'a man walks into a bar', 'cats, dogs'])
      expect(promptsOf(text, clip)).toEqual([text]);
    expect(promptsOf('a red car', { logitScale: 22 })).toEqual(['a red car']);
  });
});
