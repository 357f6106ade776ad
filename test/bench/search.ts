/** Nearest frames among many, in the index that the embedded product uses. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { v5 } from 'uuid';
import { type FrameRow, frameId, openVectorIndex } from '#store';
import { median, progress, type Row } from './report.ts';

const DIMENSION = 512;
const videoIds = Array.from({ length: 100 }, (_, i) => v5(`video ${i}`, v5.URL));
const VIDEOS = videoIds.length;
const ROWS = 1000;

export async function search(frames = 100_000): Promise<Row[]> {
  const folder = await mkdtemp(join(tmpdir(), 'cuepoint-bench-index-'));
  const index = await openVectorIndex({ lanceDir: folder });
  try {
    const model = { id: 'bench@00000000', dimension: DIMENSION };
    const from = performance.now();
    for (let done = 0; done < frames; done += ROWS) {
      progress(`search: ${done} of ${frames} vectors`);
      const rows = Array.from({ length: Math.min(ROWS, frames - done) }, (_, i): FrameRow => {
        const at = done + i;
        const videoId = videoIds[at % VIDEOS] as string;
        const startMs = Math.floor(at / VIDEOS) * 1000;
        return {
          id: frameId(videoId, startMs),
          tenant: 'bench',
          videoId,
          startMs,
          endMs: startMs + 1000,
          vector: unit(at),
        };
      });
      await index.upsertFrames(model, rows);
    }
    const wroteMs = performance.now() - from;
    const time = async (filter: object) => {
      const times: number[] = [];
      for (let i = 0; i < 20; i++) {
        const began = performance.now();
        await index.searchFrames(model, unit(1e6 + i), { tenant: 'bench', ...filter }, 50);
        times.push(performance.now() - began);
      }
      return median(times);
    };
    progress('search: merging and making the index');
    const began = performance.now();
    await index.optimize();
    const optimizeMs = performance.now() - began;
    progress('search: asking');
    return [
      {
        part: 'search',
        measure: 'writing',
        value: (frames / wroteMs) * 1000,
        unit: 'rows/s',
        note: `${frames} frames of ${DIMENSION} numbers`,
      },
      {
        part: 'search',
        measure: 'upkeep after writing',
        value: optimizeMs / 1000,
        unit: 's',
        note: 'in the background',
      },
      { part: 'search', measure: 'all videos', value: await time({}), unit: 'ms', note: 'median of 20, 50 hits' },
      {
        part: 'search',
        measure: 'in one video of 100',
        value: await time({ videoIds: videoIds.slice(7, 8) }),
        unit: 'ms',
        note: 'median of 20, 50 hits',
      },
    ];
  } finally {
    await index.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** A vector of length one, the same for the same number. */
function unit(seed: number): Float32Array {
  const vector = new Float32Array(DIMENSION);
  let state = seed + 1;
  let sum = 0;
  for (let i = 0; i < DIMENSION; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const value = state / 2 ** 32 - 0.5;
    vector[i] = value;
    sum += value * value;
  }
  return vector.map((value) => value / Math.sqrt(sum));
}
