import { Tokenizer } from '@huggingface/tokenizers';
import type { ClipConfig } from './config.ts';

/** Text to token ids as the reference tokeniser does: start, text, end; an over-long text loses its tail, never its end token. */
export class ClipTokenizer {
  readonly #tokenizer: Tokenizer;
  readonly #config: ClipConfig;
  readonly #padId: number;

  constructor(config: ClipConfig) {
    this.#config = config;
    this.#tokenizer = new Tokenizer(config.tokenizer, config.tokenizerConfig);
    const pad = config.tokenizerConfig.pad_token;
    this.#padId = this.#tokenizer.token_to_id(typeof pad === 'object' ? pad.content : (pad ?? '')) ?? 0;
  }

  encode(text: string): number[] {
    const { maxTokens, padToMax } = this.#config;
    const ids = this.#tokenizer.encode(text).ids;
    // With no text between them the special tokens are what is left: their last one ends every text.
    const cut = ids.length > maxTokens ? [...ids.slice(0, maxTokens - 1), ids.at(-1) as number] : ids;
    if (!padToMax) return cut;
    return [...cut, ...new Array<number>(maxTokens - cut.length).fill(this.#padId)];
  }
}
