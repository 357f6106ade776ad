import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { type ClipConfig, readClipConfig } from '../../libs/models/clip/config.ts';
import { ImagePreprocessor } from '../../libs/models/clip/image.ts';
import type { Picture } from '../../libs/models/clip/resample.ts';
import { readPicture } from '../fixtures/media.ts';
import { golden } from './golden.ts';

const tiny = join(import.meta.dirname, '../../models/tiny/clip');
const goldens = join(import.meta.dirname, 'golden');
const scratch = mkdtempSync(join(tmpdir(), 'cuepoint-pictures-'));
afterAll(() => rmSync(scratch, { recursive: true }));

/** What Cuepoint reads of a model that is the tiny CLIP but for its image processor. */
async function configWith(preprocessor: object, imageSize: number): Promise<ClipConfig> {
  const folder = join(scratch, String(Math.random()));
  mkdirSync(folder);
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) cpSync(join(tiny, file), join(folder, file));
  const config = JSON.parse(readFileSync(join(tiny, 'config.json'), 'utf8'));
  config.vision_config.image_size = imageSize;
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  writeFileSync(join(folder, 'preprocessor_config.json'), JSON.stringify(preprocessor));
  return readClipConfig(folder);
}

describe('the tensor of a picture', async () => {
  const { side, processors, cases } = golden('clip-pixels.json.gz') as {
    side: number;
    processors: Record<string, object>;
    cases: { file: string; processor: string }[];
  };
  const length = 3 * side * side;
  const tensors = new Float32Array(
    new Uint8Array(gunzipSync(readFileSync(join(goldens, 'clip-pixels.f32.gz')))).buffer,
  );
  const pictures = new Map<string, Picture>();
  for (const file of new Set(cases.map(({ file }) => file))) {
    const [width, height] = (/\d+x\d+/.exec(file)?.[0] ?? '').split('x').map(Number) as [number, number];
    pictures.set(file, { rgb: await readPicture(join(goldens, 'clip-pictures', file)), width, height });
  }

  for (const [name, settings] of Object.entries(processors)) {
    it(`is that of transformers’ image processor: ${name}`, async () => {
      const preprocessor = new ImagePreprocessor(await configWith(settings, side));
      let seen = 0;
      for (const [i, { file, processor }] of cases.entries()) {
        if (processor !== name) continue;
        const expected = tensors.subarray(i * length, (i + 1) * length);
        const tensor = preprocessor.pictures([pictures.get(file) as Picture]);
        expect(tensor.length).toBe(length);
        const worst = tensor.reduce((most, value, at) => Math.max(most, Math.abs(value - (expected[at] ?? NaN))), 0);
        expect(worst, file).toBeLessThan(1e-5);
        seen++;
      }
      expect(seen).toBeGreaterThan(2);
    });
  }

  it('needs no more memory or time than its crop for a picture a thousand times longer than high', async () => {
    const config = await configWith(processors['clip-bicubic'] as object, side);
    const rgb = new Uint8Array(200_000 * 3).fill(200);
    const before = process.memoryUsage().arrayBuffers;
    const tensor = new ImagePreprocessor(config).pictures([{ rgb, width: 200_000, height: 1 }]);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1e6);
    expect(new Set(tensor).size).toBe(3); // one value a channel
  });
});

describe('how frames are to be made', () => {
  const norms = { image_mean: [0.5, 0.5, 0.5], image_std: [0.5, 0.5, 0.5] };
  const square = (side: number) => ({ height: side, width: side });

  it.each([
    ['CLIP', { size: { shortest_edge: 224 }, crop_size: square(224), do_center_crop: true }, 'crop', 224, 224],
    ['the first CLIP exports', { size: 224, crop_size: 224, do_center_crop: true }, 'crop', 224, 224],
    ['SigLIP', { size: square(224) }, 'squash', 224, 224],
    ['a crop with a margin', { size: { shortest_edge: 256 }, crop_size: square(224) }, 'crop', 256, 224],
  ])('is read from preprocessor_config.json: %s', async (_, settings, fit, frameSize, imageSize) => {
    expect(await configWith({ ...settings, ...norms }, imageSize)).toMatchObject({ fit, frameSize, imageSize });
  });

  it.each([
    ['pictures that are not square', { size: { height: 224, width: 336 } }],
    ['pictures of no fixed shape', { size: { shortest_edge: 224 }, do_center_crop: false }],
    ['a crop larger than the picture', { size: { shortest_edge: 200 }, crop_size: square(224) }],
    ['another size than the model’s', { size: square(384) }],
    ['an unknown filter', { size: square(224), resample: 9 }],
    ['no resizing', { size: square(224), do_resize: false }],
  ])('is refused where it does not fit the model: %s', async (_, settings) => {
    await expect(configWith({ ...settings, ...norms }, 224)).rejects.toMatchObject({
      code: 'model_invalid',
      message: expect.stringContaining('preprocessor_config.json'),
    });
  });

  it('cuts the margin off frames that have one', async () => {
    const settings = { size: { shortest_edge: 4 }, crop_size: square(2), do_normalize: false, do_rescale: false };
    const preprocessor = new ImagePreprocessor(await configWith({ ...settings, ...norms }, 2));
    const frames = Uint8Array.from({ length: 2 * 4 * 4 * 3 }, (_, i) => Math.floor(i / 3));
    expect([...preprocessor.frames(frames, 0, 2).subarray(0, 4)]).toEqual([5, 6, 9, 10]);
    expect([...preprocessor.frames(frames, 4 * 4 * 3, 1).subarray(8)]).toEqual([21, 22, 25, 26]);
  });
});
