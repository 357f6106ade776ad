import { z } from 'zod';
import { ModelError } from '../errors.ts';
import { readModelJson } from '../folder.ts';

const side = z.union([
  z.number().transform((n) => ({ height: n, width: n })),
  z.object({ height: z.number(), width: z.number() }),
]);
const modelSchema = z.object({
  model_type: z.string(),
  projection_dim: z.number().optional(),
  /** ln of the trained temperature. transformers writes only the value it started from, so exports may add this one. */
  logit_scale_trained: z.number().optional(),
  text_config: z
    .object({ max_position_embeddings: z.number().optional(), hidden_size: z.number().optional() })
    .default({}),
  vision_config: z.object({ image_size: z.number().optional() }).default({}),
});
const preprocessorSchema = z.object({
  do_rescale: z.boolean().default(true),
  rescale_factor: z.number().default(1 / 255),
  do_normalize: z.boolean().default(true),
  image_mean: z.tuple([z.number(), z.number(), z.number()]),
  image_std: z.tuple([z.number(), z.number(), z.number()]),
  crop_size: side.optional(),
  size: z.union([side, z.object({ shortest_edge: z.number() })]),
});
const tokenizerSchema = z.looseObject({
  model_max_length: z.number(),
  pad_token: z.union([z.string(), z.object({ content: z.string() })]).optional(),
});

/** What the code needs to know of a CLIP, all from its own files. */
export interface ClipConfig {
  imageSize: number;
  dimension: number;
  logitScale: number;
  /** Tokens of the longest text, start and end included. */
  maxTokens: number;
  /** SigLIP pools the last position, so its texts are padded to `maxTokens`; CLIP pools the end token. */
  padToMax: boolean;
  preprocessor: z.infer<typeof preprocessorSchema>;
  tokenizerConfig: z.infer<typeof tokenizerSchema>;
  tokenizer: object;
}

/** Cap of the temperature in training, where OpenAI's and LAION's checkpoints end (Radford et al. 2021, section 2.5). */
const logitScaleCap = 100;

/** Files a CLIP folder must have. */
export const CLIP_FILES = {
  json: ['config.json', 'preprocessor_config.json', 'tokenizer.json', 'tokenizer_config.json'],
  image: 'onnx/vision_model.onnx',
  text: 'onnx/text_model.onnx',
};

/** Reads and cross-checks a CLIP folder's JSON files. Throws ModelError. */
export async function readClipConfig(folder: string): Promise<ClipConfig> {
  const model = await readModelJson(folder, 'config.json', modelSchema);
  const preprocessor = await readModelJson(folder, 'preprocessor_config.json', preprocessorSchema);
  const tokenizerConfig = await readModelJson(folder, 'tokenizer_config.json', tokenizerSchema);
  const tokenizer = await readModelJson(folder, 'tokenizer.json', z.looseObject({ model: z.looseObject({}) }));

  const input = preprocessor.crop_size ?? preprocessor.size;
  const [height, width] = 'height' in input ? [input.height, input.width] : [input.shortest_edge, input.shortest_edge];
  const trained = model.vision_config.image_size ?? height;
  if (height !== width || height !== trained) {
    throw new ModelError(
      'model_invalid',
      `preprocessor_config.json in ${folder} makes pictures of ${width}x${height}, config.json wants ${trained}x${trained}.`,
    );
  }
  const dimension = model.projection_dim ?? model.text_config.hidden_size;
  if (!dimension) throw new ModelError('model_invalid', `config.json in ${folder} has no projection_dim.`);
  return {
    imageSize: height,
    dimension,
    logitScale: model.logit_scale_trained === undefined ? logitScaleCap : Math.exp(model.logit_scale_trained),
    maxTokens: Math.min(tokenizerConfig.model_max_length, model.text_config.max_position_embeddings ?? Infinity),
    padToMax: model.model_type.startsWith('siglip'),
    preprocessor,
    tokenizerConfig,
    tokenizer,
  };
}
