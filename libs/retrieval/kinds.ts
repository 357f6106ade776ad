import { terms } from '#store';

/** What kind of thing a question asks for, and whether a text names one. A sentence that names one need not say the word that asks for it. */
export type Kind = 'age' | 'amount' | 'duration' | 'price' | 'time' | 'person' | 'name' | 'colour';

/** "How hot should the oven be?" is answered by "heat the oven to 240 degrees". English, German, Spanish and French. */
const AMOUNT_ASKED = [
  /\bhow (far|hot|cold|warm|big|large|small|tall|high|low|deep|wide|thick|heavy|fast|quick|quickly|often|soon|late|early|expensive)\b/gi,
  /\b(?:what|which) (temperature|size|length|height|depth|width|weight|distance|speed|percentage|amount|score)\b/gi,
  /\bhow much (space|work)\b/gi,
  /\bhow much\b.* (weigh|weighs)\b/gi,
  /\bwhat(?:'s|’s| is| was)\b.* (number)\b/gi,
  /\bwie (lange?|hoch|tief|weit|breit|groß|klein|alt|schwer|schnell|heiß|warm|kalt|teuer|oft|spät|viele?)\b/gi,
  /\b(?:a )?qué (hora|temperatura|precio|tamaño|altura|distancia|velocidad|edad)(?!\p{L})/giu,
  /\b(?:à )?quelle (heure|température|taille|hauteur|distance|vitesse)(?!\p{L})/giu,
];
const UNIT =
  '(?:hours?|minutes?|seconds?|days?|weeks?|months?|years?|degrees?|dollars?|euros?|pounds?|met(?:er|re)s?|miles?|kilos?|stunden?|minuten?|sekunden?|tage?|wochen?|monate?|jahre?|grad|horas?|minutos?|días?|semanas?|mes(?:es)?|años?|grados?|heures?|jours?|semaines?|mois|ans?|degrés?)';
const MONTHS = 'january|february|april|may|june|july|august|september|october|november|december';
const AMOUNT = new RegExp(
  `\\p{N}|(?<!\\p{L})(?:${[
    "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen|(?:twen|thir|for|fif|six|seven|eigh|nine)ty|hundreds?|thousands?|millions?|half|dozen|once|twice|daily|weekly|overnight|o'clock",
    'zwei|drei|vier|fünf|sechs|sieben|acht|neun|zehn|elf|zwölf|\\p{L}*(?:zehn|zig|hundert|tausend)|halbe?|täglich|einmal|zweimal',
    'dos|tres|cuatro|cinco|seis|siete|ocho|nueve|diez|once|doce|quince|veinte|treinta|cuarenta|cincuenta|cien(?:to)?|mil|media',
    'deux|trois|quatre|cinq|sept|huit|neuf|dix|onze|douze|quinze|vingt|trente|quarante|cinquante|cent|mille|demie?',
    `(?:an?|one|eine?n?|una?|une?|every|each|per|jede[nrs]?|cada|chaque) ${UNIT}`,
  ].join('|')})(?!\\p{L})`,
  'iu',
);

/** The rest in English alone. */
const ASKED: [Kind, RegExp[]][] = [
  ['age', [/\bhow (old|young)\b/gi, /\b(?:what|which) (age)\b/gi]],
  ['colour', [/\b(?:what|which) (colou?r)s?\b/gi]],
  ['time', [/\b(?:what|which) (day|date|month|year|season)s?\b/gi, /^(?:and )?when\b/gi, /\bwhat time\b/gi]],
  ['amount', [...AMOUNT_ASKED, /\bhow (?:many|much)\b/gi]],
  ['duration', [/\bhow (long)\b/gi, /\bhow much (time)\b/gi]],
  [
    'price',
    [/\bhow much\b.* (cost|costs|pay|paid)\b/gi, /\bhow much (money)\b/gi, /\b(?:what|which)(?: is the)? (price)\b/gi],
  ],
  ['name', [/\bwhat(?:['’]?s| is| are| was| were)\b.* (name|called)\b/gi]],
  [
    'person',
    [
      /\b(?:what|which) (person|patient|player|student|customer|man|woman|guy|child)\b/gi,
      /^(?:and )?(?:who|whose|whom)\b/gi,
    ],
  ],
];
const DAYS = '(?:mon|tues|wednes|thurs|fri|satur|sun)day|today|tonight|tomorrow|yesterday';
/** A capital within a sentence, or a label before it ("Jean: …"), but neither a day nor a month. */
const PERSON = new RegExp(
  `(?<=[\\p{Ll}\\p{N},'’] )(?!(?:${`${DAYS}|${MONTHS}`.replace(/[a-z]/g, (letter) => `[${letter}${letter.toUpperCase()}]`)})\\b)\\p{Lu}\\p{Ll}+|\\b(?:Mr|Mrs|Ms|Dr|Doctor|Professor)\\.? \\p{Lu}|^\\p{Lu}[\\p{L} .]{0,30}: `,
  'u',
);
const NAMED: Record<Kind, RegExp> = {
  amount: AMOUNT,
  duration: new RegExp(`(?<!\\p{L})${UNIT}(?!\\p{L})|\\b(?:overnight|forever|all (?:day|night))\\b`, 'iu'),
  price:
    /[$£€]|\b(?:dollars?|euros?|pounds?|cents?|pence|francs?|bucks|quid|percent|hundred|thousand|million|free)\b|\d/i,
  age: /\byears?\b|-year-old|\b(?:aged|born)\b|\b(?:\d{1,3}|\w+teen|(?:twen|thir|for|fif|six|seven|eigh|nine)ty)(?:-\w+)?(?=[,.;!?]|$)/i,
  time: new RegExp(
    `\\p{N}|\\b(?:${DAYS}|${MONTHS}|(?:of|in) may|may \\d|\\w+(?:st|nd|rd|th) of|spring|summer|autumn|winter|morning|afternoon|evening|midnight|noon|o'clock|quarter to|half past|ago|overnight|(?:last|next|this|every) (?:week|month|year|night))\\b|\\bat (?:about )?(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\\b`,
    'iu',
  ),
  person: PERSON,
  name: PERSON,
  colour:
    /\b(?:red|orange|yellow|green|blue|purple|violet|pink|brown|black|white|gr[ae]y|golden?|silver|beige|turquoise)\b/i,
};

/** Kinds without which nothing is answered. */
export const MEASURES: ReadonlySet<Kind> = new Set<Kind>(['age', 'amount', 'duration', 'price', 'colour']);

/** The kinds that a question asks for, with the words that say so, as they are written. */
export function kindsAsked(text: string): { kind: Kind; words: string[] }[] {
  return ASKED.flatMap(([kind, patterns]) => {
    const found = patterns.flatMap((pattern) => [...text.matchAll(pattern)]);
    return found.length > 0 ? [{ kind, words: found.flatMap(([, word]) => word ?? []) }] : [];
  });
}
export const names = (kind: Kind, text: string): boolean => NAMED[kind].test(text);

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
