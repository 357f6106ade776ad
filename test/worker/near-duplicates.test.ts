import { describe, expect, it } from 'vitest';
import { dropNearDuplicates, type Encoded, SAME_PICTURE } from '../../apps/worker/near-duplicates.ts';
import { ahead, inGroups } from '../../apps/worker/pipeline.ts';
import { collect } from './harness.ts';

/** A picture that has turned by so much: the cosine of two is the cosine of the angle between them. */
const turned = (degrees: number) => {
  const angle = (degrees / 180) * Math.PI;
  return new Float32Array([Math.cos(angle), Math.sin(angle)]);
};
async function* from<T>(items: T[]): AsyncGenerator<T> {
  yield* items;
}
async function keep(degrees: number[], endMs: number) {
  const dropped: string[] = [];
  const frames = degrees.map(
    (each, index): Encoded<string> => ({ atMs: index * 1000, vector: turned(each), frame: `f${index}` }),
  );
  const kept = await collect(
    dropNearDuplicates(from(frames), endMs, async (frame) => {
      dropped.push(frame);
    }),
  );
  return { kept: kept.map((each) => [each.atMs, each.endMs]), dropped };
}

describe('near-duplicate frames', () => {
  it('are dropped while the picture stands still, and the kept one stands until the next', async () => {
    expect(await keep([0, 0, 1, 45, 45, 0], 6000)).toEqual({
      kept: [
        [0, 3000],
        [3000, 5000],
        [5000, 6000],
      ],
      dropped: ['f1', 'f2', 'f4'],
    });
  });
  it('are measured from the last kept one: slow motion adds up', async () => {
    const perFrame = 4; // each step is a near duplicate of the one before
    expect(Math.cos((perFrame / 180) * Math.PI)).toBeGreaterThan(SAME_PICTURE);
    const { kept } = await keep(
      Array.from({ length: 30 }, (_, index) => index * perFrame),
      30_000,
    );
    expect(kept.length).toBeGreaterThan(8);
  });
  it('are none in an empty shard', async () => {
    expect(await keep([], 1000)).toEqual({ kept: [], dropped: [] });
  });
});

describe('the pipeline', () => {
  it('runs ahead of its reader by no more than it may', async () => {
    let made = 0;
    async function* source() {
      for (; made < 100; ) yield made++;
    }
    const reader = ahead(source(), 3);
    const seen: (number | undefined)[] = [];
    for (let i = 0; i < 5; i++) {
      seen.push((await reader.next()).value as number);
      await new Promise((resolve) => setTimeout(resolve, 5));
      expect(made - seen.length).toBeLessThanOrEqual(4);
    }
    expect(seen).toEqual([0, 1, 2, 3, 4]);
    await reader.return(undefined);
    expect(made).toBeLessThan(12);
  });
  it('ends its source when it is left early, and hands errors on after what came before them', async () => {
    let ended = false;
    async function* source() {
      try {
        yield 1;
        yield 2;
        throw new Error('broken');
      } finally {
        ended = true;
      }
    }
    for await (const _ of ahead(source(), 1)) break;
    expect(ended).toBe(true);
    const seen: number[] = [];
    const read = async () => {
      for await (const item of ahead(source(), 5)) seen.push(item);
    };
    await expect(read()).rejects.toThrow('broken');
    expect(seen).toEqual([1, 2]);
  });
  it('groups by count', async () => {
    expect(await collect(inGroups(from([1, 2, 3, 4, 5]), 2))).toEqual([[1, 2], [3, 4], [5]]);
  });
});
