import type { Moment } from '../index.ts';
import { kindsAsked, names } from '../kinds.ts';
import { momentsOfPassages } from '../passage-moments.ts';
import { highlights, readQuery } from '../query.ts';
import { type AnswerSources, passageEvidence, passagesIn } from './plan.ts';

/** Passages that an answer may be in are no farther from the one that was found. */
const BESIDE_MS = 30_000;
/** So many passages later somebody may still speak of the same ("He's nineteen years old"). */
const MOST_LATER = 2;
/** Who or what was spoken of before; a label of who speaks may stand before it. */
const REFERS = /^(?:[\p{Lu}][\p{L} .]{0,30}: )?(?:he|she|it|they|that|this|his|her|its|their)\b/iu;
const QUESTION = /\?["”']?\s*$/;
const ASKS = /^(?:and )?(who|what|when|where|why|how)\b/i;
const ASKED_WITHIN =
  /\b(who|what|when|where|why|how) (?:is|are|was|were|do|does|did|has|have|had|will|would|can|could|should)\b/gi;

/**
 * The moment with what answers the question beside it: the reply, where what was found is itself a question; the sentence before, where "she" is who was asked
 * for; the next one that goes on about the same, where it names the time, the amount or the person that was asked for and what was found does not.
 */
export async function withAnswer(
  { passages }: Pick<AnswerSources, 'passages'>,
  question: string,
  moment: Moment,
): Promise<Moment> {
  const said = passagesIn(moment);
  if (moment.evidence[0]?.kind !== 'passage') return moment;
  const part = { startMs: moment.startMs - BESIDE_MS, endMs: moment.endMs + BESIDE_MS };
  const around = await passages(moment.videoId, part);
  let from = around.findIndex(({ startMs }) => startMs === said[0]?.atMs);
  let to = around.findLastIndex(({ startMs }) => startMs === said.at(-1)?.atMs);
  if (from < 0 || to < 0) return moment;
  const [first, last] = [from, to];
  const text = (): string =>
    around
      .slice(from, to + 1)
      .map((one) => one.text)
      .join(' ');
  const refers = (at: number): boolean => REFERS.test(around[at]?.text ?? '');
  const query = readQuery(question);
  const has = (at: number): string[] => {
    const { text: told = '', language } = around[at] ?? {};
    return highlights(told, query.words, language).map(([start, end]) => told.slice(start, end).toLowerCase());
  };
  if (asksToo(around[last]?.text ?? '', question)) to = Math.min(around.length - 1, to + 1);
  if (refers(first) && first > 0 && has(first - 1).some((word) => !has(first).includes(word))) from -= 1;
  for (const { kind } of kindsAsked(question)) {
    if (names(kind, text())) continue;
    const later = around
      .slice(last + 1, last + 1 + MOST_LATER)
      .findIndex((one, i) => names(kind, one.text) && refers(last + 1 + i));
    if (kind === 'person' && refers(first) && names(kind, around[first - 1]?.text ?? '')) from = first - 1;
    else if (later >= 0) to = Math.max(to, last + 1 + later);
  }
  if (from === first && to === last) return moment;
  const known = new Set(said.map(({ atMs }) => atMs));
  const added = around.slice(from, to + 1).filter(({ startMs }) => !known.has(startMs));
  // What two sentences that belong together say is said.
  const { language = '', score = 0 } = said[0] ?? {};
  const whole = { ...moment, id: '', tenant: '', text: text(), language, score };
  const confidence = momentsOfPassages([whole], query)[0]?.confidence ?? 0;
  return {
    ...moment,
    startMs: Math.min(moment.startMs, ...added.map(({ startMs }) => startMs)),
    endMs: Math.max(moment.endMs, ...added.map(({ endMs }) => endMs)),
    confidence: Math.max(moment.confidence, confidence),
    evidence: [...moment.evidence, ...added.map(passageEvidence)],
  };
}

/** "Who was driving?" in answer to "who drove?", also within a sentence ("Can I just ask, when will the lights be fixed"). */
function asksToo(said: string, question: string): boolean {
  const word = ASKS.exec(question)?.[1]?.toLowerCase();
  return QUESTION.test(said) || [...said.matchAll(ASKED_WITHIN)].some((match) => match[1]?.toLowerCase() === word);
}
