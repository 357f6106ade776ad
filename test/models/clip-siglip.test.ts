import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ClipModel, openClip } from '#models';
import { dot } from '#store';
import { readClipConfig } from '../../libs/models/clip/config.ts';
import { TextTokenizer } from '../../libs/models/tokenizer.ts';
import { readPicture } from '../fixtures/media.ts';
import { difference, golden, goldenModel } from './golden.ts';

const texts = golden('texts.json.gz') as string[];
const expected = golden('siglip.json.gz') as {
  tokens: number[][];
  texts: Record<string, number[]>;
  pictures: Record<string, number[]>;
  probabilities: Record<string, Record<string, number>>;
};
const scratch = mkdtempSync(join(tmpdir(), 'cuepoint-siglip-'));
const folder = goldenModel('siglip', scratch);
let siglip: ClipModel;
beforeAll(async () => {
  siglip = await openClip(folder, { id: 'small', device: 'cpu', towers: 'both' });
});
afterAll(async () => {
  await siglip.close();
  rmSync(scratch, { recursive: true });
});

describe('a SigLIP, by its files alone', () => {
  it('says how frames are to be made and how long its embeddings are, which its config.json leaves out', () => {
    expect(siglip).toMatchObject({ fit: 'squash', imageSize: 32, dimension: 32 });
  });

  it('has the tokens of the reference tokeniser for 500 texts', async () => {
    const tokenizer = await TextTokenizer.open(folder);
    const { padId, maxTokens } = tokenizer;
    for (const [i, text] of texts.entries()) {
      const ids = tokenizer.encode(text);
      const padded = [...ids, ...new Array(maxTokens - ids.length).fill(padId)];
      expect(padded, JSON.stringify(text)).toEqual(expected.tokens[i]);
    }
  });

  it('has the text embeddings of the same weights in PyTorch, padded to its length', async () => {
    const chosen = Object.entries(expected.texts);
    const vectors = await siglip.encodeTexts(chosen.map(([i]) => texts[Number(i)] as string));
    for (const [n, [i, vector]] of chosen.entries()) {
      expect(difference(vectors[n], vector), texts[Number(i)]).toBeLessThan(1e-4);
    }
  });

  it('has the picture embeddings of the same weights in PyTorch after the reference’s image processor', async () => {
    for (const [file, vector] of Object.entries(expected.pictures)) {
      const [width, height] = (/\d+x\d+/.exec(file)?.[0] ?? '').split('x').map(Number) as [number, number];
      const rgb = await readPicture(join(import.meta.dirname, 'golden/clip-pictures', file));
      const [found] = await siglip.encodePictures([{ rgb: new Uint8Array(rgb), width, height }]);
      expect(difference(found, vector), file).toBeLessThan(1e-4);
    }
  });

  it('knows how likely a text and a picture belong together, as PyTorch’s sigmoid of the reference’s logits', () => {
    const { logitScale, logitBias = Number.NaN } = siglip;
    for (const [file, probabilities] of Object.entries(expected.probabilities)) {
      for (const [i, probability] of Object.entries(probabilities)) {
        const cosine = dot(
          Float32Array.from(expected.pictures[file] ?? []),
          Float32Array.from(expected.texts[i] ?? []),
        );
        const found = 1 / (1 + Math.exp(-(logitScale * cosine + logitBias)));
        expect(Math.abs(found - probability), `${file} ${i}`).toBeLessThan(1e-4);
      }
    }
  });

  it('is told its scale and bias where its config.json has none, and refuses those that mean nothing', async () => {
    const plain = goldenModel('siglip', scratch);
    const config = JSON.parse(readFileSync(join(plain, 'config.json'), 'utf8'));
    const { logit_scale_trained: scale, logit_bias_trained: bias, ...rest } = config;
    const write = (logits: object) => writeFileSync(join(plain, 'config.json'), JSON.stringify({ ...rest, ...logits }));
    write({});
    const logits = { scale: 120, bias: -13 };
    await using told = await openClip(plain, { id: 'plain', device: 'cpu', towers: 'text', logits });
    expect(told).toMatchObject({ logitScale: 120, logitBias: -13 });
    for (const wrong of [
      { logit_scale_trained: 'four', logit_bias_trained: bias },
      { logit_scale_trained: 110, logit_bias_trained: bias },
      { logit_scale_trained: scale, logit_bias_trained: '-9.5' },
      { logit_scale_trained: scale, logit_bias_trained: 9.5 },
      { logit_bias_trained: bias },
    ]) {
      const refused = { code: 'model_invalid', message: expect.stringMatching(/config\.json in .*logit_/) };
      write(wrong);
      await expect(readClipConfig(plain), JSON.stringify(wrong)).rejects.toMatchObject(refused);
    }
  });

  it('says that pictures of another size than they state are', async () => {
    const none = { rgb: new Uint8Array(0), width: 0, height: 0 };
    for (const picture of [none, { ...none, width: 2, height: 2 }, { ...none, width: Number.NaN, height: 1 }]) {
      await expect(siglip.encodePictures([picture])).rejects.toMatchObject({ code: 'inference_failed' });
    }
    expect(await siglip.encodePictures([])).toEqual([]);
  });
});
