/** The other process of upkeep.ts: searches a folder and does its upkeep until it is told to stop. */
import { setTimeout as sleep } from 'node:timers/promises';
import { openVectorIndex } from '#store';
import { clusteredFrames } from './search-data.ts';
import { TENANT } from './search-library.ts';
import { MODEL, type Seen, TUNING } from './upkeep.ts';

const UPKEEP_EACH_MS = 5000;
const BETWEEN_SEARCHES_MS = 20;

const index = await openVectorIndex({ lanceDir: process.argv[2] ?? '', lance: TUNING });
const known = [...clusteredFrames({ count: 20, dimension: MODEL.dimension, tenants: [TENANT] })];
const seen: Seen = { searches: 0, upkeeps: 0, failures: [], slowestMs: 0 };
const stop = new AbortController();
process.on('message', () => stop.abort());

async function upkeeps(): Promise<void> {
  while (!stop.signal.aborted) {
    await index.optimize().catch((error) => seen.failures.push(`upkeep: ${error}`));
    seen.upkeeps++;
    await sleep(UPKEEP_EACH_MS, undefined, { signal: stop.signal }).catch(() => {});
  }
}
async function searches(): Promise<void> {
  while (!stop.signal.aborted) {
    const from = performance.now();
    try {
      const wanted = known[seen.searches % known.length] as (typeof known)[number];
      const hits = await index.searchFrames(MODEL, wanted.vector, { tenant: TENANT }, 5);
      if (hits[0]?.id !== wanted.id) seen.failures.push('a frame that stays was not found');
      await index.searchPassages('bababa bebaba', { tenant: TENANT }, 5);
    } catch (error) {
      seen.failures.push(`search: ${error}`);
    }
    seen.searches++;
    seen.slowestMs = Math.max(seen.slowestMs, performance.now() - from);
    await sleep(BETWEEN_SEARCHES_MS);
  }
}

await Promise.all([upkeeps(), searches()]);
await index.close();
process.send?.(seen);
process.disconnect();
