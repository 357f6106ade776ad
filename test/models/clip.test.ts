import { execFile, execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ClipModel, openClip } from '#models';
import { expectCallerFree } from './caller.ts';

const folder = join(import.meta.dirname, '../../models/tiny/clip');
const options = { id: 'tiny', device: 'cpu', towers: 'both' } as const;

let clip: ClipModel;
beforeAll(async () => {
  clip = await openClip(folder, options);
});
afterAll(async () => {
  await clip.close();
});

const colours: Record<string, [number, number, number]> = {
  red: [220, 20, 20],
  green: [20, 160, 40],
  blue: [30, 50, 220],
  yellow: [240, 220, 30],
  white: [255, 255, 255],
  black: [0, 0, 0],
};
function screens(): Uint8Array {
  const pixels = clip.imageSize ** 2;
  return Uint8Array.from(Object.values(colours).flatMap((rgb) => new Array(pixels).fill(rgb).flat()));
}
function noise(count: number): Uint8Array {
  let state = 1;
  return Uint8Array.from({ length: count * clip.imageSize ** 2 * 3 }, () => {
    state = (state * 1_103_515_245 + 12_345) & 0x7fffffff;
    return state >> 16;
  });
}
const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0);
const best = (query: Float32Array, pictures: Float32Array[]) => {
  const scores = pictures.map((picture) => dot(query, picture));
  return scores.indexOf(Math.max(...scores));
};

describe('CLIP', () => {
  it('finds the picture that a text describes', async () => {
    const names = Object.keys(colours);
    const pictures = await clip.encodeImages(screens(), names.length);
    const texts = await clip.encodeTexts(names.map((name) => `a ${name} screen`));
    expect(texts.map((text) => names[best(text, pictures)])).toEqual(names);
  });

  it('finds the scene of the sample video that a question is about', async () => {
    const sample = join(import.meta.dirname, '../fixtures/sample');
    const { questions } = JSON.parse(readFileSync(join(sample, 'sample.json'), 'utf8')) as {
      questions: { query: string; kind: string; start: number; end: number }[];
    };
    const seen = questions.filter(({ kind }) => kind === 'seen');
    expect(seen.length).toBeGreaterThan(5);
    const size = clip.imageSize;
    const filter = `fps=1:start_time=0:round=down,scale=-2:${size}:flags=bicubic,crop=${size}:${size}`;
    const args = [
      '-v',
      'error',
      '-i',
      join(sample, 'sample.mp4'),
      '-vf',
      filter,
      '-f',
      'rawvideo',
      '-pix_fmt',
      'rgb24',
      '-',
    ];
    const rgb = execFileSync('ffmpeg', args, { maxBuffer: 2 ** 30 });
    const pictures = await clip.encodeImages(rgb, rgb.length / (size * size * 3));
    const texts = await clip.encodeTexts(seen.map(({ query }) => query));
    for (const [i, { query, start, end }] of seen.entries()) {
      const at = best(texts[i] as Float32Array, pictures);
      expect(at, query).toBeGreaterThanOrEqual(start);
      expect(at, query).toBeLessThan(end);
    }
  });

  it('gives vectors of length one and of the dimension it states', async () => {
    const vectors = [...(await clip.encodeImages(noise(3), 3)), ...(await clip.encodeTexts(['a red car', '']))];
    for (const vector of vectors) {
      expect(vector.length).toBe(clip.dimension);
      expect(Math.abs(Math.sqrt(dot(vector, vector)) - 1)).toBeLessThan(1e-6);
    }
  });

  it('gives bit-identical vectors on every run, whatever the batch a picture is in', async () => {
    const count = 11;
    const first = await clip.encodeImages(noise(count), count);
    expect(await clip.encodeImages(noise(count), count)).toEqual(first);
    expect(await clip.encodeImages(noise(3), 3)).toEqual(first.slice(0, 3));
    const texts = ['a red car', 'the moon and stars at night'];
    const together = await clip.encodeTexts(texts);
    expect([...(await clip.encodeTexts(texts.slice(0, 1))), ...(await clip.encodeTexts(texts.slice(1)))]).toEqual(
      together,
    );
  });

  it('cuts a text longer than its context instead of failing', async () => {
    const long = Array(200).fill('a red car on a road').join(' and ');
    const [cut, longer, other] = await clip.encodeTexts([long, `${long} and a boat`, 'a green tree']);
    expect(longer).toEqual(cut);
    expect(other).not.toEqual(cut);
  });

  it('leaves the event loop of the caller free while it encodes', async () => {
    const rgb = new Uint8Array(400 * clip.imageSize ** 2 * 3);
    await expectCallerFree(() => clip.encodeImages(rgb, 400));
  });

  it('takes the memory of the pictures it is given instead of copying it', async () => {
    const rgb = noise(1);
    await clip.encodeImages(rgb, 1);
    expect(rgb.length).toBe(0);
  });

  it('stops between batches when aborted, and answers the next call', async () => {
    const abort = new AbortController();
    const call = clip.encodeImages(new Uint8Array(2000 * clip.imageSize ** 2 * 3), 2000, abort.signal);
    setTimeout(() => abort.abort(), 20);
    await expect(call).rejects.toThrow('aborted');
    expect(await clip.encodeTexts(['a red car'])).toHaveLength(1);
    await expect(clip.encodeTexts(['a red car'], abort.signal)).rejects.toThrow('aborted');
  });

  it('says that pictures of the wrong size are', async () => {
    await expect(clip.encodeImages(new Uint8Array(10), 1)).rejects.toMatchObject({ code: 'inference_failed' });
  });

  it('is open once a process, until the last user closed it', async () => {
    const second = await openClip(folder, options);
    await second.close();
    await expect(second.encodeTexts(['a'])).rejects.toMatchObject({ code: 'inference_failed' });
    expect(await clip.encodeTexts(['a'])).toHaveLength(1);
  });

  it('lets a process exit in the middle of its work, with the code it chose', async () => {
    const code = `import { openClip } from '#models';
      const clip = await openClip(${JSON.stringify(folder)}, ${JSON.stringify(options)});
      clip.encodeImages(new Uint8Array(clip.imageSize ** 2 * 3 * 500), 500).catch(() => {});
      setTimeout(() => process.exit(3), 30);`;
    const run = promisify(execFile)(process.execPath, ['--input-type=module', '-e', code], {
      cwd: join(import.meta.dirname, '../..'),
    });
    await expect(run).rejects.toMatchObject({ code: 3, stderr: '' });
  });

  it('opens only the tower asked for', async () => {
    await using text = await openClip(folder, { ...options, towers: 'text' });
    const [a] = await text.encodeTexts(['a red car']);
    expect(await clip.encodeTexts(['a red car'])).toEqual([a]);
    await expect(text.encodeImages(noise(1), 1)).rejects.toMatchObject({ code: 'inference_failed' });
  });

  it('refuses a device that is not there and says why', async () => {
    const absent = process.platform === 'darwin' ? 'dml' : 'coreml';
    const open = openClip(folder, { ...options, device: absent });
    await expect(open).rejects.toMatchObject({ code: 'device_unavailable', message: expect.stringContaining(absent) });
  });
});

describe('a CLIP folder that is not whole', () => {
  const broken: Record<string, [(copy: string) => void, string, string]> = {
    'a missing file': [
      (copy) => rmSync(join(copy, 'onnx/vision_model.onnx')),
      'model_incomplete',
      'onnx/vision_model.onnx',
    ],
    'a cut-off model': [
      (copy) => truncateSync(join(copy, 'onnx/vision_model.onnx'), 100_000),
      'model_incomplete',
      'onnx/vision_model.onnx',
    ],
    'cut-off JSON': [(copy) => truncateSync(join(copy, 'tokenizer.json'), 1000), 'model_incomplete', 'tokenizer.json'],
    'the config of another model': [
      (copy) => writeFileSync(join(copy, 'config.json'), '{"model_type":"clip","projection_dim":512}'),
      'model_invalid',
      'config.json',
    ],
    'the preprocessor of another model': [
      (copy) =>
        writeFileSync(join(copy, 'preprocessor_config.json'), '{"size":224,"image_mean":[0,0,0],"image_std":[1,1,1]}'),
      'model_invalid',
      'preprocessor_config.json',
    ],
  };
  for (const [name, [breakIt, code, file]] of Object.entries(broken)) {
    it(`is refused by name: ${name}`, async () => {
      const copy = mkdtempSync(join(tmpdir(), 'cuepoint-clip-'));
      try {
        cpSync(folder, copy, { recursive: true });
        breakIt(copy);
        await expect(openClip(copy, options)).rejects.toMatchObject({ code, message: expect.stringContaining(file) });
      } finally {
        rmSync(copy, { recursive: true });
      }
    });
  }

  it('is not found where there is no folder', async () => {
    await expect(openClip('/nonexistent', options)).rejects.toMatchObject({ code: 'model_not_found' });
  });
});
