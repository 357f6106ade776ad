import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from 'vitest';
import { type FrameRow, openVectorIndex, StoreError, type VectorIndex } from '#store';
import { clusteredFrames, clusteredQueries } from '../bench/search-data.ts';
import { direction, frame, MODEL, passage, uuid } from './index-rows.ts';
import { inEachStore, qdrantUrl } from './index-stores.ts';

inEachStore('The vector index, used by many at once,', (store) => {
  const { url, open, holds, holdsAtSize } = store;
  let index: VectorIndex;
  let tenant: string;
  beforeEach(() => {
    ({ index, tenant } = store);
  });

  holds('shows a second connection at once what the first has written', async () => {
    const reader = await open();
    expect(await reader.searchPassages('weather', { tenant }, 5)).toEqual([]);
    for (let i = 0; i < 5; i++) {
      await index.upsertPassages([passage(tenant, 'v', i, 'weather')]);
      await index.upsertFrames(MODEL, [frame(tenant, 'v', i)]);
      expect(await reader.searchPassages('weather', { tenant }, 50)).toHaveLength(i + 1);
      expect(await reader.searchFrames(MODEL, direction(0), { tenant }, 50)).toHaveLength(i + 1);
    }
    await reader.deleteVideo(tenant, 'v');
    expect(await index.searchPassages('weather', { tenant }, 5)).toEqual([]);
  });

  holds('keeps one row an id when two processes create it and write the same rows, and a third optimises', async () => {
    const others = await Promise.all([
      startOther(url, store.dir, 'write', 'both', 20),
      startOther(url, store.dir, 'write', 'both', 20),
      startOther(url, store.dir, 'optimize', '-', 10),
    ]);
    for (const other of others) other.go();
    for (const other of others) expect(await other.done).toEqual({ code: 0, said: 'done' });
    const frames = await index.listFrames(MODEL, 'default', 'both');
    expect(frames.map((row) => row.startMs)).toEqual(Array.from({ length: 21 }, (_, i) => i * 1000));
    const passages = await index.listPassages('default', 'both');
    expect(passages.map((row) => row.startMs)).toEqual(Array.from({ length: 20 }, (_, i) => i * 1000));
    expect(await index.searchPassages('sentences', { tenant: 'default', videoIds: ['both'] }, 100)).toHaveLength(20);
    await index.deleteVideo('default', 'both');
  });

  holds('keeps one row an id when two connections write the same new rows at once', async () => {
    const second = await open();
    await index.upsertFrames(MODEL, [frame(tenant, 'before', 0)]);
    await index.upsertPassages([passage(tenant, 'before', 0, 'word')]);
    for (let round = 0; round < 10; round++) {
      const seconds = [0, 1, 2, 3].map((i) => round * 4 + i);
      const frames = seconds.map((at) => frame(tenant, 'v', at));
      const passages = seconds.map((at) => passage(tenant, 'v', at, 'word'));
      await Promise.all(
        [index, second].flatMap((one) => [one.upsertFrames(MODEL, frames), one.upsertPassages(passages)]),
      );
    }
    expect(await index.listFrames(MODEL, tenant, 'v')).toHaveLength(40);
    expect(await second.listPassages(tenant, 'v')).toHaveLength(40);
  });

  holds('is read while another deletes, writes and optimises', async () => {
    const reader = await open();
    await index.upsertFrames(
      MODEL,
      Array.from({ length: 500 }, (_, i) => frame(tenant, 'stays', i)),
    );
    let isWriting = true;
    const writing = (async () => {
      for (let i = 0; i < 8; i++) {
        await index.upsertFrames(
          MODEL,
          Array.from({ length: 50 }, (_, k) => frame(tenant, `goes-${i}`, k)),
        );
        await index.deleteVideo(tenant, `goes-${i}`);
        await index.optimize();
      }
    })().finally(() => {
      isWriting = false;
    });
    let reads = 0;
    while (isWriting) {
      const hits = await reader.searchFrames(MODEL, direction(0), { tenant, videoIds: ['stays'] }, 1000);
      expect(hits).toHaveLength(500);
      reads++;
    }
    await writing;
    expect(reads).toBeGreaterThan(3);
  });

  holdsAtSize(
    'gives a small tenant its hits though another has 20,000 nearer frames, without long blocks',
    async () => {
      const model = { id: `test/wide-${tenant}`, dimension: 128 };
      const random = generator(1);
      const big = `${tenant}-big`;
      const small = Array.from({ length: 30 }, (_, i) => wide(tenant, i, 1.2 + i / 100, random));
      await index.upsertFrames(model, small);
      let longestTurnMs = 0;
      for (let at = 0; at < 20; at++) {
        const rows = Array.from({ length: 1000 }, (_, i) => wide(big, at * 1000 + i, 0.3, random));
        longestTurnMs = Math.max(longestTurnMs, await longestTurn(() => index.upsertFrames(model, rows)));
      }
      const query = new Float32Array(128);
      query[0] = 1;
      const reading = await longestTurn(async () => {
        const before = await index.searchFrames(model, query, { tenant }, 20);
        expect(before.map((hit) => hit.id)).toEqual(small.slice(0, 20).map((row) => row.id));
        expect(await index.searchFrames(model, query, { tenant: big }, 200)).toHaveLength(200);
        expect((await index.listFrames(model, big, 'v')).length).toBe(20_000);
        await index.optimize();
        expect(await index.searchFrames(model, query, { tenant }, 20)).toEqual(before);
      });
      expect(Math.max(longestTurnMs, reading)).toBeLessThan(50);
    },
    120_000,
  );

  holds('takes many small writes at once as few, and stays quick', async () => {
    const writes = Array.from({ length: 300 }, (_, i) => index.upsertPassages([passage(tenant, 'v', i, `word ${i}`)]));
    await Promise.all(writes);
    expect(await index.listPassages(tenant, 'v')).toHaveLength(300);
    const start = performance.now();
    for (let i = 0; i < 100; i++) await index.upsertFrames(MODEL, [frame(tenant, 'v', i)]);
    expect((performance.now() - start) / 100).toBeLessThan(500);
    expect(await index.searchFrames(MODEL, direction(0), { tenant }, 1000)).toHaveLength(100);
  });
});

describe.each(['none', 'int8', 'binary'] as const)('Qdrant with quantization %s', (quantization) => {
  it.skipIf(!qdrantUrl)(
    `finds 0.98 of the 20 nearest that an exact search finds${qdrantUrl ? '' : ' (skipped: QDRANT_URL is not set)'}`,
    async () => {
      const tenant = uuid(`recall ${quantization} ${Date.now()}`);
      const model = { id: `test/recall-${tenant}`, dimension: 128 };
      const index = await openVectorIndex({ lanceDir: '', qdrant: { url: qdrantUrl as string, quantization } });
      // Over Qdrant's own threshold, from which it searches by graph: 20 MB of vectors.
      const rows = [...clusteredFrames({ count: 50_000, dimension: 128, tenants: [tenant] })];
      for (let at = 0; at < rows.length; at += 1000) await index.upsertFrames(model, rows.slice(at, at + 1000));
      const queries = clusteredQueries({ count: 50, dimension: 128 });
      const nearest = queries.map((query) =>
        rows
          .map(({ id, vector }) => ({ id, score: vector.reduce((sum, value, i) => sum + value * (query[i] ?? 0), 0) }))
          .sort((a, b) => b.score - a.score)
          .slice(0, 20),
      );
      const recall = async () => {
        const found = await index.searchFramesBatch(model, queries, { tenant }, 20);
        const ids = found.map((hits) => new Set(hits.map((hit) => hit.id)));
        return nearest.flatMap((hits, i) => hits.filter(({ id }) => ids[i]?.has(id))).length / (20 * queries.length);
      };
      // Again when the graph has been made, which takes a while.
      expect(await recall()).toBeGreaterThanOrEqual(0.98);
      await sleep(60_000);
      expect(await recall()).toBeGreaterThanOrEqual(0.98);
      for (const videoId of new Set(rows.map((row) => row.videoId))) await index.deleteVideo(tenant, videoId);
      await index.close();
    },
    300_000,
  );
});

describe('The vector index', () => {
  it('in LanceDB writes again once what kept it from making a table is gone', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'cuepoint-index-'));
    const index = await openVectorIndex({ lanceDir: dir });
    await writeFile(join(dir, 'passages.lance'), 'in the way');
    await expect(index.upsertPassages([passage('t', 'v', 0, 'weather')])).rejects.toThrow();
    await rm(join(dir, 'passages.lance'));
    await index.upsertPassages([passage('t', 'v', 1, 'weather')]);
    expect(await index.searchPassages('weather', { tenant: 't' }, 5)).toHaveLength(1);
    await index.close();
    await rm(dir, { recursive: true });
  });

  it('in LanceDB goes on where a process died while it made a table', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'cuepoint-index-'));
    const first = await openVectorIndex({ lanceDir: dir });
    await first.upsertFrames(MODEL, [frame('t', 'v', 0)]);
    await first.upsertPassages([passage('t', 'v', 0, 'weather')]);
    await first.close();
    for (const table of await readdir(dir)) await rm(join(dir, table, '_versions'), { recursive: true });
    const index = await openVectorIndex({ lanceDir: dir });
    await index.deleteVideo('t', 'v');
    await index.optimize();
    expect(await index.searchFrames(MODEL, direction(0), { tenant: 't' }, 5)).toEqual([]);
    await index.upsertFrames(MODEL, [frame('t', 'v', 0)]);
    await index.upsertPassages([passage('t', 'v', 0, 'weather')]);
    expect(await index.searchFrames(MODEL, direction(0), { tenant: 't' }, 5)).toHaveLength(1);
    expect(await index.searchPassages('weather', { tenant: 't' }, 5)).toHaveLength(1);
    await index.close();
    await rm(dir, { recursive: true });
  });

  it('says that Qdrant cannot be reached, so that a job tries again', async () => {
    const index = await openVectorIndex({ lanceDir: '', qdrant: { url: 'http://127.0.0.1:9' } });
    const failure = await index.searchPassages('weather', { tenant: 't' }, 5).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(StoreError);
    expect(failure).toMatchObject({ code: 'store_unavailable', retryable: true });
    await expect(index.upsertFrames(MODEL, [frame('t', 'v', 0)])).rejects.toMatchObject({ code: 'store_unavailable' });
    await index.close();
  });
});

/** Another process at work on the same index; it begins at `go()`. */
async function startOther(url: string | undefined, dir: string, task: string, videoId: string, count: number) {
  const script = new URL('./index-writer.ts', import.meta.url).pathname;
  const child: ChildProcess = spawn(process.execPath, [script, dir, task, videoId, String(count)], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, QDRANT_URL: url ?? '' },
  });
  const exited = once(child, 'exit');
  const lines = createInterface({ input: child.stdout as NonNullable<typeof child.stdout> })[Symbol.asyncIterator]();
  expect((await lines.next()).value).toBe('ready');
  const done = (async () => {
    const said = (await lines.next()).value;
    const [code] = await exited;
    return { code, said };
  })();
  return { go: () => child.stdin?.write('go\n'), done };
}

/** The most of this thread's processor time that one turn of the event loop took meanwhile, in ms: what others on the machine take is not counted. */
async function longestTurn(work: () => Promise<void>): Promise<number> {
  let isRunning = true;
  let longest = 0;
  let last = process.threadCpuUsage();
  const tick = () => {
    const used = process.threadCpuUsage(last);
    longest = Math.max(longest, (used.user + used.system) / 1000);
    last = process.threadCpuUsage();
    if (isRunning) setImmediate(tick);
  };
  setImmediate(tick);
  await work().finally(() => {
    isRunning = false;
  });
  return longest;
}

/** Random numbers that are the same each time (mulberry32). */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
function wide(tenant: string, second: number, angle: number, random: () => number): FrameRow {
  const rest = Float32Array.from({ length: 127 }, () => random() - 0.5);
  const length = Math.hypot(...rest);
  const vector = new Float32Array(128);
  vector[0] = Math.cos(angle);
  rest.forEach((value, i) => {
    vector[i + 1] = (value / length) * Math.sin(angle);
  });
  return { ...frame(tenant, 'v', second), vector };
}
