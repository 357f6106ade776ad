import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Heard, heard } from '../fixtures/heard.ts';

/** As people speak: questions and replies, and "she" for who was named a sentence before. */
const SAID = {
  'Standup Monday': [
    'Ines: the index took four minutes.',
    'Who was driving the forklift when the shelf fell?',
    'Keeler: that was Luis Ferreira.',
    'Can I just ask, when will the harbour lights be mended, they are dark.',
    'The contractor says the end of April.',
    "Take the galangal, not ginger, it's not the same.",
    "I'm showing you exhibit fourteen.",
    "Most of them didn't find the export button.",
    'Paul mended the refrigerator of my mum.',
  ],
  'Standup Thursday': [
    'Bed six is Mrs Fitzgerald, she is confused tonight.',
    'She fell on Saturday, but nothing is broken.',
    'The large painting shows the fire of the harbour.',
    "It's by Anselm Verhoeven, who lived across the road.",
    'the lifeboat saved many sailors in forty years',
  ],
};

let library: Heard;
beforeAll(async () => {
  library = await heard(SAID, 5_000);
});
afterAll(() => library[Symbol.asyncDispose]());
const answer: Heard['answer'] = (...asked) => library.answer(...asked);

describe('An answer is told with', () => {
  it.each([
    ['the reply to a question', 'Who was driving the forklift?', /fell\? Keeler: that was Luis Ferreira\.” \[1\]\.$/],
    [
      'the reply to one within a sentence',
      'When will the harbour lights be mended?',
      /dark\. The contractor .*April\.”/,
    ],
    [
      'the sentence before, that names who "she" is',
      'Who fell on Saturday?',
      /“Bed six is Mrs Fitzgerald, .* She fell /,
    ],
    [
      'both where neither says all',
      'Who is confused and fell on Saturday?',
      /“Bed six is Mrs Fitzgerald, .* She fell /,
    ],
    ['the next one, that names who is asked for', 'Who painted the fire?', /harbour\. It's by Anselm Verhoeven,/],
  ])('%s', async (_, question, told) => {
    const given = await answer(question);
    expect(given).toMatchObject({ found: true, answer: expect.stringMatching(told) });
    const [moment] = given.moments;
    for (const { atMs, endMs } of moment?.evidence ?? [])
      expect(atMs >= (moment?.startMs ?? 0) && endMs <= (moment?.endMs ?? 0)).toBe(true);
  });

  it('nothing more where it is whole', async () => {
    expect((await answer('Which index took minutes?')).answer).toMatch(
      /: “Ines: the index took four minutes\.” \[1\]\.$/,
    );
  });
});

describe('Of the words of a question', () => {
  it.each([
    ['those that say little are not missed', 'can I use ginger instead of galangal', 'galangal'],
    ['a number is said in words or written in digits', "what's exhibit 14", 'fourteen'],
    ['another word for the same will do', 'Who repaired the fridge for my mother?', 'mum'],
    ['"n\'t" is no word', "who couldn't find the export button", 'export'],
  ])('%s', async (_, question, told) => {
    expect(await answer(question)).toMatchObject({ found: true, answer: expect.stringContaining(told) });
  });
});

it('What has half of what is asked for is told as what comes nearest, and is no answer', async () => {
  const given = await answer('How many sailors did the lifeboat carry?');
  expect(given).toMatchObject({
    ...{ found: false, citations: [{ moment: { videoId: library.idOf('Standup Thursday'), startMs: 20_000 } }] },
    answer: expect.stringMatching(/Nobody says “carry”\. What comes nearest is said at 0:20 in .* \[\d\]\.$/),
  });
  expect(await answer('What did the referee say of the penalty?')).toMatchObject({ found: false, citations: [] });
});

it('A colour or an amount that no sentence names is not there', async () => {
  expect((await answer('What colour is the forklift?')).found).toBe(false);
  expect((await answer('How much is the galangal?')).found).toBe(false);
});

it('Videos that are called alike are compared by what each says', async () => {
  const { answer: given } = await answer('Compare the two standups');
  for (const title of Object.keys(SAID)) expect(given).toContain(`Said in "${title}"`);
});
