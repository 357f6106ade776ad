import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { openClip } from '#models';
import { checkVocabulary, TextTokenizer } from '../../libs/models/tokenizer.ts';
import { golden, goldenText } from './golden.ts';

const tiny = join(import.meta.dirname, '../../models/tiny/clip');
const texts = golden('texts.json.gz') as string[];
const scratch = mkdtempSync(join(tmpdir(), 'cuepoint-texts-'));
afterAll(() => rmSync(scratch, { recursive: true }));

/** OpenAI's vocabulary in the tiny CLIP's tokenizer.json, as tools/goldens/clip.py puts it there. */
function openAiFolder(): string {
  const folder = join(scratch, 'openai');
  mkdirSync(folder);
  cpSync(join(tiny, 'tokenizer_config.json'), join(folder, 'tokenizer_config.json'));
  const description = JSON.parse(readFileSync(join(tiny, 'tokenizer.json'), 'utf8'));
  const merges = goldenText('clip-merges.txt.gz').trimEnd().split('\n');
  const letters = Object.entries(description.model.vocab as Record<string, number>)
    .sort(([, a], [, b]) => a - b)
    .slice(0, 256)
    .map(([letter]) => letter);
  const [start, end] = ['<|startoftext|>', '<|endoftext|>'];
  const tokens = [...letters, ...letters.map((x) => `${x}</w>`), ...merges.map((x) => x.replace(' ', '')), start, end];
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  description.model = { ...description.model, vocab, merges };
  for (const token of description.added_tokens) token.id = vocab[token.content];
  Object.assign(description.post_processor, { sep: [end, vocab[end]], cls: [start, vocab[start]] });
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(description));
  return folder;
}

const openAi = openAiFolder();

describe('CLIP’s tokens', () => {
  const expected = golden('clip-tokens.json.gz') as Record<'tiny' | 'openai', number[][]>;
  it.each([
    ['tiny', tiny],
    ['openai', openAi],
  ] as const)('are those of the reference tokeniser for 500 texts: the vocabulary of %s', async (name, folder) => {
    const tokenizer = await TextTokenizer.open(folder);
    expect(texts.length).toBe(500);
    for (const [i, text] of texts.entries()) expect(tokenizer.encode(text), text).toEqual(expected[name][i]);
  });

  it('are found fast for a text of 100,000 characters, and are those of its start', async () => {
    const tokenizer = await TextTokenizer.open(tiny);
    for (const text of ['a red car on a road. ', 'x', '日', '🙂'].map((piece) =>
      piece.repeat(100_000 / piece.length),
    )) {
      const startedAt = performance.now();
      expect(tokenizer.encode(text)).toEqual(tokenizer.encode(text.slice(0, 5000)));
      expect(performance.now() - startedAt).toBeLessThan(1000);
    }
  });

  it('take half of a surrogate pair for an unknown character', async () => {
    const tokenizer = await TextTokenizer.open(tiny);
    expect(tokenizer.encode('a\ud83d b\udc00')).toEqual(tokenizer.encode('a\ufffd b\ufffd'));
  });
});

describe('a tokeniser of another model', () => {
  it.each([
    ['by the number of tokens in config.json', 1194],
    ['by trying, where config.json does not say it', undefined],
  ])('is found when the model is opened and named, %s', async (_, vocabulary) => {
    const folder = mkdtempSync(join(scratch, 'foreign-'));
    cpSync(tiny, folder, { recursive: true });
    cpSync(join(openAi, 'tokenizer.json'), join(folder, 'tokenizer.json'));
    const config = JSON.parse(readFileSync(join(tiny, 'config.json'), 'utf8'));
    config.text_config.vocab_size = vocabulary;
    writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
    await expect(openClip(folder, { id: 'foreign', device: 'cpu', towers: 'text' })).rejects.toMatchObject({
      code: 'model_invalid',
      message: expect.stringMatching(/tokenizer\.json.*another model.*cuepoint models pull/),
    });
  });

  it('is found where it has far fewer tokens than the model', async () => {
    const tokenizer = await TextTokenizer.open(tiny);
    expect(() => checkVocabulary(tiny, tokenizer, 49_408)).toThrow(/tokenizer\.json/);
    expect(() => checkVocabulary(tiny, tokenizer, 1200)).not.toThrow();
  });
});

describe('the embedding of a text', () => {
  it('is that of the same weights in PyTorch', async () => {
    await using clip = await openClip(tiny, { id: 'tiny', device: 'cpu', towers: 'text', precision: 'fp32' });
    const expected = Object.entries(golden('clip-embeds.json.gz') as Record<string, number[]>);
    expect(expected.length).toBe(50);
    const vectors = await clip.encodeTexts(expected.map(([i]) => texts[Number(i)] as string));
    for (const [n, [i, vector]] of expected.entries()) {
      const worst = Math.max(...vector.map((value, at) => Math.abs(value - (vectors[n]?.[at] ?? NaN))));
      expect(worst, texts[Number(i)]).toBeLessThan(1e-4);
    }
  });

  it('is hardly another one with the 8-bit weights that the processor takes', async () => {
    const options = { id: 'tiny', device: 'cpu', towers: 'text' } as const;
    await using clip = await openClip(tiny, options);
    await using whole = await openClip(tiny, { ...options, precision: 'fp32' });
    const some = texts.filter((text) => text.length < 200);
    const [mine, exact] = await Promise.all([clip.encodeTexts(some), whole.encodeTexts(some)]);
    for (const [i, vector] of mine.entries()) {
      const cosine = vector.reduce((sum, value, at) => sum + value * (exact[i]?.[at] ?? Number.NaN), 0);
      expect(cosine, some[i]).toBeGreaterThan(0.995);
    }
  });

  it('is had for no text and for very much of it', async () => {
    await using clip = await openClip(tiny, { id: 'tiny', device: 'cpu', towers: 'text' });
    const [none, much, broken] = await clip.encodeTexts(['', 'word '.repeat(20_000), '\ud800'.repeat(100)]);
    for (const vector of [none, much, broken]) expect(Math.hypot(...(vector ?? []))).toBeCloseTo(1, 5);
  });
});
