import { terms } from '#store';

/** Words that ask, not words that are looked for: how people begin ("show me the part where they talk about ..."). */
const ASKING = new Set(
  terms(
    'show find see seen watch look hear heard appear happen occur come up say said talk talking speak speaking spoken tell told ask asked mention discuss ' +
      'explain describe someone somebody anyone anybody people person speaker they video movie clip film scene moment part shot frame picture ' +
      'image photo screen time many much please',
  ),
);
/** Joins two things that must hold at once. "When", "as" and "during" at the start only ask for a time. */
const AT_ONCE = /\S\s+(?:while|whilst|as|during|when)\s+\S/i;

export interface Query {
  /** Stems of what is looked for. */
  words: string[];
  /** Two things at once ("a red car while they talk about the weather"). English only; otherwise false. */
  isTwofold: boolean;
}
export function readQuery(text: string): Query {
  const all = [...new Set(terms(text))];
  const content = all.filter((word) => !ASKING.has(word));
  return { words: content.length > 0 ? content : all, isTwofold: AT_ONCE.test(text) };
}
