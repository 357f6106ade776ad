/**
 * One code for what says the same, ISO 639-1 where there is one: `de` for `de`, `deu` and `ger` (ISO 639-2/T and 639-2/B), `en` for `en-US`
 * and `eng`. From Unicode's CLDR. Undefined for what is no language tag, and for `und`.
 */
export function languageOf(tag: string | undefined): string | undefined {
  if (!tag) return undefined;
  let language: string | undefined;
  try {
    language = new Intl.Locale(tag.trim().replaceAll('_', '-')).language;
  } catch {
    return undefined;
  }
  if (!language || language === 'und' || language.length > 3) return undefined; // a word, such as `english`, is well-formed and no code
  // Norwegian is tagged by its written forms, and spoken language is asked for.
  return language === 'nb' || language === 'nn' ? 'no' : language;
}
