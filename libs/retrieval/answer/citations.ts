import { neutral } from './text.ts';
import { withoutTemplate } from './thoughts.ts';

/** `[3]`, and what models write in its place: `[1, 2]`, `[1–3]`, `[^1]`, `[[1]]`, `\[1\]`, `[evidence 1]`, `[1, 2:15]`, `【1†source】`, `［1］`, `[١]`. */
const [OPEN, CLOSE, WITHIN] = ['(?:\\\\?\\[{1,2}\\^?|【|［)', '(?:\\\\?\\]{1,2}|】|］)', '[^\\]】］]'];
/** Digits of Arabic, Persian, Hindi, Bengali and full width, each from zero on. */
const DIGITS = '0123456789٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹०१२३४५६७८९০১২৩৪৫৬৭৮৯０１２３４５６７８９';
const NAME =
  '(?:(?:evidence|moments?|passages?|sources?|items?|clips?|documents?|doc|ref(?:erence)?s?|citations?|id|n)\\b[ :#=]*|#)?';
const NUMBER = `\\^?${NAME}[${DIGITS}]{1,4}`;
const TIME = '\\d{1,2}(?::\\d\\d){1,2}';
/** What a model adds to a number: a time, or a tool's marks. */
const ADDED = `(?:(?:\\s{0,5}[,@]\\s{0,5}|:\\s{1,5}|\\s{1,5}at\\s{1,5}|\\s{1,5})${TIME}(?:\\s{0,5}[-–—]\\s{0,5}${TIME})?|†${WITHIN}{0,40})`;
const CITATION = new RegExp(
  `${OPEN}\\s{0,5}(${NUMBER}(?:\\s{0,5}(?:[,;،、，–—-]|and|to|&)\\s{0,5}${NUMBER})*)\\s{0,5}${ADDED}?${CLOSE}(?:\\((?:#|/|https?:)[^)\\s]{0,200}\\))?`,
  'gi',
);
const CITATIONS = `(?:[ \\t]*${OPEN}\\s*${NUMBER}${WITHIN}{0,60}${CLOSE})+`;
const CITATIONS_FIRST = new RegExp(`^${CITATIONS}[.!?]?`, 'i');
/** A line or a sentence that leads with what it cites. */
const LEADS = new RegExp(`^\\s*(?:[-*•][ \\t]+|\\d{1,2}[.)][ \\t]+)?${CITATIONS}[ \\t]*[:\\p{L}\\p{N}"“(*]`, 'iu');
/** What a footnote is of. */
const FOOTNOTE = new RegExp(`^\\s*${OPEN}\\s*(${NUMBER})\\s*${CLOSE}\\s*:`, 'i');
/** The piece ends among citations, or where one may just have begun. */
const MAYBE_CITATION = new RegExp(
  `^(?:[ \\t]*${OPEN}${WITHIN}{0,60}${CLOSE})*[ \\t]*(?:${OPEN}${WITHIN}{0,60}\\]?|\\\\)?$`,
);
/** The full stops of Chinese, Japanese, Hindi and Urdu end a sentence whatever comes after them. */
const STOP = /[.!?…؟]+["'”’)*_]*(?=\s|$|\\?\[|【|［)|[。！？।۔]+["'”’」』）)*_]*|\n/g;
const WORD = /[\p{L}\p{N}]/u;
/** As it is written, and as Markdown escapes it. */
const NONE = /NOT\\?_FOUND/;
const NONE_FIRST = /^[\s"'*`“]*NOT\\?_FOUND/;
const STOP_BEFORE_CITATION = /[.!?…؟。！？।۔]["'”’」』）)*_]*\s*\\?(?:\[|【|［)/;
const ABBREVIATION = /(?:^|[\s(])(?:\p{Lu}|Dr|Mr|Mrs|Ms|Prof|St|vs|e\.g|i\.e|etc|approx|ca|[ap]\.m|No|Fig|\d{1,3})\.$/u;
/** What is held back for a citation to come, at most; then it is dropped as uncited. */
const MAX_HELD_CHARS = 2_000;
const MAX_RANGE = 20;

/**
 * Reads an answer as it is written and lets through what is grounded. Numbers that are not among `known` are removed. A sentence is shown once it has a
 * citation; a citation that stands after a full stop, or on a line of its own, covers the sentences before it in its paragraph, too, as many models write
 * it, except where the paragraph leads with its citations. What has none when its paragraph ends is dropped, except a line that leads to the next with a
 * colon; so is what was said before in the same words. All that comes out is neutral text (see `neutral`).
 */
export class CitationFilter {
  readonly cited = new Set<number>();
  /** Sentences left out since nothing was cited for them. */
  dropped = 0;
  #rest = '';
  /** Whole sentences that wait for a citation. */
  #held = '';
  /** The last paragraph, while a line of citations alone may follow it. */
  #before = '';
  /** This paragraph leads with its citations; undefined at its beginning. */
  #leads: boolean | undefined;
  readonly #shown = new Set<string>();
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
      const sentence = this.#rest.slice(0, length);
      this.#leads = sentence.endsWith('\n') ? undefined : (this.#leads ?? LEADS.test(this.#rest));
      out += this.#sentence(sentence);
      this.#rest = this.#rest.slice(length);
    }
    if (this.#rest.length > MAX_HELD_CHARS) {
      this.#rest = this.#drop(this.#rest);
    }
    return out;
  }

  /** The last of it. */
  end(): string {
    const out = this.#sentence(this.#rest);
    this.#rest = '';
    this.#before = this.#drop(this.#before);
    this.#held = this.#drop(this.#held);
    return out;
  }

  /** Characters of the first whole sentence with the citations after its stop; 0 while that can't be told. */
  #sentenceLength(): number {
    const leads = this.#leads ?? LEADS.test(this.#rest);
    for (const stop of this.#rest.matchAll(STOP)) {
      const end = stop.index + stop[0].length;
      if (stop[0] === '\n') return end;
      const next = this.#rest.slice(end);
      if (leads ? next.trim() === '' : MAYBE_CITATION.test(next)) return 0;
      const citations = leads ? undefined : CITATIONS_FIRST.exec(next)?.[0];
      if (citations) return end + citations.length;
      if (ABBREVIATION.test(this.#rest.slice(Math.max(0, end - 12), end)) || /^\s+\p{Ll}/u.test(next)) continue;
      return end;
    }
    return 0;
  }

  #sentence(written: string): string {
    const raw = withoutTemplate(written);
    // Whatever a model cites for having found nothing.
    this.#hasNone ||= !this.#wroteAny && NONE_FIRST.test(raw);
    if (this.#hasNone || NONE.test(raw)) {
      this.#before = this.#drop(this.#before);
      this.#held = this.#drop(this.#held + raw);
      return '';
    }
    // A list of sources at the end says again what is told of each moment.
    const footnote = FOOTNOTE.exec(raw)?.[1];
    if (footnote && numbersOf(footnote).every((n) => this.cited.has(n))) return '';
    const found = new Set<number>();
    const stop = raw.search(STOP_BEFORE_CITATION);
    const isBare = !WORD.test(raw.replace(CITATION, ''));
    let coversAll = isBare;
    const checked = raw.replace(CITATION, (_all, list: string, at: number) => {
      const numbers = numbersOf(list).filter((n) => this.known.has(n));
      for (const n of numbers) found.add(n);
      if (numbers.length > 0 && stop >= 0 && at > stop) coversAll = true;
      return numbers.map((n) => `[${n}]`).join('');
    });
    if (!isBare) this.#before = this.#drop(this.#before);
    if (found.size === 0) {
      this.#held += checked;
      if (checked.endsWith('\n')) this.#endParagraph();
      else if (this.#held.length > MAX_HELD_CHARS) this.#held = this.#drop(this.#held);
      return '';
    }
    if (!coversAll) this.#held = this.#drop(this.#held);
    const covered = coversAll ? this.#before + this.#held : '';
    this.#before = '';
    this.#held = '';
    if (isBare && !WORD.test(covered)) return '';
    const text = neutral(this.#lead + covered + checked)
      .trim()
      .replace(/[ \t]+([.,;!?])/g, '$1');
    for (const n of found) this.cited.add(n);
    const space = /^\s/.test(covered + checked) ? ' ' : '';
    const between = !this.#wroteAny ? '' : this.#newLine ? '\n' : space;
    this.#lead = '';
    if (this.#shown.has(text)) {
      this.#newLine ||= checked.endsWith('\n');
      return '';
    }
    this.#newLine = checked.endsWith('\n');
    this.#shown.add(text);
    this.#wroteAny = true;
    return between + text;
  }

  #endParagraph(): void {
    this.#newLine = true;
    if (/:\s*$/.test(this.#held)) {
      // Only the last such line leads anywhere.
      this.#lead = `${this.#held.trim().slice(-300)}\n`;
      this.#held = '';
    } else if (WORD.test(this.#held)) {
      this.#drop(this.#before);
      this.#before = this.#held;
      this.#held = '';
    } else this.#held = '';
  }

  /** Counts what is left out; gives what is left of it. */
  #drop(text: string): '' {
    if (/\p{L}/u.test(text)) this.dropped += 1;
    return '';
  }
}

/** "1, 3–5" → 1, 3, 4, 5. */
function numbersOf(list: string): number[] {
  return list.split(/[,;،、，&]|and/i).flatMap((part) => {
    const [from = 0, to = from] = part.split(/[–—-]|to/i).map(numberIn);
    return Array.from({ length: Math.min(MAX_RANGE, Math.max(1, to - from + 1)) }, (_, i) => from + i);
  });
}
const numberIn = (text: string): number =>
  Number([...text].flatMap((c) => (DIGITS.includes(c) ? [DIGITS.indexOf(c) % 10] : [])).join(''));
