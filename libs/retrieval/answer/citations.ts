import { NOT_FOUND } from './prompt.ts';
import { neutral } from './text.ts';
import { withoutTemplate } from './thoughts.ts';

/** `[3]`, and what models write in its place: `[1, 2]`, `[1–3]`, `[^1]`, `[[1]]`, `[evidence 1]`, `【1†source】`, `［1］`. */
const [OPEN, CLOSE, WITHIN] = ['(?:\\[{1,2}\\^?|【|［)', '(?:\\]{1,2}|】|］)', '[^\\]】］]'];
const NAME = '(?:(?:evidence|sources?|items?|n)\\b[ :#=]*|#)?';
const CITATION = new RegExp(
  `${OPEN}\\s*${NAME}(\\d{1,4}(?:\\s*(?:[,;–-]|and|&)\\s*\\^?\\d{1,4})*)\\s*(?:†${WITHIN}{0,40})?${CLOSE}`,
  'gi',
);
const CITATIONS_FIRST = new RegExp(`^(?:[ \\t]*${OPEN}\\s*${NAME}\\d${WITHIN}{0,60}${CLOSE})+[.!?]?`, 'i');
/** The piece ends among citations, or where one may just have begun. */
const MAYBE_CITATION = new RegExp(`^(?:[ \\t]*${OPEN}${WITHIN}{0,60}${CLOSE})*[ \\t]*(?:${OPEN}${WITHIN}{0,60}\\]?)?$`);
/** The full stops of Chinese, Japanese, Hindi and Urdu end a sentence whatever comes after them. */
const STOP = /[.!?…؟]+["'”’)*_]*(?=\s|$|\[|【|［)|[。！？।۔]+["'”’」』）)*_]*|\n/g;
const STOP_BEFORE_CITATION = /[.!?…؟。！？।۔]["'”’」』）)*_]*\s*(?:\[|【|［)/;
const ABBREVIATION = /(?:^|[\s(])(?:\p{Lu}|Dr|Mr|Mrs|Ms|Prof|St|vs|e\.g|i\.e|etc|approx|ca|No|Fig|\d{1,3})\.$/u;
/** What is held back for a citation to come, at most; then it is dropped as uncited. */
const MAX_HELD_CHARS = 2_000;
const MAX_RANGE = 20;

/**
 * Reads an answer as it is written and lets through what is grounded. Numbers that are not among `known` are removed. A sentence is shown once it has a
 * citation; a citation that stands after a full stop covers the sentences before it in its paragraph, too, as many models write it. What has none when
 * its paragraph ends is dropped, except a line that leads to the next with a colon. All that comes out is neutral text (see `neutral`).
 */
export class CitationFilter {
  readonly cited = new Set<number>();
  /** Sentences left out since nothing was cited for them. */
  dropped = 0;
  #rest = '';
  /** Whole sentences that wait for a citation. */
  #held = '';
  /** Lines that end in a colon. */
  #lead = '';
  #wroteAny = false;
  #newLine = false;
  /** It began by saying that there is no answer: whatever it explains then is none. */
  #hasNone = false;

  constructor(readonly known: ReadonlySet<number>) {}

  /** Takes the next piece, wherever it was cut; gives what can be shown now. */
  push(piece: string): string {
    this.#rest += piece;
    let out = '';
    for (let length = this.#sentenceLength(); length > 0; length = this.#sentenceLength()) {
      out += this.#sentence(this.#rest.slice(0, length));
      this.#rest = this.#rest.slice(length);
    }
    if (this.#rest.length > MAX_HELD_CHARS) {
      this.#drop(this.#rest);
      this.#rest = '';
    }
    return out;
  }

  /** The last of it. */
  end(): string {
    const out = this.#sentence(this.#rest);
    this.#rest = '';
    this.#drop(this.#held);
    this.#held = '';
    return out;
  }

  /** Characters of the first whole sentence with the citations after its stop; 0 while that can't be told. */
  #sentenceLength(): number {
    for (const stop of this.#rest.matchAll(STOP)) {
      const end = stop.index + stop[0].length;
      if (stop[0] === '\n') return end;
      const next = this.#rest.slice(end);
      if (MAYBE_CITATION.test(next)) return 0;
      const citations = CITATIONS_FIRST.exec(next)?.[0];
      if (citations) return end + citations.length;
      if (ABBREVIATION.test(this.#rest.slice(Math.max(0, end - 12), end)) || /^\s+\p{Ll}/u.test(next)) continue;
      return end;
    }
    return 0;
  }

  #sentence(written: string): string {
    const raw = withoutTemplate(written);
    // Whatever a model cites for having found nothing.
    this.#hasNone ||= !this.#wroteAny && raw.trimStart().startsWith(NOT_FOUND);
    if (this.#hasNone || raw.includes(NOT_FOUND)) {
      this.#drop(this.#held + raw);
      return '';
    }
    let found = 0;
    const stop = raw.search(STOP_BEFORE_CITATION);
    let coversAll = false;
    const checked = raw.replace(CITATION, (_all, list: string, at: number) => {
      const numbers = numbersOf(list).filter((n) => this.known.has(n));
      for (const n of numbers) this.cited.add(n);
      found += numbers.length;
      if (numbers.length > 0 && stop >= 0 && at > stop) coversAll = true;
      return numbers.map((n) => `[${n}]`).join('');
    });
    if (found === 0) {
      this.#held += checked;
      if (checked.endsWith('\n')) this.#endParagraph();
      else if (this.#held.length > MAX_HELD_CHARS) this.#drop(this.#held);
      return '';
    }
    if (!coversAll) this.#drop(this.#held);
    const text = neutral(this.#lead + (coversAll ? this.#held : '') + checked)
      .trim()
      .replace(/[ \t]+([.,;!?])/g, '$1');
    const space = /^\s/.test(this.#held + checked) ? ' ' : '';
    const between = !this.#wroteAny ? '' : this.#newLine ? '\n' : space;
    this.#held = '';
    this.#lead = '';
    this.#wroteAny = true;
    this.#newLine = checked.endsWith('\n');
    return between + text;
  }

  #endParagraph(): void {
    this.#newLine = true;
    if (/:\s*$/.test(this.#held)) {
      // Only the last such line leads anywhere.
      this.#lead = `${this.#held.trim().slice(-300)}\n`;
      this.#held = '';
    } else this.#drop(this.#held);
  }

  #drop(text: string): void {
    if (/\p{L}/u.test(text)) this.dropped += 1;
    this.#held = '';
  }
}

/** "1, 3–5" → 1, 3, 4, 5. */
function numbersOf(list: string): number[] {
  return list
    .replaceAll('^', '')
    .split(/[,;&]|and/i)
    .flatMap((part) => {
      const [from = 0, to = from] = part.split(/[–-]/).map(Number);
      return Array.from({ length: Math.min(MAX_RANGE, Math.max(1, to - from + 1)) }, (_, i) => from + i);
    });
}
