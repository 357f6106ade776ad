import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type SearchOptions, search } from '#retrieval';
import { openVectorIndex, type VectorIndex } from '#store';
import { tempDir } from '../fixtures/media.ts';

const TENANT = 'default';
const DIMENSION = 32;
const model = { id: 'meaning', dimension: DIMENSION };
/** Vectors of nothing in particular, the same each time. */
let state = 1;
function direction(): Float32Array {
  const values = Float32Array.from({ length: DIMENSION }, () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647 - 0.5;
  });
  const length = Math.hypot(...values);
  return values.map((value) => value / length);
}
const near = (to: Float32Array, by: number): Float32Array => {
  const other = direction();
  const mixed = to.map((value, i) => by * value + (1 - by) * (other[i] as number));
  const length = Math.hypot(...mixed);
  return mixed.map((value) => value / length);
};
const money = direction();
const nothing = direction();
const passageEncoder = {
  ...model,
  encodeQueries: async (texts: string[]) => texts.map((text) => (/finance|cat/.test(text) ? money : nothing)),
};
const encoder = { id: 'none', dimension: 1, logitScale: 1, encodeTexts: async () => [] };

let index: VectorIndex;
let dir: Awaited<ReturnType<typeof tempDir>>;
beforeAll(async () => {
  dir = await tempDir();
  index = await openVectorIndex({ lanceDir: join(dir.path, 'lance') });
  const row = (text: string, n: number, vector: Float32Array) => {
    const startMs = n * 10_000;
    return { id: randomUUID(), tenant: TENANT, videoId: 'v', startMs, endMs: startMs + 2000, text, vector };
  };
  const others = Array.from({ length: 300 }, (_, n) => row(`sentence number ${n}`, n, direction()));
  const wanted = row('how the bank lends its money', 400, near(money, 0.8));
  const word = row('the cat sleeps', 500, direction());
  await index.upsertPassages([...others, wanted, word], model);
});
afterAll(async () => {
  await index.close();
  await dir[Symbol.asyncDispose]();
});

const ask = (query: string, more: Partial<SearchOptions> = {}) =>
  search({ index, encoder, passageEncoder }, { tenant: TENANT, query, modalities: ['passages'], limit: 5, ...more });

describe('search by meaning', () => {
  it('finds a passage that has none of the words, and is sure of it', async () => {
    const [first, second] = await ask('they talk about finance');
    expect(first).toMatchObject({ startMs: 4_000_000, evidence: [{ text: 'how the bank lends its money' }] });
    expect(first?.confidence).toBeGreaterThan(0.5);
    expect(second?.confidence ?? 0).toBeLessThan(0.5);
  });

  it('is sure of nothing where nothing is meant', async () => {
    for (const { confidence } of await ask('they talk about xylophones')) expect(confidence).toBeLessThan(0.5);
  });

  it('goes beside words: both are found, and what is in quotes is taken word for word', async () => {
    const found = await ask('they talk about a cat');
    expect(
      found
        .slice(0, 2)
        .map(({ startMs }) => startMs)
        .sort(),
    ).toEqual([4_000_000, 5_000_000]);
    expect((await ask('"the cat sleeps"')).map(({ startMs }) => startMs)).toEqual([5_000_000]);
  });

  it('leaves out what must not be said, and what a filter leaves out', async () => {
    const starts = async (...args: Parameters<typeof ask>) => (await ask(...args)).map(({ startMs }) => startMs);
    expect(await starts('they talk about finance -bank')).not.toContain(4_000_000);
    expect(await starts('they talk about finance', { timeRange: { startMs: 0, endMs: 1_000_000 } })).not.toContain(
      4_000_000,
    );
    expect(await ask('they talk about finance', { tenant: 'other' })).toEqual([]);
  });
});
