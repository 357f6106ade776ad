import { dot } from '#store';
import type { TextEncoder } from './search.ts';

/**
 * Of the 80 templates that CLIP's authors publish for ImageNet (github.com/openai/CLIP, notebooks/Prompt_Engineering_for_ImageNet.ipynb), those that say
 * nothing of style. A mean of a text's embeddings in several sentences is nearer to pictures than that of a bare noun.
 */
const TEMPLATES = [
  'a photo of a {}.',
  'a photo of the {}.',
  'a cropped photo of a {}.',
  'a photo of one {}.',
  'a good photo of the {}.',
];
const MAX_WORDS = 3;
/** CLIP's and LAION's checkpoints end at a scale of 100 (Radford et al. 2021, section 2.5); a model with less was not trained on such captions. */
const MIN_LOGIT_SCALE = 50;
const NOT_A_NOUN = /[^\p{L}\p{N}\s'-]|^(?:a photo|when|where|what|who|how|why|which|is|are|show|find|the moment)\b/iu;

/** The text, and for a short noun ("a red car") also in the sentences of captions. */
export function promptsOf(text: string, { logitScale }: Pick<TextEncoder, 'logitScale'>): string[] {
  const noun = text.replace(/^(?:an?|the)\s+/i, '');
  if (logitScale < MIN_LOGIT_SCALE || noun.split(/\s+/).length > MAX_WORDS || NOT_A_NOUN.test(text)) return [text];
  return [text, ...TEMPLATES.map((template) => template.replace('{}', noun))];
}

/** Of vectors of length 1; of length 1 again. */
export function mean(vectors: Float32Array[]): Float32Array {
  const [first] = vectors;
  if (!first) throw new RangeError('There is no text to encode');
  if (vectors.length === 1) return first;
  const sum = first.map((_, i) => vectors.reduce((total, vector) => total + (vector[i] as number), 0));
  const length = Math.sqrt(dot(sum, sum)) || 1;
  return sum.map((value) => value / length);
}
