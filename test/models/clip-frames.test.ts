import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openClip } from '#models';
import { probe, sampleFrames } from '#video';
import { tempDir } from '../fixtures/media.ts';
import { golden } from './golden.ts';

const { intervalMs, videos } = golden('clip-frames.json.gz') as {
  intervalMs: number;
  videos: Record<string, Record<'crop' | 'squash', number[][]>>;
};

describe('frames that ffmpeg scales straight to the model’s size', () => {
  it.for(
    Object.entries(videos).flatMap(([name, by]) =>
      Object.entries(by).map(([fit, vectors]) => [name, fit, vectors] as const),
    ),
  )(
    'embed as the same frames at full size through the reference’s image processor and PyTorch: %s, %s',
    async ([name, fit, expected], { skip }) => {
      const path = join(import.meta.dirname, '../../../shared/media', name);
      if (!existsSync(path)) {
        console.log(`skipped: ${path} is not here`);
        skip();
      }
      await using dir = await tempDir();
      await using clip = await openClip(join(import.meta.dirname, '../../models/tiny/clip'), {
        id: 'tiny',
        device: 'cpu',
        towers: 'image',
      });
      const media = await probe(path);
      const range = { media, startMs: 0, endMs: media.durationMs, intervalMs };
      const shape = { size: clip.imageSize, fit: fit as 'crop' | 'squash' };
      const frames = sampleFrames(path, { ...range, ...shape, thumbnailDir: dir.path, thumbnailSize: 64 });
      const cosines: number[] = [];
      for await (const { rgb } of frames) {
        const [vector] = await clip.encodeImages(rgb, 1);
        const reference = expected[cosines.length] ?? [];
        cosines.push(reference.reduce((sum, value, i) => sum + value * (vector?.[i] ?? 0), 0));
      }
      console.log(`${name}, ${fit}: cosine at least ${Math.min(...cosines).toFixed(4)} in ${cosines.length} frames`);
      expect(cosines.length).toBe(expected.length);
      expect(Math.min(...cosines)).toBeGreaterThan(0.99);
    },
  );
});
