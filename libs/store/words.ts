/** The one place that says what a word is and when two are the same; what search compares, in every index and in `libs/retrieval`. */
import { stemmer as arabic } from '@orama/stemmers/arabic';
import { stemmer as armenian } from '@orama/stemmers/armenian';
import { stemmer as bulgarian } from '@orama/stemmers/bulgarian';
import { stemmer as danish } from '@orama/stemmers/danish';
import { stemmer as dutch } from '@orama/stemmers/dutch';
import { stemmer as finnish } from '@orama/stemmers/finnish';
import { stemmer as french } from '@orama/stemmers/french';
import { stemmer as german } from '@orama/stemmers/german';
import { stemmer as greek } from '@orama/stemmers/greek';
import { stemmer as hungarian } from '@orama/stemmers/hungarian';
import { stemmer as indonesian } from '@orama/stemmers/indonesian';
import { stemmer as irish } from '@orama/stemmers/irish';
import { stemmer as italian } from '@orama/stemmers/italian';
import { stemmer as lithuanian } from '@orama/stemmers/lithuanian';
import { stemmer as norwegian } from '@orama/stemmers/norwegian';
import { stemmer as portuguese } from '@orama/stemmers/portuguese';
import { stemmer as romanian } from '@orama/stemmers/romanian';
import { stemmer as russian } from '@orama/stemmers/russian';
import { stemmer as serbian } from '@orama/stemmers/serbian';
import { stemmer as spanish } from '@orama/stemmers/spanish';
import { stemmer as swedish } from '@orama/stemmers/swedish';
import { stemmer as turkish } from '@orama/stemmers/turkish';
import { stopwords as danishStops } from '@orama/stopwords/danish';
import { stopwords as dutchStops } from '@orama/stopwords/dutch';
import { stopwords as finnishStops } from '@orama/stopwords/finnish';
import { stopwords as frenchStops } from '@orama/stopwords/french';
import { stopwords as germanStops } from '@orama/stopwords/german';
import { stopwords as italianStops } from '@orama/stopwords/italian';
import { stopwords as norwegianStops } from '@orama/stopwords/norwegian';
import { stopwords as portugueseStops } from '@orama/stopwords/portuguese';
import { stopwords as russianStops } from '@orama/stopwords/russian';
import { stopwords as swedishStops } from '@orama/stopwords/swedish';
import { SAME_WORDS } from './other-words.ts';

/** English function words, and nothing that could be what somebody looks for. */
const ENGLISH_STOPS = (
  'a about am an and are as at be been being but by can could did do does doing don for from had has have having he her hers him his how i if in ' +
  'into is it its it me my of on or our ours she should so some than that the their theirs them then there these they this those to was we were ' +
  'what when where which while who whom why will with would you your yours must shall s t d ll m re ve ' +
  'aren couldn didn doesn hadn hasn haven isn shouldn wasn weren wouldn'
).split(' ');
/** The same of Spanish: the library's list holds "verdad", "tiempo" and "trabajo". */
const SPANISH_STOPS = (
  'a al ante con cual cuando de del desde donde e el ella ellas ellos en entre era eran eres es esa esas ese eso esos esta está están estas este esto ' +
  'estos fue fueron ha han hasta he hay la las le les lo los me mi mis muy más nada ni no nos nosotros o os para pero por porque que qué quien se sea ' +
  'ser si sí sin sobre son soy su sus también te tu tus un una uno unos unas y ya yo'
).split(' ');
/** Words that ask, and that make the passive, where the lists at hand lack them. */
const QUESTION_STOPS = {
  de: 'wurde wurden worden wer wann warum wohin woher wieviel wieviele wem wen wessen weshalb wieso',
  es: 'quién quiénes dónde adónde cuándo cómo cuál cuáles cuánto cuánta cuántos cuántas',
  fr: 'quoi où quand comment combien pourquoi',
  it: 'quando quali',
  nl: 'wanneer welke waarom hoeveel',
  pt: 'onde quanto quanta quantos quantas quais porque quê',
  ru: 'сколько почему',
};
const asking = (language: keyof typeof QUESTION_STOPS): string[] => QUESTION_STOPS[language].split(' ');

/** What the libraries' lists hold that is function word and name of a thing in one ("été", "vår", "haar"), or a thing alone ("жизнь"). */
const LOOKED_FOR = new Set(
  'été étés son weg sei faccia haar vår sitta fora noita человек жизнь один два три сегодня'.split(' '),
);

/** Commonest irregular verbs and plurals of English, by their stems, and the stem they belong to. */
const IRREGULAR = new Map(
  (
    'goe:go went:go gone:go came:come took:take taken:take made:make gave:give given:give got:get knew:know known:know thought:think found:find ' +
    'saw:see seen:see said:say told:tell felt:feel left:leave kept:keep began:begin begun:begin wrote:write written:write stood:stand heard:hear met:meet ' +
    'ran:run paid:pay sat:sit spoke:speak spoken:speak led:lead grew:grow lost:lose fell:fall fallen:fall sent:send built:build drew:draw drawn:draw ' +
    'broke:break broken:break spent:spend drove:drive driven:drive bought:buy wore:wear worn:wear chose:choose chosen:choose ate:eat eaten:eat ' +
    'flew:fly flown:fly sang:sing sung:sing slept:sleep taught:teach caught:catch held:hold brought:bring sold:sell won:win ' +
    'men:man women:woman children:child feet:foot teeth:tooth mice:mouse geese:goose'
  )
    .split(' ')
    .map((pair) => pair.split(':') as [string, string])
    .map(([form, word]) => [form, word.replace(/(?<=[aeiou])y$/, 'i')]),
);

interface Rules {
  stem: (word: string) => string;
  stops: ReadonlySet<string>;
  /** Terms of words met before: stemming one takes longer than everything else that is done with it. */
  known: Map<string, string>;
}
const rules = (stem: Rules['stem'], stops: string[] = []): Rules => ({
  ...{ stem, known: new Map() },
  stops: new Set(stops.filter((word) => !LOOKED_FOR.has(word))),
});
/** Words kept for one language, five MB: what some hundred hours of talk hold. */
const MAX_KNOWN = 50_000;

/**
 * By ISO 639-1 code. Stop words only where the list at hand has none that somebody may look for (others name "house" and "fist"); without one, rarity
 * weighs them down.
 */
const LANGUAGES: ReadonlyMap<string, Rules> = new Map([
  ['en', rules(english, ENGLISH_STOPS)],
  ['ar', rules(arabic)],
  ['bg', rules(bulgarian)],
  ['da', rules(danish, danishStops)],
  ['de', rules(german, [...germanStops, ...asking('de')])],
  ['el', rules(greek)],
  ['es', rules(spanish, [...SPANISH_STOPS, ...asking('es')])],
  ['fi', rules(finnish, finnishStops)],
  ['fr', rules(french, [...frenchStops, ...asking('fr')])],
  ['ga', rules(irish)],
  ['hu', rules(hungarian)],
  ['hy', rules(armenian)],
  ['id', rules(indonesian)],
  ['it', rules(italian, [...italianStops, ...asking('it')])],
  ['lt', rules(lithuanian)],
  ['nl', rules(dutch, [...dutchStops, ...asking('nl')])],
  ['nn', rules(norwegian, norwegianStops)],
  ['no', rules(norwegian, norwegianStops)],
  ['pt', rules(portuguese, [...portugueseStops, ...asking('pt')])],
  ['ro', rules(romanian)],
  ['ru', rules(russian, [...russianStops, ...asking('ru')])],
  ['sr', rules(serbian)],
  ['sv', rules(swedish, swedishStops)],
  ['tr', rules(turkish)],
]);
/** Of a language without rules: words are compared as they are written. */
const NO_RULES = rules((word) => word);
const DEFAULT_LANGUAGE = 'en';

const segmenter = new Intl.Segmenter('en', { granularity: 'word' });
const MAX_WORD_LENGTH = 40;

/** Marks of layout within a word: soft hyphens, joiners, directions. Not the space of no width, which parts words. */
const LAYOUT = /[\u00ad\u200c-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]+/gu;

/** "AT&T" and "R&D": short parts, which alone may be function words, or stand for anything. */
const INITIALS = /(?<![\p{L}\p{N}])[\p{L}\p{N}]{1,3}(?:&[\p{L}\p{N}]{1,3})+(?![\p{L}\p{N}])/gu;
const joined = (name: string): string => name.replaceAll('&', '');
/** Where a text has such names, [from, to) in UTF-16 units, and the word that each is. */
export const initialsIn = (text: string): { from: number; to: number; word: string }[] =>
  [...text.matchAll(INITIALS)].map(({ 0: name, index }) => ({
    from: index,
    to: index + name.length,
    word: joined(name),
  }));
const withInitials = (text: string): string =>
  text.includes('&') ? text.replace(INITIALS, (name) => `${name.replaceAll('&', ' ')} ${joined(name)}`) : text;

/** Words of a text in order, lower case; what "&" joins also as one ("att"). Chinese and Japanese are cut by ICU's dictionary. */
export function wordsOf(written: string): string[] {
  const text = withInitials(written);
  // What ICU finds in ASCII, in a tenth of the time: its words, cut where there is no letter or digit.
  if (isAscii(text))
    return (text.toLowerCase().match(/[a-z0-9]+/g) ?? []).filter((word) => word.length <= MAX_WORD_LENGTH);
  const found: string[] = [];
  for (const { segment, isWordLike } of segmenter.segment(plain(text))) {
    if (!isWordLike) continue;
    for (const word of segment.split(/[^\p{L}\p{M}\p{N}]+/u)) {
      if (word && word.length <= MAX_WORD_LENGTH) found.push(word);
    }
  }
  return found;
}

/** A word as it is compared in a language: its stem, without accents. Undefined for a word that says nothing by itself ("the"). */
export function termOf(word: string, language: string = DEFAULT_LANGUAGE): string | undefined {
  const { stem, stops, known } = LANGUAGES.get(language) ?? NO_RULES;
  let term = known.get(word);
  if (term === undefined) {
    if (known.size >= MAX_KNOWN) known.clear();
    term = stops.has(word) ? '' : folded(stem(word));
    known.set(word, term);
  }
  return term || undefined;
}

/** Whether a word says nothing by itself in any language. */
export const isFunctionWord = (word: string): boolean => [...LANGUAGES.values()].some(({ stops }) => stops.has(word));

/** Terms of a text in order. */
export function terms(text: string, language?: string): string[] {
  const found: string[] = [];
  for (const word of wordsOf(text)) {
    const term = termOf(word, language);
    if (term !== undefined) found.push(term);
  }
  return found;
}

/** A word as it is compared, and whether it says nothing by itself. */
export interface SpokenWord {
  term: string;
  isFunction: boolean;
}
/** All words of a text in order: by these is compared what is asked for word for word ("to be or not to be"). */
export const spoken = (text: string, language?: string): SpokenWord[] =>
  wordsOf(text).map((word) => {
    const term = termOf(word, language);
    return { term: term ?? folded(word), isFunction: term === undefined };
  });

/** By its term, the terms of all words of one meaning; made when first asked for. */
let sameTerms: ReadonlyMap<string, string[]> | undefined;
/** The terms of other words that mean the same: of "14" that of "fourteen", of "mother" that of "mum". */
export function otherTerms(word: string): string[] {
  sameTerms ??= new Map(
    SAME_WORDS.map((words) => [...new Set(words.flatMap((one) => termOf(one) ?? []))]).flatMap((group) =>
      group.map((term) => [term, group] as const),
    ),
  );
  const term = termOf(word);
  return term === undefined ? [] : (sameTerms.get(term)?.filter((other) => other !== term) ?? []);
}

/** Of words that are asked for: what they are in each language. */
const inAllLanguages = new Map<string, string[]>();
function termsInAll(word: string): string[] {
  let found = inAllLanguages.get(word);
  if (!found) {
    if (inAllLanguages.size >= MAX_KNOWN) inAllLanguages.clear();
    const each = [...LANGUAGES.keys(), 'und'].flatMap((language) => termOf(word, language) ?? []);
    each.push(...otherTerms(word));
    found = [...new Set(each)];
    inAllLanguages.set(word, found);
  }
  return found;
}

/** Terms that passages may hold for the words of a query, each once: in one language, or in all, for nobody says which one a query is in. */
export function queryTerms(text: string, language?: string): string[] {
  const termsOf = (word: string): string[] => {
    if (language === undefined) return termsInAll(word);
    const term = termOf(word, language);
    return term === undefined ? [] : [term, ...(language === 'en' ? otherTerms(word) : [])];
  };
  return [...new Set(wordsOf(text).flatMap(termsOf))];
}

const plain = (text: string): string =>
  text
    .toWellFormed()
    .replace(LAYOUT, '')
    .normalize('NFKC')
    .replace(/[\u0e4d\u0ecd][\u0e32\u0eb2]/g, oneVowel)
    .toLowerCase();
/** A vowel of Thai and of Lao that NFKC takes apart; ICU's dictionaries know it as one ("น้ำ", water). */
const oneVowel = (parts: string): string => (parts.startsWith('\u0e4d') ? '\u0e33' : '\u0eb3');

/** Letters that Unicode does not take for one with an accent, as people write them who lack the key. */
const LETTERS: Record<string, string> = {
  ß: 'ss',
  æ: 'ae',
  œ: 'oe',
  ø: 'o',
  ł: 'l',
  đ: 'd',
  ð: 'd',
  þ: 'th',
  ħ: 'h',
  ı: 'i',
};
/**
 * Accents, and what people leave out: vowels in Arabic and Hebrew, the nukta in Hindi. Other marks are letters: か and が, दिन (day) and दान (gift).
 */
const ACCENTS = /(?<=[\p{sc=Latin}\p{sc=Greek}\p{sc=Cyrillic}\p{sc=Arabic}\p{sc=Hebrew}\p{N}])\p{M}+|\u093c/gu;
const folded = (word: string): string =>
  isAscii(word)
    ? word
    : word
        .normalize('NFKD')
        .replace(ACCENTS, '')
        .replace(/[ßæœøłđðþħı]/g, (letter) => LETTERS[letter] as string);
// biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII is meant.
const isAscii = (text: string): boolean => /^[\x00-\x7f]*$/.test(text);

const CONSONANT = '(?:[^aeiouy]|(?<=^|[aeiou])y)';
const hasVowel = (word: string): boolean => /[aeiou]|[^aeiou]y/.test(word);
/** m > 0 in the paper's terms: a vowel, then a consonant. */
const hasMeasure = (word: string): boolean => /[aeiouy][^aeiouy]/.test(word);
/** Of these a silent "e" was cut off: "bak(ed)", "us(ed)". */
const isShort = new RegExp(`^(?:${CONSONANT}+[aeiouy][^aeiouywx]|[aeiouy][^aeiouy])$`);
/** *o in the paper's terms: "bak". */
const isClosed = /[^aeiou][aeiouy][^aeiouywx]$/;

function english(word: string): string {
  const stem = inflectionless(folded(word));
  return silent(IRREGULAR.get(stem) ?? stem);
}

/** Step 5a of the same: "arrive" and "arriv(ed)" meet, "box" and "boxe(s)". Not of words that would be left with two letters, nor of "agree". */
function silent(word: string): string {
  const stem = word.slice(0, -1);
  if (!/[^e]e$/.test(word) || stem.length < 3) return word;
  const measure = stem.match(/[aeiouy]+[^aeiouy]+/g)?.length ?? 0;
  return measure > 1 || (measure === 1 && !isClosed.test(stem)) ? stem : word;
}

/**
 * Step 1 (inflections) of M. F. Porter, "An algorithm for suffix stripping", Program 14(3), 1980, with his later exceptions for short words ("use", "add",
 * "pies"): derivations stay apart, "universe" and "university" too.
 */
function inflectionless(word: string): string {
  if (word.length < 3 || !/^[a-z]+$/.test(word)) return word;
  let w = word.replace(/sses$/, 'ss').replace(/ies$/, word.length > 4 ? 'i' : 'ie');
  if (/[^s]s$/.test(w)) w = w.slice(0, -1);
  if (w.endsWith('eed')) {
    if (hasMeasure(w.slice(0, -3))) w = w.slice(0, -1);
  } else {
    const base = w.replace(/(?:ed|ing)$/, '');
    if (base !== w && hasVowel(base)) {
      if (/(?:at|bl|iz)$/.test(base)) w = `${base}e`;
      else if (/..([^aeioulsz])\1$/.test(base)) w = base.slice(0, -1);
      else w = isShort.test(base) ? `${base}e` : base;
    }
  }
  return w.endsWith('y') && hasVowel(w.slice(0, -1)) ? `${w.slice(0, -1)}i` : w;
}
