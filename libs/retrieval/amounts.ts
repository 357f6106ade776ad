/**
 * Questions for an amount: "how hot should the oven be?" is answered by "heat the oven to 240 degrees", which need not say "hot". English, German, Spanish and
 * French.
 */
const ASKED = [
  /\bhow (long|far|hot|cold|warm|big|large|small|tall|high|low|deep|wide|thick|heavy|old|young|fast|quick|quickly|often|soon|late|early|expensive)\b/gi,
  /\b(?:what|which) (temperature|price|size|length|height|depth|width|weight|distance|speed|percentage|amount|score)\b/gi,
  /\bhow much (money|time|space|work)\b/gi,
  /\bhow much\b.* (cost|costs|pay|paid|weigh|weighs)\b/gi,
  /\bwie (lange?|hoch|tief|weit|breit|groß|klein|alt|schwer|schnell|heiß|warm|kalt|teuer|oft|spät|viele?)\b/gi,
  /\b(?:a )?qué (hora|temperatura|precio|tamaño|altura|distancia|velocidad|edad)(?!\p{L})/giu,
  /\b(?:à )?quelle (heure|température|taille|hauteur|distance|vitesse)(?!\p{L})/giu,
];
const UNIT =
  '(?:hours?|minutes?|seconds?|days?|weeks?|months?|years?|degrees?|dollars?|euros?|pounds?|met(?:er|re)s?|miles?|kilos?|stunden?|minuten?|sekunden?|tage?|wochen?|monate?|jahre?|grad|horas?|minutos?|días?|semanas?|mes(?:es)?|años?|grados?|heures?|jours?|semaines?|mois|ans?|degrés?)';
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

/** The words that ask for an amount, as they are written. */
export const amountsAsked = (text: string): string[] =>
  ASKED.flatMap((pattern) => [...text.matchAll(pattern)].map(([, word]) => word as string));
export const namesAmount = (text: string): boolean => AMOUNT.test(text);
