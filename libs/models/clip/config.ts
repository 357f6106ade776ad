import { z } from 'zod';
import { ModelError } from '../errors.ts';
import { readModelJson } from '../folder.ts';
import { TOKENIZER_FILES } from '../tokenizer.ts';
import { RESAMPLE_FILTERS } from './resample.ts';

const side = z.union([
  z.number().transform((n) => ({ height: n, width: n })),
  z.object({ height: z.number(), width: z.number() }),
]);
/** A scale of 1,000; checkpoints end at 100 to 120. */
const maxLogScale = Math.log(1000);
const modelSchema = z.object({
  model_type: z.string(),
  projection_dim: z.number().optional(),
  /** ln of the trained temperature, as checkpoints store it. transformers writes only the value it started from, so exports may add this one. */
  logit_scale_trained: z.number().max(maxLogScale, 'is the logarithm of the scale').optional(),
  /** Of a model that learnt by SigLIP's sigmoid loss; exports may add it likewise. */
  logit_bias_trained: z.number().max(0, 'of a sigmoid model is below 0').optional(),
  text_config: z
    .object({
      max_position_embeddings: z.number().optional(),
      vocab_size: z.number().optional(),
      hidden_size: z.number().optional(),
    })
    .default({}),
  vision_config: z.object({ image_size: z.number().optional() }).default({}),
});
/** What CLIP's and SigLIP's image processors resample with unless told otherwise (PIL.Image.Resampling.BICUBIC). */
const BICUBIC = 3;
const preprocessorSchema = z.object({
  do_resize: z.literal(true).default(true),
  do_center_crop: z.boolean().default(true),
  resample: z
    .int()
    .refine((filter) => RESAMPLE_FILTERS.includes(filter), 'is no filter of PIL.Image.Resampling')
    .default(BICUBIC),
  do_rescale: z.boolean().default(true),
  rescale_factor: z.number().default(1 / 255),
  do_normalize: z.boolean().default(true),
  image_mean: z.tuple([z.number(), z.number(), z.number()]),
  image_std: z.tuple([z.number(), z.number(), z.number()]),
  crop_size: side.optional(),
  /** A bare number is the shortest edge, as in the first versions of CLIP's processor. */
  size: z.union([
    z.number().transform((n) => ({ shortest_edge: n })),
    z.object({ shortest_edge: z.number() }),
    z.object({ height: z.number(), width: z.number() }),
  ]),
});
/** What the code needs to know of a CLIP, all from its own files. */
export interface ClipConfig {
  /** Side of the square that the image tower takes. */
  imageSize: number;
  /** How a picture is brought to a square: its shortest edge is scaled and the centre cut out, or both edges are scaled. */
  fit: 'crop' | 'squash';
  /** Side of that square before the centre crop to `imageSize`; most models have both the same. */
  frameSize: number;
  /** PIL.Image.Resampling. */
  resampleFilter: number;
  /** Length of an embedding, where config.json says it. */
  dimension: number | undefined;
  logitScale: number;
  /** Of a sigmoid model: logistic(logitScale · cosine + logitBias) is how likely a text and a picture belong together. */
  logitBias: number | undefined;
  /** Positions of the text tower: tokens of the longest text, start and end included. */
  positions: number | undefined;
  /** Tokens that the text tower knows. */
  vocabulary: number | undefined;
  /** SigLIP pools the last position, so its texts are padded to the longest; CLIP pools the end token. */
  padToMax: boolean;
  preprocessor: z.infer<typeof preprocessorSchema>;
}

/** Cap of the temperature in training, where OpenAI's and LAION's checkpoints end (Radford et al. 2021, section 2.5). */
const logitScaleCap = 100;

const foreign = 'One of the two files is of another model: fetch the folder again (cuepoint models pull).';

/** Files a CLIP folder must have. */
export const CLIP_FILES = {
  json: ['config.json', 'preprocessor_config.json', ...TOKENIZER_FILES],
  image: 'onnx/vision_model.onnx',
  text: 'onnx/text_model.onnx',
};

/** Reads and cross-checks a CLIP folder's JSON files. Throws ModelError. */
export async function readClipConfig(folder: string): Promise<ClipConfig> {
  const model = await readModelJson(folder, 'config.json', modelSchema);
  if (model.logit_bias_trained !== undefined && model.logit_scale_trained === undefined) {
    throw new ModelError(
      'model_invalid',
      `config.json in ${folder} has a logit_bias_trained, but no logit_scale_trained.`,
    );
  }
  const preprocessor = await readModelJson(folder, 'preprocessor_config.json', preprocessorSchema);

  const shape = squareOf(preprocessor);
  const trained = model.vision_config.image_size ?? shape?.imageSize;
  if (!shape || shape.imageSize !== trained) {
    throw new ModelError(
      'model_invalid',
      `preprocessor_config.json in ${folder} makes pictures of ${shape ? `${shape.imageSize}x${shape.imageSize}` : 'no fixed square size'}, ` +
        `config.json wants ${trained ? `${trained}x${trained}` : 'squares'}. ${foreign}`,
    );
  }
  return {
    ...shape,
    resampleFilter: preprocessor.resample,
    dimension: model.projection_dim ?? model.text_config.hidden_size,
    logitScale: model.logit_scale_trained === undefined ? logitScaleCap : Math.exp(model.logit_scale_trained),
    logitBias: model.logit_bias_trained,
    positions: model.text_config.max_position_embeddings,
    vocabulary: model.text_config.vocab_size,
    padToMax: model.model_type.startsWith('siglip'),
    preprocessor,
  };
}

/** The square that the image processor makes; nothing if it makes none. */
function squareOf({
  size,
  crop_size,
  do_center_crop,
}: z.infer<typeof preprocessorSchema>): Pick<ClipConfig, 'fit' | 'frameSize' | 'imageSize'> | undefined {
  const fit = 'shortest_edge' in size ? 'crop' : 'squash';
  if (fit === 'crop' && !do_center_crop) return undefined;
  const scaled = 'shortest_edge' in size ? { width: size.shortest_edge, height: size.shortest_edge } : size;
  const cut = (do_center_crop && crop_size) || scaled;
  if (scaled.width !== scaled.height || cut.width !== cut.height || cut.width > scaled.width) return undefined;
  return { fit, frameSize: scaled.width, imageSize: cut.width };
}
