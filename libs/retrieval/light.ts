import { terms } from '#store';

/**
 * Words that say how something is asked for rather than what: verbs of little meaning, and nouns and adverbs that any sentence may do without. English only.
 * A small library cannot tell by itself: a word that nobody says seems the rarest of all, and "instead" is missed as "galangal" is.
 */
const LIGHT = new Set(
  terms(
    'go come get give take make put use need want let try work mean happen become seem think know keep start begin set turn leave bring allow able possible matter ' +
      'call name live send like true wrong really actually already also still just only even never again maybe perhaps exactly quite very too not no instead along away ' +
      'back off out up down over after against among around before behind below between during since through under until within without ' +
      'thing way kind sort type number amount reason result cause step date meaning whole other else same own certain different',
  ),
);
/** What a light word weighs beside another one as rare. */
const WEIGHT = 0.1;

/** Of a word as it is asked for, as a factor of its rarity. */
export const weightOf = (word: string): number => (isLight(word) ? WEIGHT : 1);
export const isLight = (word: string): boolean => terms(word).every((term) => LIGHT.has(term));
