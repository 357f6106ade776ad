import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openClip } from '#models';
import { dot } from '#store';
import { type Frame, probe, sampleFrames } from '#video';
import { dropNearDuplicates, dropUnchanged, type Encoded, SAME_PICTURE } from '../../apps/worker/near-duplicates.ts';
import { ahead, inGroups } from '../../apps/worker/pipeline.ts';
import { tempDir } from '../fixtures/media.ts';
import { collect, SAMPLE } from './harness.ts';

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

describe('unchanged pictures', () => {
  it('are those that differ from the last one let through by a few levels at most: slow fades add up, one changed byte counts', async () => {
    const dropped: number[] = [];
    const pictures = [
      [10, 10],
      [10, 10],
      [13, 7],
      [16, 10],
      [16, 200],
      [16, 200],
    ].map((bytes, index) => ({ index, rgb: Uint8Array.from(bytes) }));
    const kept = await collect(
      dropUnchanged(from(pictures), async ({ index }) => {
        dropped.push(index);
      }),
    );
    expect(kept.map(({ index }) => index)).toEqual([0, 3, 4]);
    expect(dropped).toEqual([1, 2, 5]);
  });

  it('of the sample would have been dropped by their embeddings: the index is the same without them', async () => {
    await using dir = await tempDir();
    await using clip = await openClip(join(import.meta.dirname, '../../models/tiny/clip'), {
      id: 'tiny',
      device: 'cpu',
      towers: 'image',
    });
    const media = await probe(SAMPLE);
    const shape = { size: clip.imageSize, fit: clip.fit, thumbnailDir: dir.path, thumbnailSize: 64 };
    const sampled = await collect(
      sampleFrames(SAMPLE, { media, startMs: 0, endMs: media.durationMs, intervalMs: 500, ...shape }),
    );
    const unchanged = new Set<Frame>();
    let last = sampled[0] as Frame;
    const cosines: number[] = [];
    const vectors = new Map<Frame, Float32Array>();
    const passed = await collect(
      dropUnchanged(from(sampled), async (frame) => {
        unchanged.add(frame);
      }),
    );
    // encodeImages takes the picture away with it.
    for (const frame of sampled) vectors.set(frame, (await clip.encodeImages(frame.rgb, 1))[0] as Float32Array);
    for (const frame of sampled) {
      if (unchanged.has(frame))
        cosines.push(dot(vectors.get(last) as Float32Array, vectors.get(frame) as Float32Array));
      else last = frame;
    }
    console.log(
      `${unchanged.size} of ${sampled.length} frames of the sample are unchanged: cosine ${Math.min(...cosines).toFixed(4)}`,
    );
    expect(unchanged.size).toBeGreaterThan(20);
    expect(Math.min(...cosines)).toBeGreaterThan(SAME_PICTURE);
    const encoded = (frames: Frame[]) =>
      frames.map((frame) => ({ atMs: frame.atMs, vector: vectors.get(frame) as Float32Array, frame }));
    const kept = async (frames: Frame[]) =>
      (await collect(dropNearDuplicates(from(encoded(frames)), media.durationMs, async () => {}))).map(
        ({ atMs, endMs }) => [atMs, endMs],
      );
    expect(await kept(passed)).toEqual(await kept(sampled));
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
