import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, readdir, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, makeArrowTable } from '@lancedb/lancedb';
import * as arrow from 'apache-arrow';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type FrameHit, openVectorIndex, type VectorIndex } from '#store';
import { clusteredFrames, clusteredQueries } from '../bench/search-data.ts';
import { direction, frame, MODEL, passage } from './index-rows.ts';

const { LanceFolder }: typeof import('../../libs/store/lancedb-folder.ts') = await import(
  '../../dist/libs/store/lancedb-folder.js' as string
);
const { compact }: typeof import('../../libs/store/lancedb-table.ts') = await import(
  '../../dist/libs/store/lancedb-table.js' as string
);
const WIDE = { id: 'test/wide', dimension: 128 };
/** An index at 4,000 rows, so that a test sees what a library of 10,000 frames has. */
const SMALL = { indexRows: 4000, exactRows: 500 };

describe('The vector index in LanceDB', () => {
  let dir: string;
  const opened: VectorIndex[] = [];
  const open = async (lance: Parameters<typeof openVectorIndex>[0]['lance']) => {
    const index = await openVectorIndex({ lanceDir: dir, lance });
    opened.push(index);
    return index;
  };
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'cuepoint-lance-'));
  });
  afterEach(async () => {
    for (const one of opened.splice(0)) await one.close();
    await rm(dir, { recursive: true, force: true });
  });

  it('finds by its index what an exact search finds, filtered or not, and what came since', async () => {
    const rows = [...clusteredFrames({ count: 6000, dimension: 128, tenants: ['t', 'u'] })];
    const exact = await open({ indexRows: 1e9 });
    await exact.upsertFrames(WIDE, rows);
    const indexed = await open(SMALL);
    const filters = [
      { tenant: 't' },
      { tenant: 't', timeRange: { startMs: 0, endMs: 300_000 } },
      { tenant: 't', videoIds: [...new Set(rows.map((row) => row.videoId))].slice(0, 5) },
      { tenant: 't', excludeVideoIds: Array.from({ length: 600 }, (_, i) => rows[i]?.videoId ?? '') },
    ];
    const queries = clusteredQueries({ count: 10, dimension: 128 });
    const wanted: FrameHit[][][] = [];
    for (const filter of filters) wanted.push(await exact.searchFramesBatch(WIDE, queries, filter, 20));
    await indexed.optimize();
    expect(await vectorIndexes(dir)).toHaveLength(1);
    for (const [i, filter] of filters.entries()) {
      const found = await indexed.searchFramesBatch(WIDE, queries, filter, 20);
      expect(recall(found, wanted[i] ?? []), JSON.stringify(filter).slice(0, 60)).toBeGreaterThanOrEqual(0.98);
    }
    const [first] = queries as [Float32Array];
    const late = { ...frame('t', 'late', 0), vector: first };
    await indexed.upsertFrames(WIDE, [late]);
    expect((await indexed.searchFrames(WIDE, first, { tenant: 't' }, 1))[0]?.id).toBe(late.id);
    await indexed.deleteVideo('t', 'late');
    expect((await indexed.searchFrames(WIDE, first, { tenant: 't' }, 1))[0]?.id).toBe(wanted[0]?.[0]?.[0]?.id);
  }, 120_000);

  it('cuts its index anew when the table has outgrown it', async () => {
    const index = await open({ indexRows: 300, exactRows: 0 });
    const rows = [...clusteredFrames({ count: 3000, dimension: 128, tenants: ['t'] })];
    await index.upsertFrames(WIDE, rows.slice(0, 400));
    await index.optimize();
    expect(await vectorIndexes(dir)).toEqual(['vector_400']);
    await index.upsertFrames(WIDE, rows.slice(400, 800));
    await index.optimize();
    expect(await vectorIndexes(dir)).toEqual(['vector_400']);
    await index.upsertFrames(WIDE, rows.slice(800));
    await index.optimize();
    expect(await vectorIndexes(dir)).toEqual(['vector_3000']);
    expect(await index.searchFrames(WIDE, rows[0]?.vector as Float32Array, { tenant: 't' }, 5)).toHaveLength(5);
  }, 120_000);

  it('gives the space of deleted videos back', async () => {
    const index = await open({ indexRows: 2000, keepVersionsMs: 0 });
    const stays = [...clusteredFrames({ count: 3000, dimension: 128, tenants: ['t'] })];
    await index.upsertFrames(WIDE, stays);
    await index.upsertPassages(stays.map((row, i) => passage('t', row.videoId, i, `sentence ${i} of many`)));
    await index.optimize();
    await index.optimize();
    const before = diskUse(dir);
    const videos = Array.from({ length: 40 }, (_, i) => `goes-${i}`);
    for (const video of videos) {
      const rows = stays.slice(0, 100).map((row, i) => ({ ...frame('t', video, i), vector: row.vector }));
      await index.upsertFrames(WIDE, rows);
      await index.upsertPassages(rows.map((_, i) => passage('t', video, i, `other sentence ${i}`)));
    }
    await index.optimize();
    const grown = diskUse(dir);
    for (const video of videos) await index.deleteVideo('t', video);
    await index.optimize();
    await index.optimize();
    const after = diskUse(dir);
    expect(grown).toBeGreaterThan(1.8 * before);
    expect(after).toBeLessThan(1.1 * before);
    expect(await index.listFrames(WIDE, 't', stays[0]?.videoId ?? '')).not.toHaveLength(0);
  }, 120_000);

  it('keeps what it replaces for those who are reading it, however long it was there before', async () => {
    const keepVersionsMs = 1000;
    const index = await open({ keepVersionsMs });
    for (let i = 0; i < 8; i++) await index.upsertFrames(MODEL, [frame('t', 'v', i)]);
    const db = await connect(dir);
    const reader = await db.openTable((await db.tableNames())[0] ?? '');
    const version = await reader.version();
    await reader.checkout(version);
    await sleep(1.5 * keepVersionsMs);
    await index.optimize();
    expect((await reader.query().toArray()).length).toBe(8);
    const versions = async () => (await (await db.openTable(reader.name)).listVersions()).map((one) => one.version);
    const after = await versions();
    expect(after).toContain(version);
    expect(after.at(-1)).toBeGreaterThan(version);
    await sleep(1.5 * keepVersionsMs);
    await index.optimize();
    expect(await versions()).not.toContain(version);
  }, 60_000);

  it('removes files that a write has left which never came to an end, once nothing has been written for a while', async () => {
    const index = await open({ keepVersionsMs: 0, keepUnknownMs: 2000 });
    await index.upsertFrames(MODEL, [frame('t', 'v', 0)]);
    const [table = ''] = await (await connect(dir)).tableNames();
    const data = join(dir, `${table}.lance`, 'data');
    const [file = ''] = await readdir(data);
    const leave = async (name: string, at: number) => {
      await copyFile(join(data, file), join(data, name));
      await utimes(join(data, name), at / 1000, at / 1000);
    };
    await leave('abandoned.lance', Date.now() - 60_000);
    await leave('going-on.lance', Date.now() + 1000);
    await index.optimize();
    expect(await readdir(data)).toContain('abandoned.lance');
    await sleep(2500);
    await index.optimize();
    const left = await readdir(data);
    expect(left).not.toContain('abandoned.lance');
    expect(left).toContain('going-on.lance');
    expect(await index.listFrames(MODEL, 't', 'v')).toHaveLength(1);
  });

  it('takes no write for abandoned because the clock was set', async () => {
    const index = await open({});
    await index.upsertFrames(MODEL, [frame('t', 'v', 0)]);
    const db = await connect(dir);
    const table = await db.openTable((await db.tableNames())[0] ?? '');
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 24 * 3600_000 });
    const resting = { sinceMs: 0 };
    const keep = { keepVersionsMs: 60_000, keepUnknownMs: 60_000 };
    expect(await compact(table, keep, resting)).toEqual({ isChanged: false, hasRested: false });
    vi.useRealTimers();
    expect(await compact(table, { ...keep, keepUnknownMs: 0 }, resting)).toMatchObject({ hasRested: true });
  });

  it('is whole after a process was killed in its upkeep, while another writes and reads', async () => {
    const index = await open(SMALL);
    const rows = [...clusteredFrames({ count: 5000, dimension: 128, tenants: ['default'] })];
    await index.upsertFrames(WIDE, rows);
    let written = 0;
    for (const afterMs of [50, 200, 600]) {
      const upkeep = await startUpkeep(dir);
      const killed = sleep(afterMs).then(() => upkeep.kill('SIGKILL'));
      for (let i = 0; i < 5; i++, written++) {
        await index.upsertFrames(MODEL, [frame('default', 'v', written)]);
        await index.upsertPassages([passage('default', 'v', written, 'weather')]);
        expect(await index.searchFrames(WIDE, rows[i]?.vector as Float32Array, { tenant: 'default' }, 1)).toHaveLength(
          1,
        );
      }
      await killed;
    }
    await index.optimize();
    expect(await vectorIndexes(dir)).toHaveLength(1);
    expect(await index.listFrames(MODEL, 'default', 'v')).toHaveLength(written);
    expect(await index.searchPassages('weather', { tenant: 'default' }, 100)).toHaveLength(written);
    const hits = await index.searchFramesBatch(
      WIDE,
      rows.slice(0, 50).map((row) => row.vector),
      { tenant: 'default' },
      1,
    );
    expect(hits.map(([hit]) => hit?.id)).toEqual(rows.slice(0, 50).map((row) => row.id));
  }, 120_000);

  it('opens the folder anew from time to time, while it is written, searched and kept up', async () => {
    const index = await open({ ...SMALL, renewAfter: 2 });
    const reader = await open({ renewAfter: 1 });
    const vector = frame('t', 'v', 0).vector;
    const filter = { tenant: 't' };
    const writes: Promise<void>[] = [];
    for (let i = 0; i < 20; i++) {
      writes.push(
        index.upsertFrames(MODEL, [frame('t', 'v', i)]),
        index.upsertPassages([passage('t', 'v', i, 'word')]),
      );
      if (i % 5 === 4) writes.push(index.optimize(), index.deleteVideo('t', 'other'));
      await sleep(20);
      await Promise.all([reader.searchFrames(MODEL, vector, filter, 50), index.searchPassages('word', filter, 50)]);
    }
    await Promise.all(writes);
    for (const one of [index, reader]) {
      expect(await one.searchFrames(MODEL, vector, filter, 50)).toHaveLength(20);
      expect(await one.searchPassages('word', filter, 50)).toHaveLength(20);
    }
    await index.close();
    await expect(index.listFrames(MODEL, 't', 'v')).rejects.toThrow(/closed/i);
  });

  it('keeps a table open until its tables have changed so often, and whoever reads the old one goes on', async () => {
    await (await open({})).upsertPassages([passage('t', 'v', 0, 'word')]);
    const folder = await LanceFolder.open(dir, { keepVersionsMs: 1000, keepUnknownMs: 1000, renewAfter: 3 });
    const first = await folder.find('passages');
    const isFirst = async () => (await folder.find('passages')) === first;
    folder.changed();
    folder.changed();
    await sleep(100);
    expect(await isFirst()).toBe(true);
    folder.changed();
    while (await isFirst()) await sleep(20);
    expect(await first?.countRows()).toBe(1);
    await folder.close();
  });

  it('takes a folder from before passages had a kind', async () => {
    const db = await connect(dir);
    const old = { id: 'a', tenant: 't', video_id: 'v', start_ms: 0, end_ms: 1000, text: 'rain', language: 'en' };
    await (await db.createTable('passages', [old])).close();
    const [one, two] = [await open({}), await open({})];
    const all = await Promise.all([one, two].map((index) => index.listPassages('t', 'v')));
    for (const passages of all) expect(passages).toMatchObject([{ text: 'rain', kind: 'speech' }]);
    expect(await one.searchPassages('rain', { tenant: 't' }, 10)).toHaveLength(1);
    await one.upsertPassages([{ ...passage('t', 'v', 1, 'snow'), kind: 'caption' }]);
    expect(await two.listPassages('t', 'v', { kinds: ['caption'] })).toHaveLength(1);
  });

  it('finds what a process of an earlier version writes to the folder beside it', async () => {
    const index = await open({});
    await index.upsertFrames(MODEL, [frame('t', 'v', 0)]);
    await index.upsertPassages([passage('t', 'v', 0, 'rain')]);
    const db = await connect(dir);
    const writeOld = async (second: number) => {
      for (const name of await db.tableNames()) {
        const table = await db.openTable(name);
        const own = name.startsWith('passages') ? { text: 'old rain' } : { vector: [...direction(1)] };
        const row = { id: `old-${second}`, tenant: 't', video_id: 'v', start_ms: second * 1000, end_ms: 9000, ...own };
        const known = (await table.schema()).fields.filter((field) => field.name in row);
        const rows = makeArrowTable([row], { schema: new arrow.Schema(known) });
        await table.mergeInsert('id').whenMatchedUpdateAll().whenNotMatchedInsertAll().execute(rows);
        table.close();
      }
    };
    const startMs = 5000;
    await writeOld(5);
    expect(await index.searchFrames(MODEL, direction(1), { tenant: 't' }, 5)).toMatchObject([{ startMs }, {}]);
    expect(await index.frameAt(MODEL, 't', 'v', 6000)).toMatchObject({ id: 'old-5', startMs, endMs: 9000 });
    expect(await index.listPassages('t', 'v')).toMatchObject([{}, { id: 'old-5', startMs, text: 'old rain' }]);
    await writeOld(6);
    await index.optimize();
    expect(await index.searchPassages('old', { tenant: 't', kinds: ['speech'] }, 5)).toHaveLength(2);
  });
});

async function vectorIndexes(dir: string): Promise<string[]> {
  const db = await connect(dir);
  const name = (await db.tableNames()).find((table) => table.startsWith('frames_test-wide')) ?? '';
  const table = await db.openTable(name);
  const names = (await table.listIndices()).filter((one) => one.columns.includes('vector')).map((one) => one.name);
  table.close();
  db.close();
  return names;
}
function recall(found: FrameHit[][], wanted: FrameHit[][]): number {
  const shares = wanted.map((hits, i) => {
    const ids = new Set(found[i]?.map((hit) => hit.id));
    return hits.filter((hit) => ids.has(hit.id)).length / hits.length;
  });
  return shares.reduce((sum, share) => sum + share, 0) / shares.length;
}
const diskUse = (dir: string): number => Number(execFileSync('du', ['-sk', dir], { encoding: 'utf8' }).split('\t')[0]);

/** Another process that does upkeep again and again. */
async function startUpkeep(dir: string) {
  const script = new URL('./index-writer.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [script, dir, 'upkeep', '-', '1000'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  expect((await lines.next()).value).toBe('ready');
  child.stdin.write('go\n');
  return {
    kill: async (signal: NodeJS.Signals) => {
      child.kill(signal);
      await once(child, 'exit');
    },
  };
}
