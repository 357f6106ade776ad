/** What reasoning models write before their answer, as their servers leave it in: how it begins, and how it ends. */
const KINDS: { begin: string; end: RegExp }[] = [
  ...['<think>', '<thinking>'].map((begin) => ({ begin, end: /<\/think(?:ing)?>/g })),
  ...['thought', 'reasoning', 'seed:think'].map((name) => ({ begin: `<${name}>`, end: new RegExp(`</${name}>`, 'g') })),
  // Mistral's.
  { begin: '[THINK]', end: /\[\/THINK\]/g },
  // gpt-oss's.
  ...['<|channel|>analysis', '<|start|>assistant<|channel|>analysis'].map((begin) => ({
    begin,
    end: /<\|channel\|>final[^<]*(?:<\|constrain\|>[^<]*)?<\|message\|>/g,
  })),
  // Gemma's.
  { begin: '<|channel>', end: /<channel\|>/g },
];
/** Ends thoughts that began in the chat template. */
const UNBEGUN = /<\/think(?:ing)?>/g;
/** It may just have begun. */
const MAYBE_UNBEGUN = /<[/a-z]{0,9}$/;
/** No end is longer. */
const MAX_END_CHARS = 100;

/** Leaves out the thoughts before an answer, wherever a stream is cut. */
export class Thoughts {
  /** An end of thoughts came that had no beginning: what came before it may have been let through. */
  closedOnly = false;
  /** Thoughts have ended. */
  ended = false;
  #state: 'unknown' | 'thinking' | 'over' = 'unknown';
  #end: RegExp | undefined;
  #held = '';

  /** `isBegun`: by the chat template, all is thought until that ends. Where it does not end, it was none. */
  constructor(readonly isBegun: boolean) {}

  /** What of the next piece belongs to the answer. */
  push(piece: string): string {
    this.#held += piece;
    while (this.#state !== 'over') {
      if (this.#state === 'unknown') {
        const begun = this.#held.trimStart();
        if (KINDS.some(({ begin }) => begin.startsWith(begun))) return '';
        this.#end = KINDS.find(({ begin }) => begun.startsWith(begin))?.end;
        this.#state = this.#end || (this.isBegun && !this.ended) ? 'thinking' : 'over';
        if (this.#state === 'over') this.#held = begun;
        continue;
      }
      const end = after(this.#end ?? UNBEGUN, this.#held, piece.length);
      if (end === undefined) {
        if (this.#end) this.#held = this.#held.slice(-MAX_END_CHARS);
        return '';
      }
      this.#held = this.#held.slice(end);
      this.#state = 'unknown';
      this.ended = true;
    }
    const end = after(UNBEGUN, this.#held, piece.length);
    if (end !== undefined) this.closedOnly = true;
    const answer = end === undefined ? this.#held : this.#held.slice(end).trimStart();
    this.#held = MAYBE_UNBEGUN.exec(answer)?.[0] ?? '';
    return answer.slice(0, answer.length - this.#held.length);
  }

  end(): string {
    return this.#state === 'thinking' && this.#end ? '' : this.#held;
  }
}

/** Where `pattern` ends, of which the last `added` characters are new. */
function after(pattern: RegExp, text: string, added: number): number | undefined {
  pattern.lastIndex = Math.max(0, text.length - added - MAX_END_CHARS);
  return pattern.test(text) ? pattern.lastIndex : undefined;
}

/** Tokens of chat templates that came out as text, and tags that models put around an answer. */
const TEMPLATE = /<\|(?:channel|start)\|>\w*|<\|[\w ]{1,40}\|>|<\/?(?:s|answer|sup|(?:start|end)_of_turn)>/g;
export const withoutTemplate = (text: string): string => text.replace(TEMPLATE, '');
