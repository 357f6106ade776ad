import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readQuestion } from '#retrieval';
import { type Heard, heard } from '../fixtures/heard.ts';

/** Questions as people ask them, of a small library that is only heard. */
const SAID = {
  Bread: [
    'today we bake bread',
    'add the salt to the flour',
    'the bees in my garden like thyme',
    'my bread needs salt',
  ],
  Bees: ['Bees visit many flowers', 'an earthquake woke me up', 'a bowl of beer keeps slugs away'],
  Rock: [
    'It rained all day',
    'The Who smashed their guitars',
    'we went to see It in the evening',
    'The band Them is from Belfast',
  ],
};

let library: Heard;
beforeAll(async () => {
  library = await heard(SAID, 60_000);
});
afterAll(() => library[Symbol.asyncDispose]());
const answer: Heard['answer'] = (...asked) => library.answer(...asked);
/** Answers of questions that follow each other. */
async function conversation(...questions: string[]) {
  const answers: Awaited<ReturnType<typeof answer>>[] = [];
  for (const question of questions)
    answers.push(
      await answer(
        question,
        answers.map(({ turn }) => turn),
      ),
    );
  return answers;
}

describe('Videos that lack something', () => {
  it.each([
    ['Which videos do not mention bees?', 'list', 'bees', ['passages']],
    ["which videos don't show a red car", 'list', 'red car', ['frames']],
    ['videos without tomatoes', 'list', 'tomatoes'],
    ['How many videos never talk about the weather?', 'count', 'weather', ['passages']],
    ['Are there any recordings with no people?', 'list', 'people'],
    ['Which of them does not have a dog', 'list', 'dog'],
  ])('are what “%s” asks for', (question, kind, without, modalities?: string[]) => {
    expect(readQuestion(question)).toEqual({
      ...{ kind, unit: 'videos', topic: '', without },
      ...(modalities && { modalities }),
    });
  });

  it.each(['Which videos have no sound?', 'Which videos are not in English?', "which ones don't mention it"])(
    'are not what “%s” asks for',
    (question) => expect(readQuestion(question).without).toBeUndefined(),
  );

  it('are named, each cited as a whole; where all have it, or none, the answer says so', async () => {
    const given = await answer('Which videos do not mention bees?');
    expect(given).toMatchObject({
      ...{ found: true, answer: '“bees” is not said in 1 video: "Rock" [1].' },
      citations: [{ n: 1, moment: { videoId: library.idOf('Rock'), startMs: 0, endMs: 300_000 } }],
    });
    expect((await answer('videos without whales')).answer).toBe(
      'Nothing of “whales” was found in 3 videos: "Bread" [1], "Bees" [2] and "Rock" [3].',
    );
    const [, none] = await conversation('Which videos mention bread?', "What videos don't mention it?");
    expect(none?.answer).toBe('“bread” is not said in 2 videos: "Bees" [1] and "Rock" [2].');
  });
});

describe('A question that follows', () => {
  it('may be of one of the videos that were cited, of the others, or of all of them', async () => {
    const [first, second, other, compared] = await conversation(
      'Which videos mention bees?',
      'And in the second one?',
      'And the other one?',
      'What is said about salt in the other videos?',
    );
    const [one, two] = new Set(first?.moments.map(({ videoId }) => videoId));
    expect(second?.moments.map(({ videoId }) => videoId)).toEqual([two]);
    expect(other?.moments.map(({ videoId }) => videoId)).toEqual([one]);
    expect(compared?.moments.map(({ videoId }) => videoId).filter((id) => id === one)).toEqual([]);
    const [, nowhere] = await conversation('When is the earthquake mentioned?', 'And in the other videos?');
    expect(nowhere).toMatchObject({ found: false, moments: [] });
    const [, both] = await conversation('Which videos mention bees?', 'compare them');
    expect(new Set(both?.moments.map(({ videoId }) => library.titleOf(videoId)))).toEqual(new Set(['Bread', 'Bees']));
    expect(both?.answer).not.toContain('Rock');
  });

  it('for what else is there is answered with what is said around it', async () => {
    const [, around] = await conversation('When is the earthquake mentioned?', 'What else is said there?');
    expect(around?.turn.read.stretch).toEqual({ startMs: 30_000, endMs: 93_000 });
    const [, again] = await conversation('When is salt added?', 'What else do they say about salt?');
    expect(again?.answer).toMatch(/^Found in 2 places/);
  });
});

describe('A name of function words', () => {
  it.each([
    ['When do they mention The Who?', ['The Who smashed their guitars']],
    ['Which videos mention The Who?', ['The Who smashed their guitars']],
    ['When is “It” mentioned?', ['we went to see It in the evening']],
    ['Where is the band Them from?', ['The band Them is from Belfast']],
  ])('is found as it is written: %s', async (question, said) => {
    const given = await answer(question);
    expect(given.citations.flatMap(({ moment }) => moment.evidence.map(({ text }) => text))).toEqual(said);
  });

  it('is none where it begins a question, or nobody says it so', async () => {
    expect((await answer('It rained')).answer).toContain('“It rained all day”');
    expect((await answer('Did Them and It tour?')).found).toBe(false);
  });
});

describe('A word that nobody says', () => {
  it('is taken for the one that is nearly spelt so, and the answer says that', async () => {
    expect((await answer('When do they mention the erathquake?')).answer).toMatch(
      /“an earthquake woke me up” \[1\]\. Nobody says “erathquake”: I took it for “earthquake”\.$/,
    );
    expect((await answer('How often are slgus mentioned?')).answer).toMatch(/^Found 1 time /);
    // Two letters of so short a word, or a number, are another one.
    expect((await answer('when do they mention slhgz')).found).toBe(false);
  });

  it('is named where others of the question are said', async () => {
    expect((await answer('Who keeps whales in the garden?')).answer).toBe(
      'I found nothing in these videos that answers this. Nobody says “whales”.',
    );
    expect((await answer('Who keeps whales?')).answer).toMatch(/Nobody says “whales”\.$/);
    expect((await answer('Is a whale mentioned?')).answer).toBe('I found nothing in these videos that answers this.');
  });
});
