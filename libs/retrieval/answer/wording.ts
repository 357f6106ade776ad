import { terms } from '#store';
import type { Modality } from '../index.ts';

// What questions are worded with beside what they ask for: English.

/** What people call a video, as part of a pattern. */
export const VIDEO_NOUNS = 'videos?|films?|movies?|clips?|recordings?|lectures?|talks?|episodes?';
/** The same with what may as well be what is asked for ("how many meetings"). */
export const VIDEO = `(?:${VIDEO_NOUNS}|lessons?|podcasts?|interviews?|tutorials?|presentations?|meetings?|webinars?)`;

/** On one line, with straight apostrophes. */
export const oneLine = (text: string): string => text.toWellFormed().replace(/[’‘]/g, "'").replace(/\s+/g, ' ').trim();
/** In small letters, without marks. */
export const normal = (text: string): string =>
  oneLine(text)
    .toLowerCase()
    .replace(/^(and |so )?(what|where|who|how|when)s\b/, "$1$2's")
    .replace(/[?!.,;:"“”]+/g, ' ')
    .replace(/\s+/g, ' ')
    .trim();

/** Words that a question is made of beside its topic, as stems; trimmed from both ends only, so that "a house with a blue roof" stays whole. */
const ASKING = new Set(
  terms(
    'please show shown find list count give name tell enumerate many much often time times every each all everywhere moment place scene part ' +
      'occurrence instance appearance timestamp mention mentioned word phrase sentence first last final earliest latest see seen look hear heard say said saying talk talked discuss ' +
      'discussed speak spoken appear happen occur come visible someone somebody anyone anybody people speaker they video movie film clip recording lecture ' +
      'compare comparison difference differ versus vs common both contain have whole entire thing right immediately there any anything anywhere ever everything',
  ),
);
/** Words that leave nothing else to look for where a time is named, or a video. */
const WHO_AND_WHERE = new Set(
  terms(
    'describe quote exactly exact transcript jump skip mark point timestamp screen picture image frame topic go going do doing man woman guy host teacher speaker',
  ),
);
/** Whether any question may have the word. */
export const asks = (word: string): boolean => terms(word).every((term) => ASKING.has(term));
/** Whether nothing is looked for by name in these words. */
export const asksOnly = (words: string): boolean =>
  terms(words).every((term) => ASKING.has(term) || WHO_AND_WHERE.has(term));
/** The words between the asking ones at both ends. */
export function trimmed(text: string): string {
  const words = text.split(/\s+/).filter(Boolean);
  const from = words.findIndex((word) => !asks(word));
  return from < 0 ? '' : words.slice(from, words.findLastIndex((word) => !asks(word)) + 1).join(' ');
}

const SAID =
  /\b(?:say|says|said|saying|mention(?:s|ed|ing)?|talk(?:s|ed|ing)? (?:about|of)|discuss(?:es|ed)?|speaks?|spoken|hear|heard|tells?|told|words?|quoted?)\b/;
const SEEN =
  /\b(?:see|sees|seen|shows?|shown|showing|appear(?:s|ed|ing)?|visible|looks? like|wear(?:s|ing)?|colou?rs?|on (?:the )?screen|pictured?)\b/;
/** The same without doubt: "tell me about the car" asks for no words, and a colour may be seen or said. */
const MENTIONED =
  /\b(?:mention(?:s|ed)?|says?|said|spoken|(?:talk(?:s|ed|ing)?|speaks?) (?:about|of)|discuss(?:es|ed)?)\b/;
const SHOWN = /\b(?:shown|visible|appears?|seen?|on (?:the )?screen)\b/;

export const asksOfSights = (plain: string): boolean => SEEN.test(plain);
/** Passages when it is about what is said, frames when it is about what is shown, neither when it says nothing or both. */
export function modalitiesOf(plain: string): Modality[] | undefined {
  const only = oneOf(SAID.test(plain), SEEN.test(plain));
  return only && [only];
}
const oneOf = (said: boolean, seen: boolean): Modality | undefined =>
  said === seen ? undefined : said ? 'passages' : 'frames';

/** What a single fact is asked of: "who mentions a boat" is not answered by a picture of one. */
export function onlySaidOrShown(text: string): Modality | undefined {
  const plain = normal(text);
  return oneOf(MENTIONED.test(plain), SHOWN.test(plain));
}

/** Whether it asks for a fact rather than for a sight. */
export function mayBeSaid(text: string): boolean {
  const plain = normal(text);
  return (
    /^(?:and )?(?:who|whom|whose|what|which|why|how|where(?! (?:is|are|was|were)\b))\b/.test(plain) && !SEEN.test(plain)
  );
}

/** Whether what a video is called may answer it: not when something is, nor what is said or shown. */
export function mayBeTitle(text: string): boolean {
  const plain = normal(text).replace(/^(?:(?:please|can you|could you) )*(?:tell|show) (?:me|us) /, '');
  return !/^(?:and )?when\b/.test(plain) && !SAID.test(plain) && !SEEN.test(plain);
}
