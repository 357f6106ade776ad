import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { ModelError } from '../errors.ts';
import { readModelJson } from '../folder.ts';
import { TOKENIZER_FILES } from '../tokenizer.ts';

const modelSchema = z.object({
  model_type: z.string(),
  _name_or_path: z.string().optional(),
  hidden_size: z.number().optional(),
  vocab_size: z.number().optional(),
  max_position_embeddings: z.number().optional(),
  pad_token_id: z.number().nullish(),
});
const poolingSchema = z.looseObject({
  pooling_mode_cls_token: z.boolean().default(false),
  pooling_mode_mean_tokens: z.boolean().default(false),
});
const promptsSchema = z.object({ prompts: z.record(z.string(), z.string()).default({}) });
const lengthSchema = z.object({ max_seq_length: z.number().nullish() });

/** Files a text encoder must have. */
export const TEXT_FILES = { json: ['config.json', ...TOKENIZER_FILES], model: 'onnx/model.onnx' };

export interface TextConfig {
  /** Length of an embedding, where config.json says it. */
  dimension: number | undefined;
  vocabulary: number | undefined;
  /** Tokens of the longest text. */
  longest: number;
  pooling: 'mean' | 'cls';
  /** What is written before a text. The model was trained to tell a question from what may answer it by these. */
  prefixes: { query: string; passage: string };
}

/**
 * Reads a text encoder's JSON files. How to pool and what to put before a text stands in the files of sentence-transformers; exports often
 * lack them, so without them the mean is taken, and E5's prefixes (Wang et al. 2022) go before the texts of a model of that name. Throws ModelError.
 */
export async function readTextConfig(folder: string, name: string): Promise<TextConfig> {
  const model = await readModelJson(folder, 'config.json', modelSchema);
  const pooling = await readIfThere(folder, '1_Pooling/config.json', poolingSchema);
  const settings = await readIfThere(folder, 'config_sentence_transformers.json', promptsSchema);
  const length = await readIfThere(folder, 'sentence_bert_config.json', lengthSchema);

  if (pooling && pooling.pooling_mode_cls_token === pooling.pooling_mode_mean_tokens) {
    const what = 'asks for another pooling than the mean or the first token alone. Choose another TEXT_MODEL.';
    throw new ModelError('model_invalid', `1_Pooling/config.json in ${folder} ${what}`);
  }
  // RoBERTa's positions begin after the padding token's id (fairseq's convention), so it has that many fewer.
  const unused = model.model_type.includes('roberta') ? (model.pad_token_id ?? 1) + 1 : 0;
  return {
    dimension: model.hidden_size,
    vocabulary: model.vocab_size,
    longest: Math.min((model.max_position_embeddings ?? Infinity) - unused, length?.max_seq_length ?? Infinity),
    pooling: pooling?.pooling_mode_cls_token ? 'cls' : 'mean',
    prefixes: prefixesOf(settings?.prompts ?? {}, [model._name_or_path, name]),
  };
}

function prefixesOf(prompts: Record<string, string>, names: (string | undefined)[]): TextConfig['prefixes'] {
  const query = prompts.query;
  const passage = prompts.passage ?? prompts.document;
  if (query !== undefined || passage !== undefined) return { query: query ?? '', passage: passage ?? '' };
  const isE5 = names.some((name) => name && /(^|[^a-z0-9])e5([^a-z0-9]|$)/i.test(name) && !/instruct/i.test(name));
  return isE5 ? { query: 'query: ', passage: 'passage: ' } : { query: '', passage: '' };
}

async function readIfThere<T>(folder: string, file: string, schema: z.ZodType<T>): Promise<T | undefined> {
  const isThere = await access(join(folder, file)).then(
    () => true,
    () => false,
  );
  return isThere ? readModelJson(folder, file, schema) : undefined;
}
