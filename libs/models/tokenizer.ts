/**
 * Text to token ids, as the reference tokeniser (Hugging Face's, in Rust) gives them for a model's tokenizer.json. @huggingface/tokenizers
 * does the work; where it differs from the reference, the description is rewritten before it sees it (test/models compares 500 texts).
 */
import { Tokenizer } from '@huggingface/tokenizers';
import { z } from 'zod';
import { PrecompiledCharsmap } from './charsmap.ts';
import { ModelError } from './errors.ts';
import { readModelJson } from './folder.ts';

const descriptionSchema = z.looseObject({
  model: z.looseObject({}),
  normalizer: z.unknown().default(null),
  pre_tokenizer: z.unknown().default(null),
  post_processor: z.unknown().default(null),
  decoder: z.unknown().default(null),
  added_tokens: z.array(z.unknown()).default([]),
});
const configSchema = z.looseObject({
  model_max_length: z.number(),
  pad_token: z.union([z.string(), z.looseObject({ content: z.string() })]).nullish(),
});

/** Files of a tokeniser. */
export const TOKENIZER_FILES = ['tokenizer.json', 'tokenizer_config.json'];

/**
 * A text is read no further than this many characters a token of the model's context. No text that people write has so few tokens, and a
 * hundred thousand characters would hold up everyone else's query for seconds.
 */
const READ_CHARACTERS_PER_TOKEN = 100;

export class TextTokenizer {
  readonly #tokenizer: Tokenizer;
  readonly #before: number[];
  readonly #after: number[];
  /** Tokens of the longest text, those that mark its start and end included. */
  readonly maxTokens: number;
  /** What fills up a batch; nothing where the model names no such token. */
  readonly padId: number | undefined;
  /** The highest id it can give. */
  readonly maxId: number;

  private constructor(tokenizer: Tokenizer, maxTokens: number, padToken: string | undefined) {
    this.#tokenizer = tokenizer;
    this.maxTokens = maxTokens;
    this.padId = padToken === undefined ? undefined : tokenizer.token_to_id(padToken);
    let maxId = 0;
    for (const id of tokenizer.get_vocab().values()) maxId = Math.max(maxId, id);
    this.maxId = maxId;
    // The special tokens around a text do not depend on it: they are what is added to a probe.
    const probe = 'a';
    const bare: number[] = tokenizer.encode(probe, { add_special_tokens: false }).ids;
    const whole: number[] = tokenizer.encode(probe).ids;
    const added = whole.length - bare.length;
    const at =
      Array.from({ length: added + 1 }, (_, i) => i).find((i) => bare.every((id, j) => whole[i + j] === id)) ?? 0;
    this.#before = whole.slice(0, at);
    this.#after = whole.slice(at + bare.length);
  }

  /** Reads a folder's tokeniser. `longest`: the tokens that the model's own config allows. Throws ModelError. */
  static async open(folder: string, longest = Infinity): Promise<TextTokenizer> {
    const description = await readModelJson(folder, 'tokenizer.json', descriptionSchema);
    const config = await readModelJson(folder, 'tokenizer_config.json', configSchema);
    const pad = config.pad_token ?? undefined;
    const maxTokens = Math.min(config.model_max_length, longest);
    let tokenizer: TextTokenizer;
    try {
      tokenizer = new TextTokenizer(
        referenceTokenizer(description),
        maxTokens,
        typeof pad === 'object' ? pad.content : pad,
      );
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new ModelError('model_invalid', `tokenizer.json in ${folder} can't be used: ${reason}`);
    }
    if (maxTokens <= tokenizer.#before.length + tokenizer.#after.length || !Number.isSafeInteger(maxTokens)) {
      const places = 'model_max_length in tokenizer_config.json and the positions in config.json';
      throw new ModelError(
        'model_invalid',
        `${folder} gives no usable length of its longest text (${maxTokens}): ${places}.`,
      );
    }
    return tokenizer;
  }

  /** Ids of a text and the special tokens around it; an over-long text loses its tail, never its end token. */
  encode(text: string): number[] {
    // Half of a surrogate pair is no character: it cannot be written as UTF-8, which the reference takes.
    const read = text.slice(0, READ_CHARACTERS_PER_TOKEN * this.maxTokens).toWellFormed();
    const ids: number[] = this.#tokenizer.encode(read, { add_special_tokens: false }).ids;
    const room = this.maxTokens - this.#before.length - this.#after.length;
    return [...this.#before, ...ids.slice(0, room), ...this.#after];
  }
}

/** Throws `model_invalid` where a tokeniser has ids that the model's config.json does not know, or far too few: it is another model's. */
export function checkVocabulary(folder: string, tokenizer: TextTokenizer, vocabulary: number | undefined): void {
  if (vocabulary === undefined) return;
  // A model's table may be padded to a round size, not to twice the tokens.
  if (tokenizer.maxId < vocabulary && tokenizer.maxId >= vocabulary / 2) return;
  throw foreignTokenizer(folder, `it has ${tokenizer.maxId + 1} tokens, the model ${vocabulary}`);
}

export function foreignTokenizer(folder: string, why: string): ModelError {
  const what = `tokenizer.json in ${folder} is the tokeniser of another model: ${why}.`;
  return new ModelError('model_invalid', `${what} Fetch the folder again (cuepoint models pull).`);
}
/** What onnxruntime says of a token that is not in a model's table. */
export const unknownToken = /indices element out of data bounds/;

/** Where JavaScript's library reads a description otherwise than the reference, says the same in words that both read alike. */
function referenceTokenizer(description: z.infer<typeof descriptionSchema>): Tokenizer {
  // Without the tokeniser's Python-side settings (tokenizer_config.json), which the reference does not look at either.
  const tokenizer = new Tokenizer(
    {
      ...description,
      normalizer: { type: 'Sequence', normalizers: [rewritten(description.normalizer)] },
      pre_tokenizer: rewritten(description.pre_tokenizer),
    },
    {},
  );
  useCharsmaps(tokenizer.normalizer as unknown as Normaliser);
  return tokenizer;
}

/** GPT-2's pattern, by which a ByteLevel step splits unless told not to. */
const BYTE_LEVEL_PIECES = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const split = (regex: string) => ({ type: 'Split', pattern: { Regex: regex }, behavior: 'Removed', invert: true });

function rewritten(step: unknown): unknown {
  if (typeof step !== 'object' || step === null || !('type' in step)) return step;
  const all = step as Record<string, unknown> & { type: string };
  switch (all.type) {
    case 'Sequence': {
      const list = 'normalizers' in all ? 'normalizers' : 'pretokenizers';
      return { ...all, [list]: (all[list] as unknown[]).map(rewritten) };
    }
    case 'Lowercase':
      // JavaScript writes a word's last capital sigma as ς; the reference lowers every character by itself.
      return { type: 'Sequence', normalizers: [{ type: 'Replace', pattern: { String: 'Σ' }, content: 'σ' }, all] };
    // JavaScript's \s and trim() know U+FEFF and not U+0085, the reference's White_Space the other way round. The library minds this in the
    // patterns it is given, not in those it has built in.
    case 'ByteLevel':
      if (all.use_regex === false || all.add_prefix_space === true) return all;
      return { type: 'Sequence', pretokenizers: [split(BYTE_LEVEL_PIECES), { ...all, use_regex: false }] };
    case 'WhitespaceSplit':
      return split('\\S+');
    case 'Strip': {
      const ends = [all.strip_left && '\\A\\s+', all.strip_right && '\\s+\\z'].filter(Boolean);
      return ends.length ? { type: 'Replace', pattern: { Regex: ends.join('|') }, content: '' } : null;
    }
    case 'Metaspace':
      // The reference cuts before each ▁, so that unknown characters of two words are two tokens.
      if (all.split === false) return all;
      return { type: 'Sequence', pretokenizers: [all, split('▁[^▁]*|[^▁]+')] };
    default:
      return all;
  }
}

/** A normaliser as the library builds it, or one in its place. */
interface Normaliser {
  normalize(text: string): string;
  config?: { type?: string; precompiled_charsmap?: string | null };
  /** Of a sequence. */
  normalizers?: (Normaliser | null)[];
}
/** The library only approximates a precompiled character map; puts the real one in its place. */
function useCharsmaps({ normalizers = [] }: Normaliser): void {
  for (const [i, normaliser] of normalizers.entries()) {
    if (normaliser) useCharsmaps(normaliser);
    if (normaliser?.config?.type !== 'Precompiled') continue;
    const charsmap = normaliser.config.precompiled_charsmap;
    const map = charsmap ? new PrecompiledCharsmap(charsmap) : undefined;
    normalizers[i] = map ? { normalize: (text) => map.normalise(text) } : null;
  }
}
