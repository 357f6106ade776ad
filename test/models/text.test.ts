import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openPassageEncoder, type PassageEncoder, resolveProfile } from '#models';
import { readTextConfig } from '../../libs/models/text/config.ts';
import { TextTokenizer } from '../../libs/models/tokenizer.ts';
import { difference, golden, goldenModel } from './golden.ts';

const texts = golden('texts.json.gz') as string[];
const expected = golden('text.json.gz') as {
  tokens: number[][];
  queries: Record<string, number[]>;
  passages: Record<string, number[]>;
};
const scratch = mkdtempSync(join(tmpdir(), 'cuepoint-text-'));
const folder = goldenModel('text', scratch);
const options = { id: 'small', device: 'cpu' } as const;
let encoder: PassageEncoder;
beforeAll(async () => {
  encoder = await openPassageEncoder(folder, options);
});
afterAll(async () => {
  await encoder.close();
  rmSync(scratch, { recursive: true });
});

describe('a passage encoder', () => {
  it('has the tokens of the reference tokeniser for 500 texts', async () => {
    const tokenizer = await TextTokenizer.open(folder, 48);
    for (const [i, text] of texts.entries())
      expect(tokenizer.encode(text), JSON.stringify(text)).toEqual(expected.tokens[i]);
  });

  it.each(['queries', 'passages'] as const)('has the embeddings of the same weights in PyTorch: %s', async (kind) => {
    const chosen = Object.entries(expected[kind]);
    expect(chosen.length).toBe(50);
    const given = chosen.map(([i]) => texts[Number(i)] as string);
    const vectors = await (kind === 'queries' ? encoder.encodeQueries(given) : encoder.encodePassages(given));
    for (const [n, [i, vector]] of chosen.entries()) {
      expect(vectors[n]?.length).toBe(encoder.dimension);
      expect(difference(vectors[n], vector), texts[Number(i)]).toBeLessThan(1e-4);
    }
  });

  it('gives a text the same embedding whatever it is encoded with', async () => {
    const given = ['a red car', ...texts.filter((text) => text.length > 200).slice(0, 20), '', 'two dogs'];
    const together = await encoder.encodePassages(given);
    for (const [i, text] of given.entries()) {
      const [alone] = await encoder.encodePassages([text]);
      expect(difference(alone, together[i]), text).toBeLessThan(1e-5);
    }
  });

  it('tells a query from a passage', async () => {
    const [query] = await encoder.encodeQueries(['a red car']);
    const [passage] = await encoder.encodePassages(['a red car']);
    expect(difference(query, passage)).toBeGreaterThan(1e-3);
  });

  it('takes no text, none of it, too much of it and halves of characters', async () => {
    expect(await encoder.encodeQueries([])).toEqual([]);
    const vectors = await encoder.encodePassages([
      '',
      'x'.repeat(100_000),
      'word '.repeat(20_000),
      '\ud800\udc00\ud800',
    ]);
    for (const vector of vectors) expect(Math.hypot(...vector)).toBeCloseTo(1, 5);
  });

  it('stops when aborted and answers the next call', async () => {
    const abort = new AbortController();
    const call = encoder.encodePassages(new Array(5000).fill('some words of a passage'), abort.signal);
    setTimeout(() => abort.abort(), 20);
    await expect(call).rejects.toThrow('aborted');
    expect(await encoder.encodeQueries(['a'])).toHaveLength(1);
  });
});

describe('what a passage encoder’s files say', () => {
  const remade = (files: Record<string, object | undefined>) => {
    const copy = goldenModel('text', scratch);
    for (const [file, value] of Object.entries(files)) {
      rmSync(join(copy, file), { force: true });
      mkdirSync(join(copy, file, '..'), { recursive: true });
      if (value) writeFileSync(join(copy, file), JSON.stringify(value));
    }
    return copy;
  };
  const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));
  const bare = { '1_Pooling/config.json': undefined, 'config_sentence_transformers.json': undefined };

  it('is followed: prompts, pooling, length', async () => {
    const copy = remade({
      'config_sentence_transformers.json': { prompts: { query: 'Q: ', document: 'D: ' } },
      '1_Pooling/config.json': { pooling_mode_cls_token: true, pooling_mode_mean_tokens: false },
      'sentence_bert_config.json': { max_seq_length: 20 },
    });
    const read = await readTextConfig(copy, 'x');
    expect(read).toMatchObject({ prefixes: { query: 'Q: ', passage: 'D: ' }, pooling: 'cls', longest: 20 });
  });

  it('takes E5’s prefixes for a model of that name where the folder has none', async () => {
    const e5 = { query: 'query: ', passage: 'passage: ' };
    const none = { query: '', passage: '' };
    const prefixes = async (name: string) => (await readTextConfig(remade(bare), name)).prefixes;
    expect(await prefixes('Xenova/multilingual-e5-small@1a2b3c4d')).toEqual(e5);
    expect(await prefixes('Xenova/all-MiniLM-L6-v2@1a2b3ce5')).toEqual(none);
    expect(
      await readTextConfig(remade({ ...bare, 'config.json': { ...config, _name_or_path: 'intfloat/e5-base' } }), ''),
    ).toMatchObject({
      prefixes: e5,
      pooling: 'mean',
    });
  });

  it('counts RoBERTa’s positions from behind its padding token', async () => {
    const roberta = { ...config, model_type: 'xlm-roberta', max_position_embeddings: 514, pad_token_id: 1 };
    expect((await readTextConfig(remade({ 'config.json': roberta }), '')).longest).toBe(512);
  });

  it.each([
    ['another pooling', { '1_Pooling/config.json': { pooling_mode_max_tokens: true } }, 'model_invalid', '1_Pooling'],
    [
      'the config of another model',
      { 'config.json': { ...config, hidden_size: 64 } },
      'model_invalid',
      'onnx/model.onnx',
    ],
    [
      'the tokeniser of another model',
      { 'config.json': { ...config, vocab_size: 300 } },
      'model_invalid',
      'tokenizer.json',
    ],
    [
      'no length',
      {
        'tokenizer_config.json': { model_max_length: 1e30 },
        'config.json': { ...config, max_position_embeddings: undefined },
      },
      'model_invalid',
      'model_max_length',
    ],
    ['no model', { 'onnx/model.onnx': undefined }, 'model_incomplete', 'onnx/model.onnx'],
    ['no tokeniser', { 'tokenizer.json': undefined }, 'model_incomplete', 'tokenizer.json'],
    [
      'a tokeniser of an unknown kind',
      { 'tokenizer.json': { model: { type: 'Magic' } } },
      'model_invalid',
      'tokenizer.json',
    ],
  ])('is refused by name: %s', async (_, files, code, named) => {
    const open = openPassageEncoder(remade(files), options);
    await expect(open).rejects.toMatchObject({ code, message: expect.stringContaining(named) });
  });

  it('is refused by name: a model that is cut off', async () => {
    const copy = remade({});
    truncateSync(join(copy, 'onnx/model.onnx'), 20_000);
    await expect(openPassageEncoder(copy, options)).rejects.toMatchObject({
      code: 'model_incomplete',
      message: expect.stringContaining('onnx/model.onnx'),
    });
  });
});

describe('the passage encoder of a profile', () => {
  it('is optional: none in `tiny`, a folder by its name, none when told so', async () => {
    const resolve = (text?: string) =>
      resolveProfile({ profile: 'tiny', text, parts: ['text'], allowFallback: false, offline: true });
    expect((await resolve()).text).toBeUndefined();
    expect((await resolve('none')).text).toBeUndefined();
    expect((await resolve(folder)).text).toMatchObject({ folder, id: expect.stringMatching(/^text-\w+@[0-9a-f]{8}$/) });
  });
});
