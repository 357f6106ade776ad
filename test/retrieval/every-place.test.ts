import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type AnswerSources, ask, everyPlace, search } from '#retrieval';
import { type FrameRow, frameId, openVectorIndex, passageId, type VectorIndex } from '#store';

/** An axis for each thing that a picture can show; 20 logits lie between a picture that fits and one that does not. */
const THINGS = ['car', 'house', 'tree', 'nothing'];
const MODEL = { id: 'test/things', dimension: THINGS.length, logitScale: 20 };
const vectorOf = (text: string): Float32Array => {
  const at = THINGS.findIndex((thing) => text.includes(thing));
  return Float32Array.from(THINGS, (_, i) => (i === (at < 0 ? 3 : at) ? 1 : 0));
};
const encoder = { ...MODEL, encodeTexts: async (texts: string[]) => texts.map(vectorOf) };
const [LONG, ...OTHERS] = Array.from(
  { length: 14 },
  (_, i) => `0190a000-0000-7000-8000-0000000000${String(i).padStart(2, '0')}`,
) as [string, ...string[]];
const HOUR_MS = 3_600_000;

let dir: string;
let index: VectorIndex;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'cuepoint-every-'));
  index = await openVectorIndex({ lanceDir: dir });
  const passage = (videoId: string, atSec: number, text: string) => ({
    ...{ id: passageId(videoId, atSec * 1000), tenant: 't', videoId, text, language: 'en' },
    ...{ startMs: atSec * 1000, endMs: atSec * 1000 + 2000 },
  });
  await index.upsertPassages([
    // 200 mentions in an hour, each a place of its own, the last of them in the weakest words.
    ...Array.from({ length: 200 }, (_, i) =>
      passage(
        LONG,
        10 + i * 17,
        i < 199 ? 'a pelican, a pelican' : `a pelican among ${'very many other birds '.repeat(6)}`,
      ),
    ),
    // 300 in twenty blocks.
    ...Array.from({ length: 300 }, (_, i) =>
      passage(LONG, 5 + Math.floor(i / 15) * 170 + (i % 15) * 0.1, `the ocelot number ${i}`),
    ),
    ...OTHERS.map((videoId, i) => passage(videoId, 3, i < 10 ? `a toucan in forest ${i}` : 'nothing of the kind')),
  ]);
  // A car in 120 seconds that lie apart, in an hour of houses.
  const frames = Array.from({ length: 3600 }, (_, i): FrameRow => {
    const vector = vectorOf(i % 30 === 7 ? 'car' : 'house');
    return {
      id: frameId(LONG, i * 1000),
      tenant: 't',
      videoId: LONG,
      startMs: i * 1000,
      endMs: (i + 1) * 1000,
      vector,
    };
  });
  await index.upsertFrames(MODEL, frames);
}, 60_000);
afterAll(async () => {
  await index?.close();
  await rm(dir, { recursive: true, force: true });
});

/** `known`: the lengths of the videos. */
async function answer(question: string, videoIds: string[], known = true) {
  const deps = { index, encoder };
  const videos = known ? videoIds.map((id) => ({ id, durationMs: HOUR_MS })) : undefined;
  const sources: AnswerSources = {
    search: (query) => search(deps, { tenant: 't', ...query }),
    everyPlace: (query) => everyPlace(deps, { tenant: 't', ...query, videos }),
    passages: (id) => index.listPassages('t', id),
    scenes: async () => [],
    labels: async () => [],
    videos: async (ids = videoIds, most) => ids.slice(0, most).map((id) => ({ id, title: `Video ${id.slice(-2)}` })),
    titled: async () => [],
    thumbnail: async () => undefined,
  };
  for await (const event of ask({ sources }, { question, videoIds, limit: 5 })) {
    if (event.type === 'done') return event.answer;
  }
  throw new Error('no answer');
}

it('What is said is counted to the last, and its first and last place found, however many there are', async () => {
  const last = await answer('When is the last time a pelican is mentioned?', [LONG]);
  expect(last.answer).toMatch(/^Last said at 56:33 in "Video 00": “a pelican among .*” \[1\]\.$/);
  expect((await answer('When is a pelican first mentioned?', [LONG])).answer).toMatch(/^First said at 0:10 /);
  const counted = await answer('How many times is a pelican mentioned?', [LONG]);
  expect(counted.answer).toMatch(/^Found 200 times \[1\]\[2\].*\. And 190 more, of which 40 are \[11\].*\[50\]\.$/);
  expect(counted.moments[0]?.evidence[0]?.highlights).toEqual([
    [2, 9],
    [13, 20],
  ]);
  expect((await answer('How many times is an ocelot mentioned?', [LONG])).answer).toMatch(/^Found 20 times /);
});

it('What is seen is looked for in each frame of a few hours, and else said to be at least so often', async () => {
  expect((await answer('How many times does a car appear?', [LONG])).answer).toMatch(/^Found 120 times /);
  const last = await answer('When does a car last appear?', [LONG]);
  expect(last.answer).toBe('Last seen from 59:37 to 59:38 in "Video 00" [1].');
  expect((await answer('How many times does a car appear?', [LONG], false)).answer).toMatch(
    /^Found at least 120 times /,
  );
  expect((await answer('Every time a car appears', [LONG], false)).answer).toMatch(/^Found in at least 120 places /);
  expect((await answer('When does a car last appear?', [LONG], false)).answer).toBe(
    'Last seen from 59:37 to 59:38 in "Video 00" [1]. Not everything was looked at: there may be a later one.',
  );
  expect((await answer('How many times does a tree appear?', [LONG])).found).toBe(false);
});

it('Two things that are in no video together are told one by one', async () => {
  const { answer: text } = await answer('Is a pelican mentioned before forest 3?', [LONG, ...OTHERS]);
  expect(text).toMatch(
    /^“pelican” is first said at 0:10 in .* “forest 3” is first said at 0:03 in .* I found no video that has both\.$/,
  );
});

it('A summary and a comparison say which part of the videos they cover, and a comparison takes those that have most to say', async () => {
  const summary = await answer('What are these videos about?', OTHERS);
  expect(summary.answer).toMatch(/ This covers 8 of 13 videos\.$/);
  expect(summary.degraded).toMatchObject({ code: 'videos_left_out' });
  const many = await answer('Compare what they say about the toucan', OTHERS.toReversed());
  expect(many.answer).toMatch(/ This covers 8 of 13 videos\.$/);
  expect(many.answer).not.toContain('nothing of it was found');
  expect(many.degraded).toMatchObject({ code: 'videos_left_out' });
  const few = await answer('Compare what they say about forest 3', [...OTHERS.slice(4), OTHERS[3] as string]);
  expect(few.answer).toMatch(/“a toucan in forest 3” .* Nothing of it was found in the other 2 of 10 videos\.$/);
  expect(few.degraded).toBeUndefined();
  expect((await answer('What are these videos about?', OTHERS.slice(0, 8))).degraded).toBeUndefined();
});

it('is as sure of a place whatever way of finding it the words point at', async () => {
  const found = (query: string) => everyPlace({ index, encoder }, { tenant: 't', query, videoIds: [LONG] });
  expect((await found('the pelican in the picture')).moments).toHaveLength(200);
  expect((await found('a car they talk about')).moments.length).toBeGreaterThan(100);
});

it('Looking through eleven hours in which each sentence has the word gives way to others', async () => {
  const [hours] = OTHERS as [string];
  const texts = Array.from({ length: 500 }, (_, i) => `the curlew ${i} sings over the marsh for ${i} minutes or so`);
  // Sentences without a pause, ten thousand of them as Qdrant or LanceDB gives them: what reading them takes is not asked here.
  const hits = Array.from({ length: 10_000 }, (_, i) => ({
    ...{ tenant: 't', videoId: hours, language: 'en', text: texts[i % 500] as string, score: 1 },
    ...{ id: `${i}`, startMs: i * 4000, endMs: i * 4000 + 3900 },
  }));
  const heard = Object.create(index, { searchPassages: { value: async () => hits } }) as VectorIndex;
  const query = { tenant: 't', query: 'how long does a curlew sing', modalities: ['passages' as const] };
  const look = () => everyPlace({ index: heard, encoder }, query);
  await look();
  let turns = 0;
  let isRunning = true;
  const tick = () => {
    turns += 1;
    if (isRunning) setImmediate(tick);
  };
  setImmediate(tick);
  await look();
  isRunning = false;
  expect(turns).toBeGreaterThan(15);
});
