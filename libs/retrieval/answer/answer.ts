import { isSure } from '../candidate.ts';
import type { Moment } from '../index.ts';
import { extractive, remarks } from './extractive.ts';
import { type Resolved, resolve, type Turn } from './follow-up.ts';
import { type CallLimits, type Llm, type Usage, UsageMeter } from './llm.ts';
import { LlmError } from './llm-error.ts';
import { mapped } from './pieces.ts';
import type { AnswerSources, Findings, VideoFacts } from './plan.ts';
import { rewriteMessages, saysNotFound } from './prompt.ts';
import { readQuestion } from './question.ts';
import { retrieve } from './retrieve.ts';
import { speak } from './speak.ts';

export interface AskOptions {
  question: string;
  /** Only these videos; left out, the whole library. */
  videoIds?: string[];
  /** Moments of a needle at most. */
  limit: number;
  /** Of the conversation so far, oldest first. */
  history?: Turn[];
  /** `sources` give only a part of each video, or one language. */
  isPart?: boolean;
  /** What the caller knows to be missing. */
  degraded?: Degraded;
}
/** `[n]` in an answer stands for this moment. */
export interface Citation {
  n: number;
  moment: Moment;
}
/** Why an answer is less than it could be. */
export interface Degraded {
  code: string;
  message: string;
}
export interface Answer {
  answer: string;
  mode: 'llm' | 'extractive';
  /** Whether the videos contain it. */
  found: boolean;
  /** The question in words that stand alone, where those are not the words it was asked in. */
  understoodAs?: string;
  citations: Citation[];
  moments: Moment[];
  usage?: Usage;
  degraded?: Degraded;
  /** For the log: what the endpoint said. */
  detail?: string;
  /** What the conversation keeps. */
  turn: Turn;
}
/** What comes of a question, in this order: the moments, the answer in pieces, what it cites, and the whole. */
type AnswerEvent =
  | { type: 'moments'; moments: Moment[]; videos: Map<string, VideoFacts> }
  | { type: 'token'; text: string }
  | { type: 'citations'; citations: Citation[] }
  | { type: 'done'; answer: Answer };

const MAX_REWRITTEN_CHARS = 500;

/**
 * Answers a question from what its videos say and show. With a chat model the answer is its own, held to the citations it gives; without one, or where it
 * fails, it is made of what was found (`mode: 'extractive'`; `degraded` says why). Throws what `sources` throws, and `signal`'s reason.
 */
export async function* ask(
  parts: { sources: AnswerSources; llm?: Llm },
  options: AskOptions,
  signal?: AbortSignal,
): AsyncGenerator<AnswerEvent> {
  const { sources, llm } = parts;
  const history = options.history ?? [];
  const meter = new UsageMeter(llm?.options ?? {});
  // From the first call on: what is retrieved before it takes none of the chat model's time.
  let deadline: AbortSignal | undefined;
  const limits = (): CallLimits => {
    deadline ??= llm?.deadline();
    return { deadline, signal };
  };
  const { resolved, failure: unread } = await standAlone(llm, options.question, history, meter, limits);
  const findings = await retrieve({ ...options, sources, resolved, signal });
  yield { type: 'moments', moments: findings.moments, videos: findings.videos };

  let written = '';
  let cited: Iterable<number> = [];
  let found = findings.found;
  let mode: Answer['mode'] = 'extractive';
  let failure: LlmError | undefined;
  if (llm && findings.moments.length > 0) {
    const question = resolved.text;
    const asked = { llm, sources, question, findings, history, meter, limits: limits() };
    try {
      const spoken = yield* mapped(speak(asked), (text): AnswerEvent => {
        written += text;
        return { type: 'token', text };
      });
      if (spoken) {
        mode = 'llm';
        ({ cited, found, failure } = spoken);
      }
    } catch (error) {
      if (!(error instanceof LlmError)) throw error;
      failure = error;
    }
  }
  // What was shown of a model's answer before it failed was checked and stays.
  const own = mode === 'extractive' ? (written ? '\n\n' : '') + extractive(findings) : '';
  const remark = remarks(findings);
  const text = own + (remark && (own ? ' ' : '\n\n') + remark);
  written += text;
  if (text) yield { type: 'token', text };
  if (own) cited = citedIn(written);

  const citations = [...new Set(cited)]
    .sort((a, b) => a - b)
    .flatMap((n) => (findings.moments[n - 1] ? [{ n, moment: findings.moments[n - 1] as Moment }] : []));
  yield { type: 'citations', citations };
  const isWeak = mode === 'llm' && found && !citations.some(({ moment }) => isSure(moment));
  const failed = failure ?? unread;
  yield {
    type: 'done',
    answer: {
      ...{ answer: written, mode, found, citations, moments: findings.moments, usage: meter.usage },
      understoodAs: resolved.text === options.question.trim() ? undefined : resolved.text,
      degraded:
        (failure && { code: failure.code, message: failure.message }) ??
        options.degraded ??
        notReady(findings.scope) ??
        leftOut(findings) ??
        (isWeak ? WEAK : undefined) ??
        (unread && NOT_REWRITTEN),
      detail: failed?.detail ?? failed?.message,
      turn: turnOf(options, findings, citations, written),
    },
  };
}

function turnOf({ question, videoIds }: AskOptions, findings: Findings, citations: Citation[], answer: string): Turn {
  const at = answeredAt(findings, citations);
  const cited = [...new Set(citations.map(({ moment }) => moment.videoId))];
  return { question, read: findings.question, answer, videoIds, at, cited };
}

const WEAK: Degraded = {
  code: 'weak_evidence',
  message: 'Nothing that the answer cites was found surely: look at the moments before you rely on it.',
};
const NOT_REWRITTEN: Degraded = {
  code: 'question_not_rewritten',
  message: 'The chat model did not put the question into words that stand alone: it was understood by rule.',
};
/** Of the videos in question, some may be missing. */
export function notReady(videos: readonly VideoFacts[] | undefined): Degraded | undefined {
  const waiting = videos?.filter(({ isReady }) => isReady === false) ?? [];
  if (waiting.length === 0) return undefined;
  const message = `${waiting.length} of ${videos?.length} videos ${waiting.length === 1 ? 'is' : 'are'} not indexed (yet): the answer may miss something.`;
  return { code: 'videos_not_ready', message };
}
const leftOut = ({ covers }: Findings): Degraded | undefined =>
  covers
    ? { code: 'videos_left_out', message: `The answer covers ${covers} videos: name fewer to hear of each.` }
    : undefined;

/** A follow-up in words that stand alone: by the chat model where there is one, else, or where it fails, by rule. */
async function standAlone(
  llm: Llm | undefined,
  question: string,
  history: Turn[],
  meter: UsageMeter,
  limits: () => CallLimits,
): Promise<{ resolved: Resolved; failure?: LlmError }> {
  const byRule = resolve(question, history.at(-1));
  // "After that" is a place that is known; no words say it better.
  if (!llm || history.length === 0 || byRule.anchor) return { resolved: byRule };
  try {
    const asked = await llm.ask(rewriteMessages(question, history), meter, limits());
    // In quotes a question would be looked for word for word.
    const text = asked.replace(/^\s*(["“'])(.*)["”']\s*$/s, '$2').trim();
    if (text === '') throw new LlmError('llm_empty', 'The chat model answered nothing.');
    if (text.length > MAX_REWRITTEN_CHARS || text.includes('\n') || saysNotFound(text)) {
      throw new LlmError('llm_garbage', 'The chat model answered with something that is no question.');
    }
    return { resolved: { question: readQuestion(text), text } };
  } catch (error) {
    if (!(error instanceof LlmError)) throw error;
    return { resolved: byRule, failure: error };
  }
}

/** What "that" is in a question that follows: the first place that was cited; of neighbours the farthest, so that "and after that?" goes on. */
function answeredAt({ marks, question }: Findings, citations: Citation[]): Turn['at'] {
  const { kind, direction } = question;
  const isOfNeighbours = kind === 'order' && direction !== 'during';
  const beside = citations.filter(({ n }) => isOfNeighbours && marks && marks[n - 1]?.role !== 'place');
  beside.sort(({ moment: a }, { moment: b }) => (direction === 'after' ? b.endMs - a.endMs : a.startMs - b.startMs));
  const [found = citations[0]] = beside;
  return found && { videoId: found.moment.videoId, startMs: found.moment.startMs, endMs: found.moment.endMs };
}

const citedIn = (text: string): number[] => [...text.matchAll(/\[(\d+)\]/g)].map(([, n]) => Number(n));
