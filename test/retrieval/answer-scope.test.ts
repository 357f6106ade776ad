import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type AnswerSources,
  ask,
  everyPlace,
  readQuestion,
  resolve,
  type Scene,
  scenesOf,
  search,
  Titles,
  type Turn,
} from '#retrieval';
import { frameId, openVectorIndex, passageId, type VectorIndex } from '#store';

describe('A question of a part of a video', () => {
  it.each([
    ['What happens between 1:00 and 2:00?', { startMs: 60_000, endMs: 120_000 }],
    ['what happens between one and two minutes in', { startMs: 60_000, endMs: 120_000 }],
    ['what is said from minute 1 to 2', { startMs: 60_000, endMs: 120_000 }],
    ['1:00–1:02:03', { startMs: 60_000, endMs: 3_723_000 }],
    ['What is said in the first minute?', { startMs: 0, endMs: 60_000 }],
    ['Summarise the last half minute', { lastMs: 30_000 }],
    ['what is shown in the last two minutes of the video', { lastMs: 120_000 }],
    ['What happens in the third minute?', { startMs: 120_000, endMs: 180_000 }],
    ['What is said from 0:30 on?', { startMs: 30_000 }],
    ['What happens at the end of the film?', { lastMs: 30_000 }],
    ['How does it end?', { lastMs: 30_000 }],
    ['how does the video start', { startMs: 0, endMs: 30_000 }],
    ['Summarise the first half', { share: { from: 0, to: 0.5, name: 'first half' } }],
    ['what is said in the last third of the video', { share: { from: 1 - 1 / 3, to: 1, name: 'last third' } }],
    ['What happens in the second quarter?', { share: { from: 0.25, to: 0.5, name: 'second quarter' } }],
    ['What is said halfway through the video?', { share: { from: 1 / 3, to: 2 / 3, name: 'middle' } }],
    ['What is shown in the middle?', { share: { from: 1 / 3, to: 2 / 3, name: 'middle' } }],
    ['summarize the last 20%', { share: { from: 0.8, to: 1, name: 'last 20%' } }],
  ])('“%s” asks for all that is there', (question, stretch) => {
    expect(readQuestion(question)).toMatchObject({ kind: 'summary', topic: '', stretch });
  });

  it.each([
    ['How often is the weather mentioned in the first minute?', 'count', 'weather', { startMs: 0, endMs: 60_000 }],
    ['When does a car first appear after 0:30?', 'order', 'car', { startMs: 30_000 }],
    ['Is a car visible at 0:12?', 'list', 'car', { startMs: 12_000, endMs: 13_000 }],
    ['What colour is the shape at 0:12?', 'clock', 'What colour is the shape?', undefined],
    ['Is a car shown before 1:00?', 'list', 'car', { startMs: 0, endMs: 60_000 }],
    ['Does anybody mention rain in the first hour?', 'list', 'rain', { startMs: 0, endMs: 3_600_000 }],
    ['What is the last thing said about rain after 1:00?', 'order', 'rain', { startMs: 60_000 }],
    ['When is it louder, in the first minute or the last minute?', 'needle', undefined, undefined],
    [
      'How often is rain mentioned in the second half?',
      'count',
      'rain',
      { share: { from: 0.5, to: 1, name: 'second half' } },
    ],
    ['Is there a car at 0:12?', 'list', 'car', { startMs: 12_000, endMs: 13_000 }],
    ['How much did they sell in the third quarter?', 'needle', undefined, undefined],
    ['Who wins at the end?', 'needle', undefined, undefined],
    ['What is the last scene?', 'order', '', undefined],
    ['Who cheers in the first minute after the goal?', 'needle', undefined, undefined],
    ['What happens after the first minute?', 'summary', '', { startMs: 60_000 }],
    ['Who arrives between 8:15 and 9:00 am?', 'needle', undefined, undefined],
    ['When does the bus leave between 3 and 4 streets?', 'needle', undefined, undefined],
  ])('“%s” asks for something there, or for something else', (question, kind, topic, stretch) => {
    expect(readQuestion(question)).toMatchObject({ kind, topic: topic ?? question });
    expect(readQuestion(question).stretch).toEqual(stretch);
  });

  it.each([
    ['What is How steam engines work about?', 'summary', ['How steam engines work']],
    ['Summarise the lecture on steam.', 'summary', ['steam']],
    ['In the lecture on steam, when is a boiler shown?', 'needle', ['steam']],
    ['How often is a boiler mentioned in “Steam engines”?', 'count', ['Steam engines']],
    ['Compare “Steam” and the film about boats', 'comparison', ['Steam', 'boats']],
    ['What is said in Steam engines?', 'summary', ['Steam engines']],
    ['In Steam engines, is a boiler shown?', 'needle', ['Steam engines']],
    ['What do “Steam” and boats have in common?', 'comparison', ['Steam', 'boats']],
    ['Summarise the first half of Steam engines', 'summary', ['Steam engines']],
    ['How often is a boiler shown in the last two minutes of the lecture on steam?', 'count', ['steam']],
    ['Who scores in the second half of the match?', 'needle', ['match']],
    ['Summarise the first half of this video', 'summary', undefined],
    ['Summarise this video', 'summary', undefined],
    ['Describe the lecture', 'needle', undefined],
    ['What is it about?', 'needle', undefined],
  ])('“%s” names its videos, or none', (question, kind, names) => {
    expect(readQuestion(question).kind).toBe(kind);
    expect(readQuestion(question).names).toEqual(names);
  });

  it('is asked again of another part', () => {
    const before: Turn = {
      question: 'How often is a boiler mentioned?',
      read: readQuestion('How often is a boiler mentioned?'),
      answer: '',
      at: { videoId: 'v', startMs: 0, endMs: 1000 },
    };
    expect(resolve('What about the first minute?', before).question).toMatchObject({
      ...{ kind: 'count', topic: 'boiler', stretch: { startMs: 0, endMs: 60_000 } },
    });
    expect(resolve('What is said in the first minute?', before)).toMatchObject({
      ...{ question: { kind: 'summary' }, anchor: before.at },
    });
  });
});

/** An axis for each thing that a picture can show. */
const THINGS = ['car', 'house', 'blank', 'nothing'];
const encoder = {
  ...{ id: 'test/things', dimension: THINGS.length, logitScale: 20 },
  encodeTexts: async (texts: string[]) => texts.map(vectorOf),
};
function vectorOf(text: string): Float32Array {
  const at = THINGS.findIndex((thing) => text.includes(thing));
  return Float32Array.from(THINGS, (_, i) => (i === (at < 0 ? 3 : at) ? 1 : 0));
}
const [STEAM, BOATS, COMING] = ['a', 'b', 'c'].map((last) => `0190a000-0000-7000-8000-00000000000${last}`) as [
  string,
  string,
  string,
];
const NAMES: Record<string, string> = {
  [STEAM]: 'How steam engines work',
  [BOATS]: 'Boats [1] obey the pirate',
  [COMING]: 'Volcanoes tomorrow',
};
/** 300 s of steam: a car in view from 60 to 90 s, a house from 100 to 140 s and 200 to 220 s; a boiler mentioned each 50 s. 40 s of boats. */
const LENGTHS: Record<string, number> = { [STEAM]: 300_000, [BOATS]: 40_000 };

const shownAt = (sec: number): string =>
  sec >= 60 && sec < 90 ? 'car' : (sec >= 100 && sec < 140) || (sec >= 200 && sec < 220) ? 'house' : 'blank';

let dir: string;
let index: VectorIndex;
const titles = new Titles();
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'cuepoint-scope-'));
  index = await openVectorIndex({ lanceDir: dir });
  for (const [id, durationMs] of Object.entries(LENGTHS))
    titles.add([{ id, title: NAMES[id] as string, metadata: ['winter term'], durationMs }]);
  const passage = (videoId: string, atSec: number, text: string) => ({
    ...{ id: passageId(videoId, atSec * 1000), tenant: 't', videoId, text, language: 'en' },
    ...{ startMs: atSec * 1000, endMs: atSec * 1000 + 4000 },
  });
  await index.upsertPassages([
    ...[10, 58, 110, 160, 210, 260].map((at) => passage(STEAM, at, `the boiler at ${at}`)),
    passage(STEAM, 290, 'goodbye'),
    passage(BOATS, 5, 'a boiler in a boat'),
    passage(BOATS, 35, 'ahoy'),
  ]);
  const frames = Object.entries(LENGTHS).flatMap(([videoId, ms]) =>
    Array.from({ length: ms / 1000 }, (_, i) => ({
      ...{ id: frameId(videoId, i * 1000), tenant: 't', videoId, startMs: i * 1000, endMs: (i + 1) * 1000 },
      vector: vectorOf(videoId === STEAM ? shownAt(i) : 'blank'),
    })),
  );
  await index.upsertFrames(encoder, frames);
}, 60_000);
afterAll(async () => {
  await index?.close();
  await rm(dir, { recursive: true, force: true });
});

async function answer(question: string, options: { videoIds?: string[]; history?: Turn[] } = {}) {
  const deps = { index, encoder, titles: async () => titles };
  const videos = Object.entries(LENGTHS).map(([id, durationMs]) => ({ id, durationMs }));
  const sources: AnswerSources = {
    search: (query) => search(deps, { tenant: 't', ...query, openings: query.openings ?? false }),
    everyPlace: (query) =>
      everyPlace(deps, {
        tenant: 't',
        ...query,
        videos: videos.filter(({ id }) => query.videoIds?.includes(id) ?? true),
      }),
    titled: async (name, videoIds, isWhole) => titles.called(name, { tenant: 't', videoIds }, isWhole),
    passages: (id) => index.listPassages('t', id),
    scenes: async (id, timeRange): Promise<Scene[]> =>
      scenesOf(await index.listFrames(encoder, 't', id, timeRange && { timeRange })),
    labels: async () => [],
    videos: async (ids = [STEAM, BOATS], most) =>
      ids.slice(0, most).map((id) => ({
        ...{ id, title: NAMES[id] as string, isReady: id !== COMING },
        ...(LENGTHS[id] !== undefined && { durationMs: LENGTHS[id] }),
      })),
    thumbnail: async () => undefined,
  };
  for await (const event of ask({ sources }, { question, limit: 5, ...options })) {
    if (event.type === 'done') return event.answer;
  }
  throw new Error('no answer');
}
const STEAM_NAME = '"How steam engines work"';

describe('An answer of a part', () => {
  it.each([
    [
      'What happens between 1:00 and 2:00?',
      `Said in ${STEAM_NAME} between 1:00 and 2:00: at 1:00 “the boiler at 58” [1] and at 1:50 “the boiler at 110” [2]. The longest scenes of ${STEAM_NAME} are from 1:00 to 1:30 [3], from 1:30 to 1:40 [4] and from 1:40 to 2:00 [5].`,
    ],
    [
      'What is said in the last minute?',
      `Said in ${STEAM_NAME} in the last 1:00: at 4:20 “the boiler at 260” [1] and at 4:50 “goodbye” [2].`,
    ],
    ['How many times is a boiler mentioned after two minutes?', /^Found 3 times \[1\]\[2\]\[3\]\. Said at 2:40 /],
    ['When is a boiler last mentioned before 3:00?', /^Last said at 2:40 /],
    ['Is a car visible at 1:10?', `Found in 1 place [1]. Seen from 1:10 to 1:11 in ${STEAM_NAME} [1].`],
    ['Is a car visible at 2:10?', `I found nothing between 2:10 and 2:11 in ${STEAM_NAME} that answers this.`],
    ['What colour is the car at 1:10?', `Seen from 1:00 to 1:30 in ${STEAM_NAME} [1].`],
    ['What is said between 1:10 and 1:20?', `Nothing is said between 1:10 and 1:20 in ${STEAM_NAME}.`],
    ['What is shown between 6:00 and 7:00?', `${STEAM_NAME} ends at 5:00.`],
    ['How many times is a boiler mentioned in the second half?', /^Found 3 times \[1\]\[2\]\[3\]\. Said at 2:40 /],
    ['Is a car visible in the last third?', `I found nothing in the last third of ${STEAM_NAME} that answers this.`],
    [
      'How long is a house visible?',
      `In all 1:00 minutes, in 2 places [1][2]. Seen from 1:40 to 2:20 in ${STEAM_NAME} [1]. Seen from 3:20 to 3:40 in ${STEAM_NAME} [2].`,
    ],
    [
      'How long do they talk about the boiler in the first minute?',
      /^In all 6 seconds, in 2 places \[1\]\[2\]\. Said /,
    ],
  ])('“%s”', async (question, expected) => {
    const given = await answer(question, { videoIds: [STEAM] });
    if (typeof expected === 'string') expect(given.answer).toBe(expected);
    else expect(given.answer).toMatch(expected);
    expect(given.found).toBe(given.citations.length > 0);
    const { stretch } = given.turn.read;
    for (const { startMs, endMs } of stretch?.share ? [] : given.moments) {
      expect(startMs).toBeGreaterThanOrEqual(stretch?.startMs ?? (stretch?.lastMs ? 240_000 : 0));
      expect(endMs).toBeLessThanOrEqual(stretch?.endMs ?? 300_000);
    }
  });

  it('of several videos is of each of them, its end in each another', async () => {
    const last = await answer('What is said in the last 15 seconds?');
    expect(last.answer).toMatch(/^Said in .*: at 4:50 “goodbye” \[1\]\. Said in .*: at 0:35 “ahoy” \[2\]\.$/);
    expect((await answer('How often is a boiler mentioned in the last minute?')).answer).toMatch(
      /^Found 2 times .* at 4:20 .* at 0:05 |^Found 2 times .* at 0:05 .* at 4:20 /,
    );
    expect((await answer('What is said in the second half?')).answer).toMatch(
      /^Said in "How .* at 2:40 .*\. Said in "Boats .* in the second half: at 0:35 “ahoy” \[\d\]\.$/,
    );
    const half = await answer('How often is a boiler mentioned in the first half?');
    expect(half.answer).toMatch(/^Found 4 times /);
    expect((await answer('Who talks in the second half of the match?')).found).toBe(false);
    const ofBoats = await answer('What is said in the last third of the video on boats?');
    expect(ofBoats.answer).toBe('Said in "Boats (1) obey the pirate" in the last third: at 0:35 “ahoy” [1].');
    // Only of those that are so long.
    expect((await answer('How often is a ship mentioned after 0:50?', { videoIds: [STEAM, BOATS] })).answer).toBe(
      `I found nothing after 0:50 in ${STEAM_NAME} that answers this.`,
    );
    expect((await answer('What is shown after 0:50 on?')).moments.every(({ videoId }) => videoId === STEAM)).toBe(true);
  });
});

describe('A title', () => {
  it('says which video a question is about', async () => {
    expect((await answer('What is How steam engines work about?')).answer).toMatch(
      new RegExp(`^Said in ${STEAM_NAME} \\(5:00\\): `),
    );
    const named = await answer('In the lecture on steam engines, how often is a boiler mentioned?');
    expect(named.answer).toMatch(/^Found 6 times /);
    expect(new Set(named.moments.map(({ videoId }) => videoId))).toEqual(new Set([STEAM]));
    // What comes after it stays there.
    expect((await answer('and a boat?', { history: [named.turn] })).found).toBe(false);
    expect((await answer('What is the boiler in a boat about?')).answer).toMatch(/^Said at 0:05 /);
    // At the end, with nothing around it, only as a whole.
    expect((await answer('How often is a boiler mentioned in how steam engines work?')).answer).toMatch(
      /^Found 6 times /,
    );
    expect((await answer('How often is a boiler mentioned in steam?')).answer).toMatch(/^I found nothing/);
    expect((await answer('What is said while a car is shown in How steam engines work?')).answer).toMatch(
      /^Seen from 1:00 to 1:30 .* During it, said at 0:58 in .*: “the boiler at 58” \[2\]\.$/,
    );
    expect((await answer('How long is How steam engines work?')).answer).toBe(`${STEAM_NAME} is 5:00 long [1].`);
    expect((await answer('Summarise How steam engines work and Boats [1] obey the pirate')).answer).toMatch(
      /^Said in "How .* Said in "Boats/,
    );
    const about = await answer('What is the lecture on steam about?');
    expect((await answer('And the video on boats?', { history: [about.turn] })).answer).toMatch(/^Said in "Boats/);
    expect((await answer('And in Boats?', { history: [named.turn] })).answer).toMatch(/^Found 1 time \[1\]/);
    const both = await answer('Compare “Boats” and the lecture on steam');
    expect(new Set(both.moments.map(({ videoId }) => videoId))).toEqual(new Set([STEAM, BOATS]));
  });

  it('of a video that is not indexed yet is known, and the answer says that it may miss something', async () => {
    titles.add([{ id: COMING, title: 'Volcanoes tomorrow', metadata: [] }]);
    const named = await answer('What is “Volcanoes tomorrow” about?');
    titles.add([{ id: COMING, title: 'The boat', metadata: [] }]);
    // Where it may be a place, one word is no title.
    expect((await answer('Who mentions a boiler in a boat?')).answer).toMatch(/^Said at 0:05 in "Boats/);
    titles.remove(COMING);
    expect(named).toMatchObject({
      ...{ found: false, answer: 'I found nothing in "Volcanoes tomorrow" that answers this.' },
      degraded: { code: 'videos_not_ready' },
    });
    expect((await answer('What is “Steam engines” about?')).degraded).toBeUndefined();
  });

  it('is evidence of what a video is about, not of when something is said or shown, and is quoted', async () => {
    const which = await answer('Which of my videos are about steam engines?');
    expect(which).toMatchObject({
      answer: `Found in 1 video [1]. ${STEAM_NAME} has it in its title or metadata: “How steam engines work” [1].`,
      citations: [{ n: 1, moment: { videoId: STEAM, startMs: 0, endMs: 10_000 } }],
    });
    expect((await answer('Which videos are about the winter term?')).answer).toMatch(/^Found in 2 videos /);
    expect((await answer('Do we have any videos called Boats?')).answer).toMatch(/^Found in 1 video \[1\]/);
    expect((await answer('is there a pirate to obey?')).answer).toBe(
      `"Boats (1) obey the pirate" has it in its title or metadata: “Boats (1) obey the pirate” [1].`,
    );
    for (const question of [
      'When is the winter term?',
      'who mentions the winter term',
      'what comes after the winter term',
    ]) {
      expect([question, (await answer(question)).found]).toEqual([question, false]);
    }
    expect((await answer('how many times is steam mentioned')).found).toBe(false);
  });
});

it('What is only shown is not given for what is said, nor the other way round', async () => {
  const of = async (question: string) => (await answer(question, { videoIds: [STEAM] })).answer;
  expect(await of('When is a car shown?')).toBe(`Seen from 1:00 to 1:30 in ${STEAM_NAME} [1].`);
  expect(await of('Who mentions a car?')).toBe(
    `Seen from 1:00 to 1:30 in ${STEAM_NAME} [1]. I found nothing of it that is said.`,
  );
  expect(await of('Is goodbye visible?')).toBe(
    `Said at 4:50 in ${STEAM_NAME}: “goodbye” [1]. I found nothing of it that is shown.`,
  );
});

it('Questions in one are answered one by one where nothing has all of it, each following the one before', async () => {
  const both = await answer('Who says ahoy, and where is goodbye said?');
  expect(both.answer).toBe(
    `Said at 0:35 in "Boats (1) obey the pirate": “ahoy” [1]. Said at 4:50 in ${STEAM_NAME}: “goodbye” [2].`,
  );
  expect(both.citations.map(({ moment }) => moment.videoId)).toEqual([BOATS, STEAM]);
  expect((await answer('Who says goodbye? And what is shown then?', { videoIds: [STEAM] })).answer).toMatch(
    /^Said at 4:50 in .* \[1\]\. The only scene of .* between 4:50 and 4:54 is from 4:50 to 4:54 \[2\]\.$/,
  );
  expect((await answer('Who says ahoy and where is the volcano?')).answer).toMatch(
    /“ahoy” \[1\]\. I found nothing of “where is the volcano\?”\.$/,
  );
  expect((await answer('Where is the volcano and where is the geyser?')).found).toBe(false);
});

it('What must not be there is left out of every place, which is still all there are', async () => {
  const count = async (question: string) => (await answer(question, { videoIds: [STEAM] })).answer;
  expect(await count('How many times is a house shown?')).toMatch(/^Found 2 times /);
  expect(await count('How often is there a house without a boiler?')).toMatch(/^Found 4 times /);
  expect(await count('How many times does a house appear without a car?')).toMatch(/^Found 2 times /);
  // Of videos, those that have it nowhere.
  expect((await answer('Which videos mention a boiler but do not show a car?')).answer).toMatch(
    /^Found in 1 video \[1\]\. Said at 0:05 in "Boats/,
  );
});
