import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { everyPlace, search, Titles } from '#retrieval';
import { frameId, openVectorIndex, passageId, type VectorIndex } from '#store';

const MODEL = { id: 'test/two', dimension: 2, logitScale: 20 };
const VIDEO = '0190a000-0000-7000-8000-00000000000a';
const picture = (isBoat: boolean) => new Float32Array(isBoat ? [1, 0] : [0, 1]);
const encoder = {
  ...MODEL,
  encodeTexts: async (texts: string[]) => texts.map((text) => picture(text.includes('boat'))),
};

let dir: string;
let index: VectorIndex;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'cuepoint-words-'));
  index = await openVectorIndex({ lanceDir: dir });
});
afterEach(async () => {
  await index.close();
  await rm(dir, { recursive: true, force: true });
});

type Said = [startMs: number, endMs: number, text: string];
const say = (passages: Said[]) =>
  index.upsertPassages(
    passages.map(([startMs, endMs, text]) => {
      const id = passageId(VIDEO, startMs);
      return { id, tenant: 't', videoId: VIDEO, startMs, endMs, text, language: 'en' };
    }),
  );
const options = { tenant: 't', limit: 10, modalities: ['passages' as const] };
const find = (query: string) => search({ index, encoder }, { ...options, query });

describe('What is in quotes', () => {
  it('is said with all its words, those that say nothing by themselves too', async () => {
    const texts = [
      'To be, or not to be.',
      'It is not good.',
      'Out of the box?',
      'out-of-the-box',
      'The box is out of it',
    ];
    await say(texts.map((text, i) => [i * 10_000, i * 10_000 + 2000, text]));
    const sure = async (query: string) =>
      (await find(query)).filter(({ confidence }) => confidence > 0.5).map(({ startMs }) => startMs / 10_000);
    expect(await sure('"to be or not to be"')).toEqual([0]);
    expect((await sure('"out of the box"')).sort()).toEqual([2, 3]);
    expect(await sure('box "of it"')).toEqual([4]);
    expect((await sure('out box -"out of the box"')).sort()).toEqual([4]);
  });

  it('stands so in a title', async () => {
    const titles = new Titles();
    titles.add([{ id: VIDEO, title: 'Not good', metadata: [], durationMs: 60_000 }]);
    const named = (query: string) => search({ index, encoder, titles: async () => titles }, { ...options, query });
    expect(await named('"not"')).toHaveLength(1);
    expect(await named('"to be or not to be"')).toEqual([]);
  });
});

describe('A name of initials', () => {
  it('is marked as one', async () => {
    await say([[0, 2000, 'Sold: AT&T, after the Q&A']]);
    const [first] = await find('the AT&T Q&A that they sold');
    const { text = '', highlights = [] } = first?.evidence[0] ?? {};
    expect(highlights.map(([from, to]) => text.slice(from, to))).toEqual(['Sold', 'AT&T', 'Q&A']);
  });
});

describe('A word of a script whose marks are letters', () => {
  it('is told from one with other marks, and cut from what stands before it', async () => {
    const texts = [
      '来年パリへ行く',
      '来年バリへ行く',
      'आज का दिन',
      'दान और क़लम',
      'ดื่มน้ำเยอะๆ ทุกวัน',
      'แมวสีดำนั่งอยู่',
      'école مَدْرَسَة',
    ];
    await say(texts.map((text, i) => [i * 10_000, i * 10_000 + 2000, text]));
    const found = async (query: string) => (await find(query)).map(({ startMs }) => startMs / 10_000);
    for (const [at, query] of [
      [0, 'パリ'],
      [2, 'दिन'],
      [3, 'कलम'],
      [4, 'น้ำ'],
      [5, 'ดำ'],
      [6, 'ecole'],
      [6, 'مدرسة'],
    ] as const)
      expect([query, await found(query)]).toEqual([query, [at]]);
  });
});

describe('What must not be there', () => {
  it('is not said between two passages that are one moment otherwise', async () => {
    await say([
      [0, 1000, 'soup with bread'],
      [1000, 2000, 'onions'],
      [2000, 3000, 'soup with bread'],
    ]);
    const spans = (moments: { startMs: number; endMs: number }[]) =>
      moments.map(({ startMs, endMs }) => [startMs, endMs]).sort(([a = 0], [b = 0]) => a - b);
    const apart = [
      [0, 1000],
      [2000, 3000],
    ];
    expect(spans(await find('soup'))).toEqual([[0, 3000]]);
    expect(spans(await find('soup -onion'))).toEqual(apart);
    const places = await everyPlace({ index, encoder }, { ...options, query: 'soup -onion' });
    expect(spans(places.moments)).toEqual(apart);
  });
});

describe('Evidence', () => {
  it('of what is said lies at the picture that it goes with, not anywhere in what goes on for long', async () => {
    await say([
      [0, 9000, 'a boat, a boat, a boat'],
      [9000, 19_000, 'the boat leaves in the morning with them'],
    ]);
    await index.upsertFrames(
      MODEL,
      Array.from({ length: 40 }, (_, i) => {
        const startMs = i * 1000;
        const span = { tenant: 't', videoId: VIDEO, startMs, endMs: startMs + 1000 };
        return { id: frameId(VIDEO, startMs), ...span, vector: picture(i === 20) };
      }),
    );
    const found = await search({ index, encoder }, { tenant: 't', query: 'a boat', limit: 10 });
    const seen = found.find(({ startMs }) => startMs === 20_000);
    expect(seen?.evidence.map(({ kind, atMs }) => [kind, atMs])).toEqual([
      ['frame', 20_000],
      ['passage', 9000],
    ]);
  });
});
