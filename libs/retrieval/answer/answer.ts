import type { Moment } from '../index.ts';
import { CitationFilter } from './citations.ts';
import { extractive, notFound, remarks } from './extractive.ts';
import { type Resolved, resolve, type Turn } from './follow-up.ts';
import { type CallLimits, type Llm, LlmError, type Message, type Usage, UsageMeter } from './llm.ts';
import { type AnswerSources, type Findings, isSure, type VideoFacts } from './plan.ts';
import {
  evidenceAbout,
  evidenceBudget,
  fitting,
  inRuns,
  mapMessages,
  messagesFor,
  NOT_FOUND,
  picturesOf,
  rewriteMessages,
} from './prompt.ts';
import { readQuestion } from './question.ts';
import { retrieve } from './retrieve.ts';

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
export type AnswerEvent =
  | { type: 'moments'; moments: Moment[]; videos: Map<string, VideoFacts> }
  | { type: 'token'; text: string }
  | { type: 'citations'; citations: Citation[] }
  | { type: 'done'; answer: Answer };

/** Notes of a text that does not fit are made in at most so many calls, so many at once. */
const MAX_RUNS = 12;
const RUNS_AT_ONCE = 3;
const NOTE_TOKENS = 400;
const REWRITE_TOKENS = 120;
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
  const findings = await retrieve(sources, resolved, options, signal);
  yield { type: 'moments', moments: findings.moments, videos: findings.videos };

  let written = '';
  let cited: Iterable<number> = [];
  let found = findings.found;
  let mode: Answer['mode'] = 'extractive';
  let failure: LlmError | undefined;
  if (llm && findings.moments.length > 0) {
    const spoken = speak(llm, sources, resolved.text, findings, history, meter, limits());
    try {
      for (let next = await spoken.next(); ; next = await spoken.next()) {
        if (next.done) {
          if (!next.value) break;
          mode = 'llm';
          cited = next.value.cited;
          found = next.value.found;
          failure = next.value.failure;
          break;
        }
        written += next.value;
        yield { type: 'token', text: next.value };
      }
    } catch (error) {
      if (!(error instanceof LlmError)) throw error;
      failure = error;
    } finally {
      await spoken.return(undefined);
    }
  }
  if (mode === 'extractive') {
    // What was shown of a model's answer before it failed was checked and stays.
    const text = (written ? '\n\n' : '') + extractive(findings);
    written += text;
    yield { type: 'token', text };
    cited = citedIn(written);
  }

  const remark = remarks(findings);
  if (remark) {
    const text = (mode === 'llm' ? '\n\n' : ' ') + remark;
    written += text;
    yield { type: 'token', text };
  }

  const citations = [...new Set(cited)]
    .sort((a, b) => a - b)
    .flatMap((n) => (findings.moments[n - 1] ? [{ n, moment: findings.moments[n - 1] as Moment }] : []));
  yield { type: 'citations', citations };
  const { usage } = meter;
  const at = answeredAt(findings, citations);
  const isWeak = mode === 'llm' && found && !citations.some(({ moment }) => isSure(moment));
  const degraded =
    (failure && { code: failure.code, message: failure.message }) ??
    options.degraded ??
    notReady(findings.scope) ??
    (findings.covers ? leftOut(findings.covers) : undefined) ??
    (isWeak ? WEAK : undefined) ??
    (unread && NOT_REWRITTEN);
  const failed = failure ?? unread;
  const detail = failed && (failed.detail ?? failed.message);
  yield {
    type: 'done',
    answer: {
      answer: written,
      ...{ mode, found, citations, moments: findings.moments },
      ...(usage && { usage }),
      ...(resolved.text !== options.question.trim() && { understoodAs: resolved.text }),
      ...(degraded && { degraded }),
      ...(detail && { detail }),
      turn: {
        question: options.question,
        read: findings.question,
        answer: written,
        ...(options.videoIds && { videoIds: options.videoIds }),
        ...(at && { at: { videoId: at.videoId, startMs: at.startMs, endMs: at.endMs } }),
        cited: [...new Set(citations.map(({ moment }) => moment.videoId))],
      },
    },
  };
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
const leftOut = (covers: string): Degraded => ({
  code: 'videos_left_out',
  message: `The answer covers ${covers} videos: name fewer to hear of each.`,
});

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
    const asked = await llm.ask(rewriteMessages(question, history), meter, { ...limits(), maxTokens: REWRITE_TOKENS });
    // In quotes a question would be looked for word for word.
    const text = asked
      .trim()
      .replace(/^(["“'])(.*)["”']$/s, '$2')
      .trim();
    if (text === '') throw new LlmError('llm_empty', 'The chat model answered nothing.');
    if (text.length > MAX_REWRITTEN_CHARS || text.includes('\n') || text.includes(NOT_FOUND)) {
      throw new LlmError('llm_garbage', 'The chat model answered with something that is no question.');
    }
    return { resolved: { question: readQuestion(text), text } };
  } catch (error) {
    if (!(error instanceof LlmError)) throw error;
    return { resolved: byRule, failure: error };
  }
}

/** The chat model's answer, piece by piece, each checked. Returns undefined where there is nothing that it could judge, so that it was not asked. Throws LlmError where nothing of it can be used. */
async function* speak(
  llm: Llm,
  sources: AnswerSources,
  question: string,
  findings: Findings,
  history: Turn[],
  meter: UsageMeter,
  limits: CallLimits,
): AsyncGenerator<string, { cited: Iterable<number>; found: boolean; failure?: LlmError } | undefined> {
  const { options } = llm;
  const pictures = options.images > 0 ? await picturesOf(findings, sources, options.images) : [];
  const items = evidenceAbout(findings, pictures.length > 0);
  if (items.length === 0) return undefined;
  const budget = evidenceBudget(options, question, history, pictures.length);
  const isWhole = findings.texts !== undefined;
  const runs = isWhole ? inRuns(items, budget, MAX_RUNS) : [fitting(items, budget)];
  const known = new Set(runs.flat().map(({ n }) => n));
  const messages: Message[] =
    runs.length > 1
      ? messagesFor(question, findings, await notesOf(llm, question, runs, budget, meter, limits), { history })
      : messagesFor(question, findings, runs[0] ?? [], {
          history,
          pictures: pictures.filter(({ n }) => known.has(n)),
        });

  const filter = new CitationFilter(known);
  let raw = '';
  let end: 'stop' | 'length' = 'stop';
  const answer = llm.chat(messages, meter, limits);
  try {
    for (let next = await answer.next(); ; next = await answer.next()) {
      if (next.done) {
        end = next.value;
        break;
      }
      raw += next.value;
      const text = filter.push(next.value);
      if (text) yield text;
    }
  } finally {
    await answer.return('stop');
  }
  // A sentence that was cut off has no end to be checked.
  const rest = end === 'stop' ? filter.end() : '';
  if (rest) yield rest;
  if (filter.cited.size === 0) {
    if (raw.includes(NOT_FOUND)) {
      yield notFound(findings);
      return { cited: [], found: false };
    }
    if (end === 'length') throw new LlmError('llm_too_long', 'The chat model did not come to an end.');
    if (raw.trim() === '') throw new LlmError('llm_empty', 'The chat model answered nothing.');
    throw new LlmError('llm_uncited', 'The chat model gave no sources for what it answered.');
  }
  const failure =
    end === 'length'
      ? new LlmError('llm_too_long', 'The answer was longer than it may be; its end is missing.')
      : undefined;
  return { cited: filter.cited, found: true, ...(failure && { failure }) };
}

/** The map step: notes of each run, with the numbers of the evidence they rest on. */
async function notesOf(
  llm: Llm,
  question: string,
  runs: ReturnType<typeof inRuns>,
  budget: number,
  meter: UsageMeter,
  limits: CallLimits,
): Promise<{ notes: string }[]> {
  const notes: string[] = [];
  const maxTokens = Math.min(NOTE_TOKENS, llm.options.maxTokens, Math.floor(budget / runs.length));
  const waiting = [...runs.entries()];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const [i, run] = next;
      const filter = new CitationFilter(new Set(run.map(({ n }) => n)));
      const text = await llm.ask(mapMessages(question, run), meter, { ...limits, maxTokens });
      notes[i] = (filter.push(text) + filter.end()).trim();
    }
  };
  await Promise.all(Array.from({ length: RUNS_AT_ONCE }, work));
  return notes.filter(Boolean).map((text) => ({ notes: text }));
}

/** What "that" is in a question that follows: the first place that was cited; of neighbours the farthest, so that "and after that?" goes on. */
function answeredAt({ roles, question }: Findings, citations: Citation[]): Moment | undefined {
  if (question.kind !== 'order' || !roles || question.direction === 'during') return citations[0]?.moment;
  const beside = citations.filter(({ n }) => roles[n - 1] !== 'place').map(({ moment }) => moment);
  const after = question.direction === 'after';
  return beside.sort((a, b) => (after ? b.endMs - a.endMs : a.startMs - b.startMs))[0] ?? citations[0]?.moment;
}

const citedIn = (text: string): number[] => [...text.matchAll(/\[(\d+)\]/g)].map(([, n]) => Number(n));
