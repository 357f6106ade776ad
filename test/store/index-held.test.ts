import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, MatchQuery, type Table } from '@lancedb/lancedb';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openVectorIndex, type VectorIndex } from '#store';
import { clusteredFrames, generator } from '../bench/search-data.ts';
import { direction, frame, MODEL, passage } from './index-rows.ts';

const { HeldTables }: typeof import('../../libs/store/lancedb-held.ts') = await import(
  '../../dist/libs/store/lancedb-held.js' as string
);
const TENANT = { tenant: 't' };
const WORDS = ['red', 'green', 'blue', 'sofa', 'lamp', 'river', 'stone', 'bread'];

describe('Rows that are held in memory', () => {
  let dir: string;
  const opened: VectorIndex[] = [];
  const open = async (heldBytes: number) => {
    const index = await openVectorIndex({
      lanceDir: dir,
      lance: { heldBytes, indexRows: 300, exactRows: 50, keepVersionsMs: 0 },
    });
    opened.push(index);
    return index;
  };
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'cuepoint-held-'));
  });
  afterEach(async () => {
    for (const one of opened.splice(0)) await one.close();
    await rm(dir, { recursive: true, force: true });
  });

  it('are what the folder has, whatever another writes, replaces, removes and merges', async () => {
    const [memory, folder, writer] = [await open(2 ** 29), await open(0), await open(0)];
    const random = generator(4);
    const one = <T>(of: T[]): T => of[Math.floor(random() * of.length)] as T;
    const video = () => `video ${Math.floor(random() * 12)}`;
    const write = async () => {
      const id = video();
      const seconds = Array.from({ length: 40 }, () => Math.floor(random() * 60));
      await writer.upsertFrames(
        MODEL,
        seconds.map((second) => frame('t', id, second, random() * 3)),
      );
      const text = () => Array.from({ length: 6 }, () => one(WORDS)).join(' ');
      const rows = [...new Set(seconds)].map((second) => ({
        ...passage('t', id, second, text()),
        vector: direction(random() * 3),
      }));
      await writer.upsertPassages(rows, MODEL);
    };
    const searches = (filter: Parameters<VectorIndex['searchFrames']>[2]) => {
      const [near, words] = [direction(random() * 3), `${one(WORDS)} ${one(WORDS)}`];
      return (index: VectorIndex) =>
        Promise.all([
          index.searchFrames(MODEL, near, filter, 60, { withVectors: true }),
          index.searchFrames(MODEL, near, filter, 5),
          index.searchPassages(words, filter, 20),
          index.searchPassagesByVector(MODEL, near, filter, 20),
        ]);
    };
    for (let step = 0; step < 30; step++) {
      const kind = random();
      if (kind < 0.7 || step < 10) await write();
      else if (kind < 0.85) await writer.deleteVideo('t', video());
      else await writer.optimize();
      for (const filter of [TENANT, { ...TENANT, videoIds: [video(), video()] }]) {
        const search = searches(filter);
        const [held, read] = [await search(memory), await search(folder)];
        expect(held, `step ${step}`).toEqual(read);
        if (step >= 10 && filter === TENANT) for (const hits of held) expect(hits).not.toHaveLength(0);
      }
    }
  }, 120_000);

  it('lie at addresses that Lance gives once, even of a table that was emptied in between', async () => {
    const writer = await open(0);
    const rowAt = new Map<number, string>();
    const look = async () => {
      const db = await connect(dir);
      const table = await db.openTable((await db.tableNames())[0] ?? '');
      for (const { id, start_ms, _rowid } of await table.query().withRowId().toArray()) {
        const row = `${id} ${start_ms}`;
        expect(rowAt.get(Number(_rowid)) ?? row).toBe(row);
        rowAt.set(Number(_rowid), row);
      }
    };
    for (let round = 0; round < 3; round++) {
      for (let second = 0; second < 4; second++) {
        await writer.upsertFrames(MODEL, [frame('t', `v${round}`, second), frame('t', 'stays', second)]);
        await look();
      }
      await writer.optimize();
      await look();
      for (const video of [`v${round}`, ...(round === 1 ? ['stays'] : [])]) await writer.deleteVideo('t', video);
      await writer.optimize();
      await look();
    }
    expect(rowAt.size).toBeGreaterThan(24);
  });

  describe('of a table', () => {
    let writer: VectorIndex;
    let table: Table;
    beforeEach(async () => {
      writer = await open(0);
      await writer.upsertPassages([passage('t', 'v', 0, 'a red sofa'), passage('t', 'v', 1, 'a red lamp')]);
      table = await (await connect(dir, { readConsistencyInterval: 0 })).openTable('passages');
    });
    const held = async (tables: InstanceType<typeof HeldTables>) => {
      const search = table.query().fullTextSearch(new MatchQuery('red', 'terms'));
      const of = tables.of('passages', table, await table.version(), ['text']);
      return (await of.hits(search.select(['_score']).withRowId(), (row) => row.text('text')))?.sort();
    };

    it('are read once it is searched, then what comes after', async () => {
      const tables = new HeldTables(2 ** 20);
      expect(await held(tables)).toBeUndefined();
      await vi.waitFor(async () => expect(await held(tables)).toEqual(['a red lamp', 'a red sofa']));
      await writer.upsertPassages([passage('t', 'v', 2, 'a red river')]);
      expect(await held(tables), 'the new row is not held yet').toBeUndefined();
      await vi.waitFor(async () => expect(await held(tables)).toHaveLength(3));
      // Under another address, as what is replaced is.
      await writer.optimize();
      await vi.waitFor(async () => expect(await held(tables)).toHaveLength(3));
      await writer.upsertPassages([passage('t', 'v', 2, 'a red stone')]);
      await vi.waitFor(async () => expect(await held(tables)).toEqual(['a red lamp', 'a red sofa', 'a red stone']));
      await tables.close();
      expect(await held(tables), 'nothing is read after the end').toBeUndefined();
    });

    it('are none where it does not fit, or no longer', async () => {
      const { totalBytes } = await table.stats();
      const [none, some] = [new HeldTables(0), new HeldTables(3 * totalBytes)];
      await vi.waitFor(async () => expect(await held(some)).toHaveLength(2));
      expect(await held(none)).toBeUndefined();
      const more = [...clusteredFrames({ count: 500, dimension: 1, tenants: ['t'] })];
      await writer.upsertPassages(more.map((_, i) => passage('t', 'w', i, `a red ${i}`)));
      await vi.waitFor(async () => {
        await held(some);
        expect(some.bytes).toBe(0);
      });
      expect(await held(some)).toBeUndefined();
      expect(await held(none)).toBeUndefined();
      await Promise.all([none.close(), some.close()]);
    });
  });
});
