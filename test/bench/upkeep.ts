/** What is left on disk after many videos came and went, while another process searches the same folder and does its upkeep. */
import { fork } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type FrameRow, openVectorIndex, type PassageRow, type VectorIndex } from '#store';
import { progress, type Row } from './report.ts';
import { clusteredFrames, clusteredPassages } from './search-data.ts';
import { bytesOf, TENANT } from './search-library.ts';

export const MODEL = { id: 'bench/512', dimension: 512 };
/** What stays. */
const STAYING = { frames: 10_000, passages: 2000 };
/** A video that goes again. */
const VIDEO = { frames: 50, passages: 10 };
/** Videos written, or removed, at a time. */
const AT_A_TIME = 4;
/** Replaced files go after this time here; after ten minutes and an hour in the product (lancedb.ts). */
export const TUNING = { keepVersionsMs: 15_000, keepUnknownMs: 20_000 };
/** Upkeeps after the last video has gone, each after the one before may be cleared away. */
const ROUNDS = 4;

/** What the other process saw. */
export interface Seen {
  searches: number;
  upkeeps: number;
  failures: string[];
  slowestMs: number;
}

export async function upkeep(videos: number): Promise<Row[]> {
  const dir = await mkdtemp(join(tmpdir(), 'cuepoint-bench-upkeep-'));
  try {
    const [fresh, used] = [join(dir, 'fresh'), join(dir, 'used')];
    progress('upkeep: what stays, alone');
    await using alone = closing(await filled(fresh));
    await rest(alone.index, 2);

    await using shared = closing(await filled(used));
    const other = fork(fileURLToPath(new URL('./upkeep-searcher.ts', import.meta.url)), [used]);
    const seen = new Promise<Seen>((resolve, reject) => {
      other.once('message', (message) => resolve(message as Seen));
      other.once('exit', () => reject(new Error('the searching process ended')));
    });
    seen.catch(() => {});
    const wroteMs = await each(videos, 'come', async (video) => {
      const rows = rowsOf(video);
      await shared.index.upsertFrames(MODEL, rows.frames);
      await shared.index.upsertPassages(rows.passages);
    });
    await shared.index.optimize();
    const full = await bytesOf(used);
    const removedMs = await each(videos, 'gone', (video) => shared.index.deleteVideo(TENANT, name(video)));
    const removed = await bytesOf(used);
    await rest(shared.index, ROUNDS);
    other.send('stop');
    const { searches, upkeeps, failures, slowestMs } = await seen;
    if (failures.length > 0) console.log(`upkeep: ${failures.length} failures, the first: ${failures[0]}`);
    await rest(shared.index, 1);
    const [before, after] = [await bytesOf(fresh), await bytesOf(used)];
    const mb = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`;
    const part = 'upkeep';
    return [
      {
        part,
        measure: `on disk after ${videos} videos, over what stays`,
        value: after / before,
        unit: 'x',
        bar: { atMost: 1.1 },
        note: `${mb(before)} stay; ${mb(full)} when all were there, ${mb(removed)} when they had just gone`,
      },
      {
        part,
        measure: 'another process, searches that failed',
        value: failures.length,
        unit: '',
        bar: { atMost: 0 },
        note: `of ${searches}, with ${upkeeps} upkeeps of its own`,
      },
      { part, measure: 'another process, slowest search', value: slowestMs, unit: 'ms' },
      { part, measure: 'a video indexed', value: wroteMs / videos, unit: 'ms' },
      { part, measure: 'a video removed', value: removedMs / videos, unit: 'ms' },
    ];
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function filled(lanceDir: string): Promise<VectorIndex> {
  const index = await openVectorIndex({ lanceDir, lance: TUNING });
  const { dimension } = MODEL;
  await index.upsertFrames(MODEL, [...clusteredFrames({ count: STAYING.frames, dimension, tenants: [TENANT] })]);
  const passages = clusteredPassages({ count: STAYING.passages, dimension: 1, tenants: [TENANT] });
  await index.upsertPassages([...passages].map(({ vector: _, ...row }) => row));
  await index.optimize();
  return index;
}

const name = (video: number): string => `video that goes, ${video}`;
function rowsOf(video: number): { frames: FrameRow[]; passages: PassageRow[] } {
  const seed = video + 2;
  const own = <R extends { id: string; videoId: string }>(row: R): R => ({ ...row, videoId: name(video) });
  const frames = clusteredFrames({ count: VIDEO.frames, dimension: MODEL.dimension, tenants: [TENANT], seed });
  const passages = clusteredPassages({ count: VIDEO.passages, dimension: 1, tenants: [TENANT], seed });
  return { frames: [...frames].map(own), passages: [...passages].map(({ vector: _, ...row }) => own(row)) };
}

async function each(videos: number, what: string, task: (video: number) => Promise<void>): Promise<number> {
  const from = performance.now();
  for (let first = 0; first < videos; first += AT_A_TIME) {
    if (first % 100 === 0) progress(`upkeep: ${first} of ${videos} videos ${what}`);
    const some = Array.from({ length: Math.min(AT_A_TIME, videos - first) }, (_, i) => first + i);
    await Promise.all(some.map(task));
  }
  return performance.now() - from;
}

async function rest(index: VectorIndex, rounds: number): Promise<void> {
  for (let round = 1; round <= rounds; round++) {
    progress(`upkeep: round ${round} of ${rounds}`);
    await sleep(TUNING.keepUnknownMs + 1000);
    await index.optimize();
  }
}

const closing = (index: VectorIndex) => ({ index, [Symbol.asyncDispose]: () => index.close() });
