import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type SearchOptions, search, searchSequence, type TitledVideo, Titles } from '#retrieval';
import { frameId, openVectorIndex, passageId, type VectorIndex } from '#store';

/** One axis: a picture shows what is asked for, or it does not. */
const encoder = {
  ...{ id: 'test/one', dimension: 2, logitScale: 20 },
  encodeTexts: async (texts: string[]) => texts.map(() => new Float32Array([1, 0])),
};
const [A, B, C] = ['a', 'b', 'c'].map((last) => `0190a000-0000-7000-8000-00000000000${last}`) as [
  string,
  string,
  string,
];
const VIDEOS: TitledVideo[] = [
  { id: A, title: 'How steam engines work', metadata: ['physics', 'lesson 4'], durationMs: 600_000 },
  { id: B, title: 'Engines', metadata: ['steam'], durationMs: 4000 },
  { id: C, title: 'The mind and the gap', metadata: [], durationMs: 60_000 },
  { id: `${C}c`, title: 'Steam engines that nobody has probed yet', metadata: [] },
];
const titles = new Titles();
titles.add(VIDEOS);

let dir: string;
let index: VectorIndex;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'cuepoint-titles-'));
  index = await openVectorIndex({ lanceDir: dir });
  const frames = Array.from({ length: 40 }, (_, i) => {
    const span = { startMs: i * 1000, endMs: (i + 1) * 1000 };
    return {
      id: frameId(C, i * 1000),
      tenant: 't',
      videoId: C,
      ...span,
      vector: new Float32Array(i < 3 ? [1, 0] : [0, 1]),
    };
  });
  await index.upsertFrames(encoder, frames);
  const passage = { tenant: 't', videoId: B, startMs: 1000, endMs: 3000, text: 'a boiler', language: 'en' };
  await index.upsertPassages([{ ...passage, id: passageId(B, 1000) }]);
});
afterAll(async () => {
  await index.close();
  await rm(dir, { recursive: true, force: true });
});
const deps = () => ({ index, encoder, titles: async () => titles });
const find = (query: string, options: Partial<SearchOptions> = {}) =>
  search(deps(), { tenant: 't', query, limit: 10, modalities: ['passages'], ...options });
const found = async (query: string, options: Partial<SearchOptions> = {}) =>
  (await find(query, options)).map(({ videoId, startMs, endMs }) => [videoId.at(-1), startMs, endMs]);

describe('A title', () => {
  it('that cannot be read fails the search at once, and nothing but the search', async () => {
    const reason = new Error('Redis is away');
    const heard = vi.fn();
    process.on('unhandledRejection', heard);
    const failing = search(
      { ...deps(), titles: () => Promise.reject(reason) },
      { tenant: 't', query: 'steam', limit: 1 },
    );
    await expect(failing).rejects.toBe(reason);
    await sleep(50);
    process.off('unhandledRejection', heard);
    expect(heard).not.toHaveBeenCalled();
  });

  it('finds the opening of its video, and says which of its words were asked for', async () => {
    const [first, ...rest] = await find('how do steam engines work?');
    expect(rest).toEqual([]);
    expect(first).toMatchObject({ videoId: A, startMs: 0, endMs: 10_000 });
    expect(first?.confidence).toBeGreaterThan(0.5);
    const [{ kind, text = '', highlights = [], confidence } = { kind: '' }] = first?.evidence ?? [];
    expect([kind, text, confidence]).toEqual(['title', 'How steam engines work', first?.confidence]);
    expect(highlights.map(([from, to]) => text.slice(from, to))).toEqual(['steam', 'engines', 'work']);
  });

  it('counts together with metadata; a whole title goes before one among other words, and a short video ends with itself', async () => {
    expect(await found('steam engine')).toEqual([
      ['b', 0, 4000],
      ['a', 0, 10_000],
    ]);
    expect((await find('steam engine'))[0]?.evidence[0]?.text).toBe('Engines · steam');
  });

  it('finds nothing by some of the words, by words in quotes that it does not have in this order, or of two things at once', async () => {
    expect(await found('steam engines that fly')).toEqual([]);
    expect(await found('"gap in the mind"')).toEqual([]);
    expect(await found('"mind the gap"')).toEqual([['c', 0, 10_000]]);
    expect(await found('steam while they say engines')).toEqual([]);
  });

  it('keeps to filters, to what must not be there, and to the modalities asked for', async () => {
    expect(await found('steam engine', { videoIds: [A] })).toEqual([['a', 0, 10_000]]);
    expect(await found('steam engine', { excludeVideoIds: [A] })).toEqual([['b', 0, 4000]]);
    expect(await found('steam engine', { timeRange: { startMs: 5000, endMs: 9000 } })).toEqual([['a', 0, 10_000]]);
    expect(await found('steam engine -physics')).toEqual([['b', 0, 4000]]);
    // Said in the opening, though not in the title.
    expect(await found('steam engine -boiler')).toEqual([['a', 0, 10_000]]);
    const seen = await find('mind gap', { modalities: ['frames'] });
    expect(seen.flatMap(({ evidence }) => evidence).filter(({ kind }) => kind !== 'frame')).toEqual([]);
  });

  it('is evidence beside what is seen there, and no step of a sequence', async () => {
    const both = await find('mind gap', { modalities: ['frames', 'passages'] });
    expect(new Set(both[0]?.evidence.map(({ kind }) => kind))).toEqual(new Set(['title', 'frame']));
    const steps = { tenant: 't', steps: ['steam engine', 'boiler'], windowMs: 60_000, limit: 5 };
    expect(await searchSequence(deps(), { ...steps, modalities: ['passages'] })).toEqual([]);
  });
});

it('A word of a title holds for what is said in its video, unless it is an everyday word that others say', async () => {
  const passages = (id: string, ...texts: string[]) =>
    texts.map((text, i) => ({
      ...{ id: passageId(id, 60_000 + i * 9000), tenant: 'm', videoId: id, language: 'en', text },
      ...{ startMs: 60_000 + i * 9000, endMs: 62_000 + i * 9000 },
    }));
  await index.upsertPassages([
    ...passages(A, 'a coffee at the station', 'this is the derivative'),
    ...passages(B, 'water them in the morning', 'the derivative was in lecture 1'),
  ]);
  const named = async (title: string, query: string) => {
    const known = new Titles();
    known.add([{ id: A, title, metadata: [], durationMs: 600_000 }]);
    const deps_ = { index, encoder, titles: async () => known };
    const all = await search(deps_, { tenant: 'm', query, limit: 10, modalities: ['passages'] });
    return all.filter(({ confidence }) => confidence > 0.5).map(({ evidence }) => evidence[0]?.text);
  };
  expect(await named('Morning drive', 'coffee in the morning')).toEqual([]);
  expect(await named('Evening drive', 'coffee in the evening')).toEqual(['a coffee at the station']);
  expect(await named('Lecture 4', 'the derivative in lecture 4')).toEqual(['this is the derivative']);
});

it('A video is called by its whole title where nothing less will do, whatever words it is made of', () => {
  const shows = new Titles();
  shows.add([
    { id: A, title: 'Animal show', metadata: ['winter'], durationMs: 1000 },
    { id: B, title: 'Animals', metadata: [] },
  ]);
  const called = (name: string, isWhole?: boolean) => shows.called(name, { tenant: 't' }, isWhole);
  expect([called('animal show'), called('animal show', true)]).toEqual([[A], [A]]);
  expect([called('winter'), called('winter', true)]).toEqual([[A], []]);
  // Not probed yet, it has a name all the same.
  expect(called('Animals', true)).toEqual([B]);
});
