import { isSure } from '../candidate.ts';
import { type Resolved, resolve } from './follow-up.ts';
import type { Findings } from './plan.ts';

/** Questions in one sentence or two: "Who plays music, and when is the cat shown?", "Who plays? And where?" */
const BETWEEN =
  /\?\s+(?:and\s+)?(?=\p{L})|,?\s+(?:and|or)\s+(?=(?:where|when|who|what|which|how|is|are|was|were|does|do|did)\b)/giu;
/** Of a question that is not found as a whole; more are no longer a question. */
const MAX_PARTS = 3;

/** What each of the questions in one finds, each understood as following the one before; undefined where it is one, or none finds anything. */
export async function findParts(
  text: string,
  find: (part: Resolved) => Promise<Findings>,
): Promise<Findings | undefined> {
  const questions = text.split(BETWEEN).filter((part) => part.trim() !== '');
  if (questions.length < 2 || questions.length > MAX_PARTS) return undefined;
  const parts: Findings[] = [];
  for (const [i, question] of questions.entries()) {
    const before = parts[i - 1];
    const at = before?.found ? (before.moments.find(isSure) ?? before.moments[0]) : undefined;
    const turn = before && { question: questions[i - 1] as string, read: before.question, answer: '', at };
    parts.push(await find(resolve(question, turn)));
  }
  if (!parts.some(({ found }) => found)) return undefined;
  // The nearest of what is sure of another part says nothing.
  const kept = ({ found, question, moments }: Findings) =>
    found ? (question.kind === 'needle' ? moments.filter(isSure) : moments) : [];
  const answered = parts.map((part) => ({ ...part, moments: kept(part) }));
  return {
    question: { kind: 'needle', topic: text },
    parts: answered,
    moments: answered.flatMap(({ moments }) => moments),
    found: true,
    videos: new Map(answered.flatMap(({ videos }) => [...videos])),
    scope: parts[0]?.scope,
    isPart: parts[0]?.isPart,
    missing: questions.filter((_, i) => !parts[i]?.found),
  };
}
