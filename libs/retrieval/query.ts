import { initialsIn, otherTerms, termOf, terms, wordsOf } from '#store';
import { remembering } from './candidate.ts';
import { type Kind, kindsAsked } from './kinds.ts';
import type { Modality } from './search.ts';

/** Words that ask, not words that are looked for: how people begin ("show me the part where they talk about ..."). */
const ASKING = new Set(
  terms(
    'show find see seen watch look hear heard appear happen occur come up say said talk talking speak speaking spoken tell told ask asked mention discuss ' +
      'explain describe someone somebody anyone anybody people person speaker they video movie clip film scene moment part shot frame picture ' +
      'image photo screen time many much please any anything anywhere ever something somewhere everything visible bit quote exact whats wheres whos hows whens',
  ),
);
/** Joins two things that must hold at once. "As", "when" and "during" after a question only ask for a time. */
const AT_ONCE = /^(?<left>.*\S)\s+(?<joint>while|whilst|as|during|when)\s+(?<right>\S.*)$/is;
const ASKS = /^(?:what|when|where|who|whom|whose|which|why|how|is|are|was|were|does|do|did|can|will)\b/i;
/** Words that point at speech, and those that point at pictures. English only; other languages are searched evenly. */
const SPEECH =
  /\b(?:say|says|said|saying|mention(?:s|ed|ing)?|talk(?:s|ed|ing)?|speaks?|speaking|spoken|discuss(?:es|ed|ing)?|explain(?:s|ed|ing)?|ask(?:s|ed|ing)?|tells?|told|announce[sd]?|hear[sd]?|count(?:s|ed|ing)? to)\b/i;
const SIGHT =
  /\b(?:shows?|shown|showing|see|seen|looks?|looking|wear(?:s|ing)?|colou?r(?:s|ed|ful)?|visible|picture|photo|image|drawing|frame|scene|on screen|appears?|background|backdrop)\b/i;
/** Of what is said, and nothing else: "a man talking" may be a picture. English only. */
const IS_SAID =
  /\b(?:mention(?:s|ed|ing)?|says?|said|saying|(?:talk|speak)(?:s|ed|ing)? (?:about|of)|spoken (?:about|of)|discuss(?:es|ed|ing)?|explain(?:s|ed|ing)?|(?:ask|tell)(?:s|ed|ing)? (?:about|what|who|when|where|why|how|if|whether)|told)\b/i;
/** Of what no picture tells. English only. */
const IS_UNSEEN =
  /^(?:and |so )?(?:why\b|(?:on |in |at )?(?:what|which) (?:day|date|month|year|time|age)\b|how (?:long|much|often|old|hot|cold|far|expensive|late|early|soon)\b)/i;
/** Share that a rank has in the modality that the query does not point at. A choice: the evaluation does not tell it from 1 (docs/search.md). */
const LEAN = 0.5;
/** How people begin to ask. It is not looked for, and points at nothing: "show me" may ask for words as well. English only. */
const LEAD = new RegExp(
  `^(?:please |can you |could you |i want you to |i['’]d like (?:you )?to )*(?:${[
    '(?:show|find|give) (?:me|us)',
    'tell (?:me|us)(?: more)?(?: about)?',
    '(?:take|bring) (?:me|us) to',
    '(?:jump|skip|go) to',
    '(?:search|look) for',
    'find(?: the words?)?',
    "i['’]?m looking for",
    'i want to (?:know|see)',
    'more about',
    'at (?:what|which) (?:point|time|moment)',
  ].join('|')}) (?=\\S)`,
  'i',
);
/** "Which city has the most bridges?": what says it names the city, and need not say the word (days, amounts and more: `kinds.ts`). English only. */
const CLASS = /\b(?:what|which)\s+(name|kind|sort|type|place|city|town|country|animal|language)s?\b/gi;
/** "What does the coach say about the defence?": whoever speaks says no such word of himself. English only. */
const SPEAKER =
  /\b(?:does|do|did) (?!(?:i|you|we|they|he|she|it) )(?:the |an? |my |our |this |that )?(\S+(?: \S+)?) (?:says?|talk|speak|mention|explain|discuss|tell|ask|describe|recommend|suggest)\b|\b(?:when|where|why|how|what|part|moment) (?:the |my |our |this |that )(\S+) (?:says|said|talks|talked|speaks|spoke|mentions|mentioned|explains|explained|discusses|discussed|tells|told|asks|asked|describes|described)\b/gi;

export interface Query {
  /** What frames are compared with. */
  seen: string;
  /** What passages are searched for. */
  said: string;
  /** Words of what is said, each once. */
  words: string[];
  /** Those of them that are not missed where they are not said: "city" of "which city has the most bridges", and who says it. */
  optional: string[];
  /** What kinds of thing it asks for, with the words that say so: what names such a thing has them. */
  kinds: { kind: Kind; words: string[] }[];
  /** Parts in quotes: what is said holds their words one after the other. */
  phrases: string[];
  /** What must not be there ("a beach -people"). */
  without: string[];
  /** Two things at once ("a red car while they talk about the weather"). English only; otherwise false. */
  isTwofold: boolean;
  /** It asks for what is said ("they mention a boat", "why …", "which day …"): a picture of a boat is half an answer. */
  isSaid: boolean;
  /** How much a rank counts in each modality, 0..1. Says nothing of how sure a modality is. */
  weights: Record<Modality, number>;
}

/** Letters, numbers and emoji: without any of them nothing is asked for, and what an encoder makes of "!?" is near to whatever there is. */
const MEANING = /[\p{L}\p{N}\p{Extended_Pictographic}\p{RI}]/u;

/** A minus (also the one of mathematics, and of full width) before a word or a quote, after a space: "e-mail" and "5 - 3" are neither. In quotes it is what is said. */
const QUOTE_OR_MINUS = /(?<=^|\s)[-\u2212\uff0d](?:["“”„]([^"“”„]+)["“”]|(\p{L}[^\s"“”„]*))|["“”„][^"“”„]+["“”]/gu;
const QUOTED = /["“”„]([^"“”„]+)["“”]/g;

export function readQuery(text: string): Query {
  const without: string[] = [];
  const asked = text
    .replace(QUOTE_OR_MINUS, (part, quoted?: string, word?: string) => {
      const unwanted = quoted ?? word;
      if (unwanted === undefined) return part;
      without.push(unwanted);
      return ' ';
    })
    .replace(/\s+/g, ' ')
    .trim();
  const unled = asked.replace(LEAD, '');
  const wanted = MEANING.test(unled) ? unled : asked;
  const quotes = [...wanted.matchAll(QUOTED)].map((match) => match[1] as string);
  const plain = MEANING.test(wanted)
    ? wanted
        .replace(/["“”„]/g, ' ')
        .replace(/\s+/g, ' ')
        .trim()
    : '';
  const phrases = quotes.filter((quote) => wordsOf(quote).length > 0);

  const parts = AT_ONCE.exec(plain)?.groups as { left: string; joint: string; right: string } | undefined;
  const isBoth = parts !== undefined && MEANING.test(parts.left) && MEANING.test(parts.right);
  const isTwofold = isBoth && (/^whil/i.test(parts.joint) || !ASKS.test(parts.left));
  let [seen, said] = [plain, plain];
  if (isTwofold && SPEECH.test(parts.left) !== SPEECH.test(parts.right)) {
    [seen, said] = SPEECH.test(parts.right) ? [parts.left, parts.right] : [parts.right, parts.left];
  }
  const all = [...new Set(wordsOf(said))];
  const content = all.filter((word) => !ASKING.has(termOf(word) ?? ''));
  const only = (some: string[]): string[] => (holdsMore(content, some) ? some : []);
  const kinds = kindsAsked(said).map(({ kind, words }) => ({ kind, words: only(words.flatMap(wordsOf)) }));
  const named = [CLASS, SPEAKER].flatMap((pattern) =>
    [...said.matchAll(pattern)].flatMap(([, one, other]) => wordsOf((one ?? other) as string)),
  );
  return {
    seen,
    said,
    optional: only(named),
    kinds,
    words: content.some((word) => termOf(word)) ? content : all,
    phrases,
    without: without.map((one) => one.trim()).filter(Boolean),
    isTwofold,
    isSaid: !isTwofold && (IS_SAID.test(plain) || IS_UNSEEN.test(plain)) && !SIGHT.test(plain),
    weights: isTwofold ? { frames: 1, passages: 1 } : leaning(plain, phrases.length > 0),
  };
}

/** Whether a word that says something is left beside these. */
const holdsMore = (content: string[], some: string[]): boolean =>
  content.some((word) => termOf(word) && !some.includes(word));

/** Of what must not be there; each is a text for CLIP to encode. */
export const MAX_WITHOUT = 10;
/** What is wrong with a query, in words for whoever asked; undefined: nothing. */
export function flawOf(text: string): string | undefined {
  const { seen, without } = readQuery(text);
  if (without.length > MAX_WITHOUT) return `names more than ${MAX_WITHOUT} things that must not be there.`;
  return seen === '' && without.length > 0 ? 'says only what must not be there.' : undefined;
}

function leaning(text: string, hasQuote: boolean): Query['weights'] {
  const speech = hasQuote || SPEECH.test(text);
  const sight = !hasQuote && SIGHT.test(text);
  if (speech === sight) return { frames: 1, passages: 1 };
  return speech ? { frames: LEAN, passages: 1 } : { frames: 1, passages: LEAN };
}

/** Words by what they are in a language, or as other words for the same are; of two with one stem the first, and none of those that say nothing by themselves. */
export function inLanguage(words: readonly string[], language: string | undefined): Map<string, string> {
  const found = new Map<string, string>();
  for (const word of words) {
    const term = termOf(word, language);
    if (term === undefined || found.has(term)) continue;
    found.set(term, word);
    for (const other of otherTerms(word)) if (!found.has(other)) found.set(other, word);
  }
  return found;
}

/** The parts of a text that are words of the query, [from, to) in UTF-16 units, in order. */
export function highlights(text: string, words: readonly string[], language?: string): [from: number, to: number][] {
  const wanted = inLanguage(words, language);
  const marked: [number, number][] = [];
  // The same few words come again and again.
  const isWanted = remembering((word: string) => terms(word, language).some((term) => wanted.has(term)));
  const names = initialsIn(text).filter(({ word }) => isWanted(word));
  for (const { from, to } of names) marked.push([from, to]);
  for (const { segment, index, isWordLike } of segmenter.segment(text)) {
    const end = index + segment.length;
    const isInName = names.some(({ from, to }) => index < to && end > from);
    if (isWordLike && !isInName && isWanted(segment)) marked.push([index, end]);
  }
  return names.length > 0 ? marked.sort(([a], [b]) => a - b) : marked;
}
const segmenter = new Intl.Segmenter('en', { granularity: 'word' });
