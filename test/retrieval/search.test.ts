import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type SearchOptions, search, searchSequence, Titles } from '#retrieval';
import { type FrameRow, frameId, openVectorIndex, passageId, type VectorIndex } from '#store';

/** A space with an axis for each thing that a picture can show; 20 logits lie between a picture that fits and one that does not. */
const THINGS = ['car', 'house', 'tree', 'nothing'] as const;
type Thing = (typeof THINGS)[number];
const MODEL = { id: 'test/things', dimension: THINGS.length, logitScale: 20 };
const A = '0190a000-0000-7000-8000-00000000000a';
const B = '0190a000-0000-7000-8000-00000000000b';

const encoder = {
  ...MODEL,
  /** The text is about the first thing it names. */
  encodeTexts: async (texts: string[]) =>
    texts.map((text) => picture(THINGS.find((thing) => text.includes(thing)) ?? 'nothing')),
};
function picture(thing: Thing, likeness = 1): Float32Array {
  const vector = new Float32Array(MODEL.dimension);
  vector[THINGS.indexOf(thing)] = likeness;
  vector[(THINGS.indexOf(thing) + 1) % THINGS.length] = Math.sqrt(1 - likeness ** 2);
  return vector;
}

let dir: string;
let index: VectorIndex;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'cuepoint-search-'));
  index = await openVectorIndex({ lanceDir: dir });
});
afterEach(async () => {
  await index.close();
  await rm(dir, { recursive: true, force: true });
});

/** A second of each thing named, from 0 on; a number instead is how much like a car it is. */
async function show(videoId: string, seconds: (Thing | number)[], tenant = 't'): Promise<void> {
  const rows = seconds.map((what, i): FrameRow => {
    const vector = typeof what === 'number' ? picture('car', what) : picture(what);
    return { id: frameId(videoId, i * 1000), tenant, videoId, startMs: i * 1000, endMs: (i + 1) * 1000, vector };
  });
  await index.upsertFrames(MODEL, rows);
}
async function say(
  videoId: string,
  passages: [startMs: number, endMs: number, text: string][],
  language = 'en',
): Promise<void> {
  await index.upsertPassages(
    passages.map(([startMs, endMs, text]) => ({
      id: passageId(videoId, startMs),
      tenant: 't',
      videoId,
      startMs,
      endMs,
      text,
      language,
    })),
  );
}
const find = (query: string, options: Partial<SearchOptions> = {}) =>
  search({ index, encoder }, { tenant: 't', query, limit: 10, ...options });
const spans = async (query: string, options: Partial<SearchOptions> = {}) =>
  (await find(query, options)).map(({ videoId, startMs, endMs }) => [videoId === A ? 'A' : 'B', startMs, endMs]);
const many = (thing: Thing, count: number): Thing[] => new Array(count).fill(thing);

describe('Search', () => {
  it('gives nothing for an empty index, an empty question, no videos and a limit of 0', async () => {
    expect(await find('a car')).toEqual([]);
    await show(A, ['car']);
    expect(await find('  ')).toEqual([]);
    expect(await find('a car', { limit: 0 })).toEqual([]);
    expect(await find('a car', { videoIds: [] })).toEqual([]);
    expect(await find('a car', { tenant: 'another' })).toEqual([]);
  });

  it('makes one moment of frames that follow each other and fit alike, and ends it where the picture changes', async () => {
    await show(A, [...many('house', 5), 0.95, 1, 0.97, 'tree', ...many('house', 3), 1, ...many('tree', 4)]);
    expect(await spans('a car')).toEqual([
      ['A', 5000, 8000],
      ['A', 12_000, 13_000],
    ]);
    const [first] = await find('a car');
    expect(first?.evidence.map(({ kind, atMs }) => [kind, atMs])).toEqual([
      ['frame', 6000],
      ['frame', 7000],
      ['frame', 5000],
    ]);
  });

  it('goes on over a change of shot only where the next shot fits nearly as well', async () => {
    // As much like a car as the first, or a little less, with something else beside it: another shot all the same.
    const other = (likeness: number): Float32Array => {
      const vector = new Float32Array(MODEL.dimension);
      vector[THINGS.indexOf('car')] = likeness;
      vector[THINGS.indexOf('tree')] = Math.sqrt(1 - likeness ** 2);
      return vector;
    };
    const row = (videoId: string, vector: Float32Array, second: number): FrameRow => {
      const startMs = second * 1000;
      return { id: frameId(videoId, startMs), tenant: 't', videoId, startMs, endMs: startMs + 1000, vector };
    };
    await show(A, [...many('house', 20), 0.9, 0.9, 0.8]);
    await show(B, [...many('house', 20), 0.9, 0.9]);
    await index.upsertFrames(MODEL, [row(A, other(0.8), 23), row(B, other(0.9), 22)]);
    expect((await spans('a car')).sort()).toEqual([
      ['A', 20_000, 23_000],
      ['A', 23_000, 24_000],
      ['B', 20_000, 23_000],
    ]);
  });

  it('takes a frame that stands for a long still as one moment', async () => {
    await show(A, many('house', 10));
    await index.upsertFrames(MODEL, [
      { id: frameId(A, 50_000), tenant: 't', videoId: A, startMs: 50_000, endMs: 90_000, vector: picture('tree') },
      { id: frameId(A, 90_000), tenant: 't', videoId: A, startMs: 90_000, endMs: 91_000, vector: picture('tree') },
    ]);
    expect((await spans('a tree'))[0]).toEqual(['A', 50_000, 91_000]);
  });

  it('makes one moment of passages that follow each other only where both match', async () => {
    await say(A, [
      [0, 2000, 'the weather was awful'],
      [2500, 4000, 'yes, weather like that is rare'],
      [4500, 6000, 'let us talk of lunch'],
      [6500, 8000, 'soup, as always'],
      [20_000, 22_000, 'the weather again'],
    ]);
    expect((await spans('weather')).sort()).toEqual([
      ['A', 0, 4000],
      ['A', 20_000, 22_000],
    ]);
    const found = await find('weather');
    expect(
      found
        .find((moment) => moment.startMs === 0)
        ?.evidence.map((one) => one.text)
        .sort(),
    ).toEqual(['the weather was awful', 'yes, weather like that is rare']);
  });

  it('puts the overlap first when two things are asked for at once, and gives its span', async () => {
    await show(A, [...many('car', 10), ...many('house', 10), ...many('car', 10), ...many('tree', 10)]);
    await say(A, [
      [12_000, 15_000, 'the weather is nice'],
      [23_000, 26_000, 'the weather is awful'],
    ]);
    const [first] = await find('a car while someone talks about the weather');
    expect(first).toMatchObject({ startMs: 23_000, endMs: 26_000 });
    expect(new Set(first?.evidence.map((one) => one.kind))).toEqual(new Set(['frame', 'passage']));
    expect(first?.evidence.length).toBeLessThanOrEqual(5);
    for (const { atMs, endMs } of first?.evidence ?? []) expect(atMs < 26_000 && endMs > 23_000).toBe(true);
  });

  it('lets what is said win where nothing like it is seen, and the other way round', async () => {
    await show(A, [...many('house', 10), ...many('car', 5), ...many('tree', 10)]);
    await say(A, [
      [2000, 4000, 'elephants never forget'],
      [20_000, 22_000, 'he bought a new radio and a lamp'],
    ]);
    expect((await spans('elephants that never forget'))[0]).toEqual(['A', 2000, 4000]);
    expect((await spans('a new car on the long road'))[0]).toEqual(['A', 10_000, 15_000]);
  });

  it('shows as evidence what is sure by itself, not what merely happens at the time', async () => {
    await show(A, [...many('house', 10), ...many('car', 5), ...many('tree', 10)]);
    await say(A, [
      [2000, 4000, 'elephants never forget'],
      [11_000, 13_000, 'the car was sold'],
    ]);
    const evidence = async (query: string) =>
      (await find(query))[0]?.evidence.map(({ kind, confidence = -1 }) => [kind, confidence > 0.5]);
    expect(await evidence('elephants that never forget')).toEqual([['passage', true]]);
    expect(await evidence('a car')).toEqual([
      ['frame', true],
      ['passage', true],
      ...new Array(3).fill(['frame', true]),
    ]);
    // Of two things at once, both halves are shown, whatever they are worth.
    const [both] = await find('a house while they say that elephants forget the circus');
    expect(new Set(both?.evidence.map(({ kind }) => kind))).toEqual(new Set(['frame', 'passage']));
    expect(both?.evidence.find(({ kind }) => kind === 'passage')?.confidence).toBeLessThan(0.3);
    for (const { evidence } of await find('a car on the road'))
      for (const { confidence = -1 } of evidence) expect(confidence >= 0 && confidence <= 1).toBe(true);
  });

  it('does not move a picture to a passage that shares one word with the question', async () => {
    await show(A, [...many('house', 10), ...many('tree', 12), ...many('house', 10)]);
    await say(A, [[18_000, 20_000, 'the doctor paints a green window']]);
    const [first] = await find('a tall green tree on a hill');
    expect(first).toMatchObject({ startMs: 10_000, endMs: 22_000 });
  });

  it('searches the modalities asked for, and needs no encoder for passages', async () => {
    await show(A, [...many('house', 5), 'car']);
    await say(A, [[0, 1000, 'a car']]);
    expect(await spans('car', { modalities: ['frames'] })).toEqual([['A', 5000, 6000]]);
    const broken = {
      ...encoder,
      encodeTexts: () => Promise.reject(new Error('models are not loaded')),
    };
    const ask = (modalities?: SearchOptions['modalities']) =>
      search({ index, encoder: broken }, { tenant: 't', query: 'car', limit: 5, ...(modalities && { modalities }) });
    expect(await ask(['passages'])).toHaveLength(1);
    await expect(ask()).rejects.toThrow('models are not loaded');
  });

  it('keeps to the videos and the tenant asked for', async () => {
    await show(A, [...many('house', 5), 'car']);
    await show(B, ['car', ...many('house', 5)]);
    expect(await spans('car', { videoIds: [B] })).toEqual([['B', 0, 1000]]);
    expect((await spans('car')).sort()).toEqual([
      ['A', 5000, 6000],
      ['B', 0, 1000],
    ]);
  });

  it('gives the same results in the same order each time, confidence falling with the score', async () => {
    for (const video of [B, A]) {
      await show(video, [...many('house', 6), 'car', ...many('tree', 3), 0.9, ...many('house', 2)]);
      await say(video, [
        [1000, 2000, 'a car was sold'],
        [9000, 9500, 'car and road'],
      ]);
    }
    const first = await find('a car on the road');
    await index.optimize();
    expect((await find('a car on the road')).map(({ videoId, startMs }) => [videoId, startMs])).toEqual(
      first.map(({ videoId, startMs }) => [videoId, startMs]),
    );
    expect(first.length).toBeGreaterThan(3);
    for (const [i, { score, confidence }] of first.entries()) {
      expect(confidence).toBeGreaterThan(0);
      expect(confidence).toBeLessThanOrEqual(1);
      expect(score).toBeLessThanOrEqual(first[i - 1]?.score ?? 1);
      expect(confidence).toBeLessThanOrEqual(first[i - 1]?.confidence ?? 1);
    }
    expect(await find('a car on the road', { limit: 2 })).toEqual((await find('a car on the road')).slice(0, 2));
  });

  it('is as sure of a picture in ten thousand as in a hundred', async () => {
    await show(A, [...many('house', 50), ...many('car', 3), ...many('tree', 47)]);
    const [few] = await find('a car', { modalities: ['frames'] });
    for (let at = 0; at < 10; at++) {
      const rows = Array.from({ length: 1000 }, (_, i): FrameRow => {
        const startMs = (at * 1000 + i) * 1000;
        const vector = picture(i % 2 ? 'house' : 'tree', 0.9 + (i % 10) / 100);
        return { id: frameId(B, startMs), tenant: 't', videoId: B, startMs, endMs: startMs + 1000, vector };
      });
      await index.upsertFrames(MODEL, rows);
    }
    const [many_] = await find('a car', { modalities: ['frames'] });
    expect(many_).toMatchObject({ videoId: A, startMs: 50_000, endMs: 53_000 });
    expect(Math.abs((many_?.confidence ?? 0) - (few?.confidence ?? 0))).toBeLessThan(0.1);
  });

  it('is sure of what is there and unsure of what is not', async () => {
    await show(A, [...many('house', 30), ...many('car', 4), ...many('house', 30)]);
    await say(A, [[1000, 3000, 'the old train stops near the river']]);
    expect((await find('a car'))[0]?.confidence).toBeGreaterThan(0.5);
    expect((await find('where does the old train stop'))[0]?.confidence).toBeGreaterThan(0.5);
    for (const query of ['a tree', 'where does the new plane land', 'mention of the river bank manager'])
      for (const { confidence } of await find(query)) expect(confidence).toBeLessThan(0.5);
  });

  it('is as sure of what is said when it is asked to be shown: the word moves ranks alone', async () => {
    await show(A, [...many('house', 30), ...many('car', 4), ...many('house', 30)]);
    await say(A, [[1000, 3000, 'the old train stops near the river']]);
    const confidence = async (query: string, options: Partial<SearchOptions> = {}) =>
      (await find(query, options))[0]?.confidence ?? 0;
    for (const query of ['the old train near the river', 'a car']) {
      const sure = await confidence(query);
      expect(sure).toBeGreaterThan(0.9);
      for (const asked of [`show me ${query}`, `the scene with ${query}`])
        expect(await confidence(asked)).toBeCloseTo(sure, 5);
    }
    expect(await confidence('they mention the old train near the river')).toBeGreaterThan(0.9);
    // Nor does a query lean where there is nothing to choose: scores are those of the modality alone.
    const [leaning] = await find('they mention a car', { modalities: ['frames'] });
    expect(leaning?.score).toBe((await find('a car', { modalities: ['frames'] }))[0]?.score);
  });

  it('is no more than half sure of a picture of what is asked to be said, unless pictures alone are searched', async () => {
    await show(A, [...many('house', 30), ...many('car', 4), ...many('house', 30)]);
    await say(A, [[1000, 3000, 'the old train stops near the river']]);
    for (const query of [
      'they mention a car',
      'what do they say about a car',
      'why is there a car',
      'which year is the car of',
    ])
      for (const { confidence } of await find(query)) expect(confidence).toBeLessThanOrEqual(0.5);
    for (const query of ['a man talking in a car', 'they say what colour the car is'])
      expect((await find(query))[0]?.confidence).toBeGreaterThan(0.5);
    expect((await find('they mention a car', { modalities: ['frames'] }))[0]?.confidence).toBeGreaterThan(0.9);
  });

  it('is not sure of a sentence that lacks one of six words', async () => {
    await say(A, [[1000, 3000, 'we need six slow tables and seven wooden chairs']]);
    const [near] = await find('we need six quiet tables and seven wooden chairs', { modalities: ['passages'] });
    expect(near?.confidence).toBeLessThan(0.5);
    const [all] = await find('do we need six slow tables and seven wooden chairs', { modalities: ['passages'] });
    expect(all?.confidence).toBeGreaterThan(0.8);
  });

  it('takes an amount for what asks for one, and misses neither its unit nor who speaks', async () => {
    await say(A, [
      [1000, 3000, 'heat the oven to two hundred degrees'],
      [60_000, 63_000, 'the oven is broken'],
    ]);
    await say(B, [[90_000, 93_000, 'der Teig ruht zwölf Stunden im Keller']], 'de');
    const sure = async (query: string) =>
      (await find(query, { modalities: ['passages'] }))
        .filter(({ confidence }) => confidence > 0.5)
        .map(({ startMs }) => startMs);
    expect(await sure('how hot should the oven be?')).toEqual([1000]);
    expect(await sure('a hot oven')).toEqual([]);
    expect(await sure('Wie lange ruht der Teig?')).toEqual([90_000]);
    expect(await sure('when does the baker mention degrees')).toEqual([1000]);
  });

  it('leaves out moments that show or say what must not be there', async () => {
    await show(A, [...many('house', 20), 'car', 'car', ...many('tree', 20)]);
    await say(A, [
      [1000, 3000, 'soup with bread'],
      [9000, 11_000, 'soup with onions'],
    ]);
    expect(await spans('a car', { modalities: ['frames'] })).toContainEqual(['A', 20_000, 22_000]);
    expect(await spans('a car -tree', { modalities: ['frames'] })).toContainEqual(['A', 20_000, 22_000]);
    expect(await spans('a tree -car', { modalities: ['frames'] })).not.toContainEqual(['A', 20_000, 22_000]);
    expect(await spans('soup', { modalities: ['passages'] })).toHaveLength(2);
    expect(await spans('soup -onion', { modalities: ['passages'] })).toEqual([['A', 1000, 3000]]);
    // What is in quotes is said word for word.
    expect(await spans('soup -"bread soup"', { modalities: ['passages'] })).toHaveLength(2);
    expect(await spans('soup -"with bread"', { modalities: ['passages'] })).toEqual([['A', 9000, 11_000]]);
    expect(await find('-car')).toEqual([]);
  });

  it('finds what is left when more has what must not be there than is looked at', async () => {
    const both = Array.from({ length: 150 }, (_, i): [number, number, string] => [
      ...([i * 10_000, i * 10_000 + 2000] as [number, number]),
      'walrus herring walrus',
    ]);
    await say(B, both);
    const wordy = 'a walrus sleeps on the ice far from here, where no one looks and nothing moves';
    const five = Array.from({ length: 5 }, (_, i) => i * 20_000);
    await say(
      A,
      five.map((startMs) => [startMs, startMs + 2000, wordy]),
    );
    const found = await spans('walrus -herring', { modalities: ['passages'] });
    expect(found.sort()).toEqual(five.map((startMs) => ['A', startMs, startMs + 2000]).sort());
  });

  it('leaves out what is seen where the word that must not be there is said, and the other way round', async () => {
    await show(A, [...many('house', 20), 'car', 'car', ...many('house', 10), 'car', 'car', ...many('house', 10)]);
    await say(A, [
      [20_500, 21_500, 'a short history of soup'],
      [32_200, 33_000, 'soup with bread'],
    ]);
    expect(await spans('a car -history', { modalities: ['frames'] })).toContainEqual(['A', 20_000, 22_000]);
    const seen = await find('a car -history');
    expect(seen[0]).toMatchObject({ startMs: 32_000, endMs: 34_000 });
    for (const { startMs, endMs } of seen) expect(startMs >= 21_500 || endMs <= 20_500).toBe(true);
    expect(await spans('soup -car')).not.toContainEqual(['A', 32_200, 33_000]);
    expect(await spans('soup')).toContainEqual(['A', 32_200, 33_000]);
  });

  it('follows what is asked for in order by the chain that fits best as a whole, the nearest of equals', async () => {
    await say(A, [
      [100_000, 102_000, 'alpha is the first of them'],
      [110_000, 112_000, 'then bravo comes as the second one of the whole row'],
      [120_000, 122_000, 'and charlie is the third'],
      [150_000, 152_000, 'bravo'],
    ]);
    const inOrder = async (...steps: string[]) => {
      const options = { tenant: 't', limit: 5, windowMs: 60_000, modalities: ['passages' as const] };
      const found = await searchSequence({ index, encoder }, { ...options, steps });
      return found.map(({ startMs, endMs }) => [startMs, endMs]);
    };
    expect(await inOrder('alpha', 'bravo', 'charlie')).toEqual([[100_000, 122_000]]);
    expect(await inOrder('alpha', 'bravo')).toEqual([[100_000, 112_000]]);
    expect(await inOrder('alpha', 'then bravo', 'bravo')).toEqual([[100_000, 152_000]]);
    expect(await inOrder('charlie', 'alpha')).toEqual([]);
    // A step that is hardly there is not made up for by being near.
    expect(await inOrder('charlie', 'bravo row')).toEqual([[120_000, 152_000]]);
    await say(A, [[170_000, 172_000, 'a row with bravo']]);
    expect(await inOrder('charlie', 'bravo row')).toEqual([[120_000, 172_000]]);
  });

  it('puts what is said word for word first when it is in quotes', async () => {
    await say(A, [
      [0, 2000, 'gap and mind the gap'],
      [5000, 7000, 'the gap is in the mind'],
    ]);
    const found = await find('"mind the gap"', { modalities: ['passages'] });
    expect(found[0]).toMatchObject({ startMs: 0 });
    expect(found[1]?.confidence).toBeLessThan(0.5);
    const { text = '', highlights = [] } = found[0]?.evidence[0] ?? {};
    expect(highlights.map(([from, to]) => text.slice(from, to))).toEqual(['gap', 'mind', 'gap']);
  });

  it('meets words in other forms, in the language of what is said, and marks them', async () => {
    await say(
      A,
      [
        [0, 1000, 'Die Häuser stehen am Meer'],
        [5000, 6000, 'Ein Haus und ein Hund'],
      ],
      'de',
    );
    await say(B, [[0, 1000, 'she went home with the children']]);
    const said = async (query: string) =>
      (await find(query, { modalities: ['passages'] })).map(({ confidence, evidence: [one] }) => ({
        sure: confidence > 0.5,
        marked: one?.highlights?.map(([from, to]) => one.text?.slice(from, to)),
      }));
    expect(await said('das Haus am Meer')).toEqual([
      { sure: true, marked: ['Häuser', 'Meer'] },
      { sure: false, marked: ['Haus'] },
    ]);
    // What kind of thing is asked for is not missed where the thing itself is named.
    expect(await said('which place did the children go to')).toEqual([{ sure: true, marked: ['went', 'children'] }]);
    expect(await said('when does a child go home')).toEqual([{ sure: true, marked: ['went', 'home', 'children'] }]);
    expect((await said('"Haus und Hund"'))[0]).toEqual({ sure: true, marked: ['Haus', 'Hund'] });
    expect(await said('-Meer Haus')).toEqual([{ sure: true, marked: ['Haus'] }]);
  });

  it('knows a name of initials that are function words alone', async () => {
    await say(A, [
      [0, 1000, 'the AT&T merger was sold at a loss'],
      [5000, 6000, 'we met at ten'],
    ]);
    expect(await spans('AT&T', { modalities: ['passages'] })).toEqual([['A', 0, 1000]]);
    expect(await spans('who mentions at&t?', { modalities: ['passages'] })).toEqual([['A', 0, 1000]]);
    expect(await spans('"AT&T merger"', { modalities: ['passages'] })).toEqual([['A', 0, 1000]]);
  });

  it('gives each modality the weight that the caller sets', async () => {
    await show(A, [...many('house', 10), ...many('car', 5), ...many('tree', 10)]);
    await say(A, [[2000, 4000, 'a car was sold']]);
    expect((await spans('a car', { weights: { frames: 1, passages: 0.1 } }))[0]).toEqual(['A', 10_000, 15_000]);
    expect((await spans('a car', { weights: { frames: 0.1, passages: 1 } }))[0]).toEqual(['A', 2000, 4000]);
    expect(await spans('a car', { weights: { passages: 1 } })).toEqual([['A', 2000, 4000]]);
  });

  it('finds pictures like a picture', async () => {
    await show(A, [...many('house', 10), ...many('car', 5), ...many('tree', 10)]);
    const [same, ...others] = await find('', { picture: picture('car') });
    expect(same).toMatchObject({ startMs: 10_000, endMs: 15_000 });
    // However far apart pictures lie here: the same one is there, and no other.
    expect(same?.confidence).toBeGreaterThan(0.5);
    for (const { confidence } of others) expect(confidence).toBeLessThan(0.5);
  });

  it('gives pages that fit together', async () => {
    await show(A, [...many('house', 6), 'car', ...many('tree', 3), 0.9, ...many('house', 2), 'car', 'tree']);
    await say(A, [[1000, 2000, 'a car was sold']]);
    const all = await spans('a car', { limit: 50 });
    const pages = [await spans('a car', { limit: 2 }), await spans('a car', { limit: 50, offset: 2 })].flat();
    expect(all.length).toBeGreaterThan(3);
    expect(pages).toEqual(all);
    expect(await find('a car', { limit: 5, offset: 1000 })).toEqual([]);
  });

  it('brings another video up among equals', async () => {
    for (const video of [A, B])
      await show(video, [...many('house', 6), 'car', 'tree', 'car', 'house', 'car', ...many('tree', 9)]);
    const videos = (await spans('a car')).slice(0, 4).map(([video]) => video);
    expect(videos.filter((video) => video === 'B')).toHaveLength(2);
  });

  it('takes the words of titles for what each passage of the video says too, and shows such videos first', async () => {
    for (const video of [A, B]) {
      await show(video, [...many('house', 10), 'car', ...many('house', 9)]);
      await say(video, [[1000, 3000, 'soup with bread']]);
    }
    const titled = async (query: string) => {
      const titles = new Titles();
      titles.add([{ id: B, title: 'Cooking, lesson four', metadata: [] }]);
      const [best] = await search({ index, encoder, titles: async () => titles }, { tenant: 't', query, limit: 5 });
      return [best?.videoId, (best?.confidence ?? 0) > 0.5];
    };
    expect(await titled('soup in lesson four')).toEqual([B, true]);
    expect(await titled('a car in the cooking lesson')).toEqual([B, true]);
    expect((await find('soup in lesson four'))[0]?.confidence).toBeLessThan(0.5);
  });

  it('keeps to a time range', async () => {
    await show(A, [...many('house', 6), 'car', 'tree', 'car', 'house', 'car', ...many('tree', 9)]);
    const found = await find('a car', { timeRange: { startMs: 8000, endMs: 9000 }, modalities: ['frames'] });
    expect(found.map(({ startMs }) => startMs)).toEqual([8000]);
  });

  it('stops when it is aborted', async () => {
    await show(A, ['car']);
    const aborted = AbortSignal.abort(new Error('gone'));
    await expect(search({ index, encoder }, { tenant: 't', query: 'car', limit: 5 }, aborted)).rejects.toThrow('gone');
  });
});
