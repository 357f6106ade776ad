import { CitationFilter } from './citations.ts';
import { notFound } from './extractive.ts';
import type { Turn } from './follow-up.ts';
import { type CallLimits, cutToTokens, type Llm, type LlmOptions, type Message, type UsageMeter } from './llm.ts';
import { ENDLESS, LlmError } from './llm-error.ts';
import { mapped } from './pieces.ts';
import type { AnswerSources, Findings } from './plan.ts';
import {
  evidenceBudget,
  evidenceOf,
  fitting,
  inRuns,
  mapMessages,
  messagesFor,
  picturesOf,
  saysNotFound,
} from './prompt.ts';

/** Notes of a text that does not fit are made in at most so many calls, so many at once, and are no longer than this. */
const MAX_RUNS = 12;
const RUNS_AT_ONCE = 3;
const NOTE_TOKENS = 400;
/** A prompt that is too long is asked again so often, shorter. No model reads less than the last. */
const MAX_SHORTER = 2;
const MIN_CONTEXT_TOKENS = 1_024;

interface Asked {
  llm: Llm;
  sources: AnswerSources;
  question: string;
  findings: Findings;
  history: Turn[];
  meter: UsageMeter;
  limits: CallLimits;
}
interface Spoken {
  cited: Iterable<number>;
  found: boolean;
  /** Why it is less than it could be. */
  failure?: LlmError;
}

/**
 * The chat model's answer, piece by piece, each checked. Where it takes no pictures, or less text than is configured, it is asked again with less. Returns
 * undefined where there is nothing that it could judge, so that it was not asked. Throws LlmError where nothing of it can be used.
 */
export async function* speak(asked: Asked): AsyncGenerator<string, Spoken | undefined> {
  let { options } = asked.llm;
  let failure: LlmError | undefined;
  for (let shorter = 0; ; ) {
    let isBegun = false;
    try {
      const spoken = yield* mapped(speakOnce(asked, options), (text) => {
        isBegun = true;
        return text;
      });
      // With pictures there would have been something to judge by.
      if (!spoken && failure) throw failure;
      return spoken && { ...spoken, failure: spoken.failure ?? failure };
    } catch (error) {
      if (!(error instanceof LlmError) || isBegun) throw error;
      failure = error;
      if (error.code === 'llm_pictures' && options.images > 0) options = { ...options, images: 0 };
      else if (error.code === 'llm_context' && shorter++ < MAX_SHORTER) {
        const { contextTokens } = options;
        const told = error.contextTokens ?? contextTokens;
        options = { ...options, contextTokens: told < contextTokens ? told : Math.floor(contextTokens / 2) };
        if (options.contextTokens < MIN_CONTEXT_TOKENS) throw error;
      } else throw error;
    }
  }
}

async function* speakOnce(
  { llm, sources, question, findings, history, meter, limits }: Asked,
  options: LlmOptions,
): AsyncGenerator<string, Spoken | undefined> {
  const pictures = options.images > 0 ? await picturesOf(findings, sources, options.images) : [];
  const items = evidenceOf(findings, pictures.length > 0);
  if (items.length === 0) return undefined;
  const budget = evidenceBudget(options, question, history, pictures.length);
  const isWhole = findings.marks?.some(({ text }) => text !== undefined);
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
  const end = yield* mapped(llm.chat(messages, meter, limits), (piece) => {
    raw += piece;
    return filter.push(piece) || undefined;
  });
  // A sentence that was cut off has no end to be checked.
  const rest = end === 'stop' ? filter.end() : '';
  if (rest) yield rest;
  if (filter.cited.size === 0) {
    if (saysNotFound(raw)) {
      yield notFound(findings);
      return { cited: [], found: false };
    }
    if (end === 'length') throw new LlmError('llm_too_long', ENDLESS);
    if (raw.trim() === '') throw new LlmError('llm_empty', 'The chat model answered nothing.');
    throw new LlmError('llm_uncited', UNCITED);
  }
  const { cited } = filter;
  if (end === 'stop') return { cited, found: true };
  const failure = new LlmError('llm_too_long', 'The answer was longer than LLM_MAX_TOKENS; its end is missing.');
  return { cited, found: true, failure };
}

const UNCITED = 'The chat model gave no sources for what it answered.';

/** The map step: notes of each run, with the numbers of the evidence they rest on. Where one fails, no more are asked for. */
async function notesOf(
  llm: Llm,
  question: string,
  runs: ReturnType<typeof inRuns>,
  budget: number,
  meter: UsageMeter,
  limits: CallLimits,
): Promise<{ notes: string }[]> {
  const most = Math.min(NOTE_TOKENS, Math.floor(budget / runs.length));
  const failed = new AbortController();
  const signal = AbortSignal.any([failed.signal, ...(limits.signal ? [limits.signal] : [])]);
  const all: { notes: string; isNone: boolean }[] = [];
  const noteOf = async (run: (typeof runs)[number]) => {
    const filter = new CitationFilter(new Set(run.map(({ n }) => n)));
    // Its thoughts, where it thinks, are longer than its notes.
    const text = await llm.ask(mapMessages(question, run), meter, { ...limits, signal });
    return { notes: cutToTokens((filter.push(text) + filter.end()).trim(), most), isNone: saysNotFound(text) };
  };
  try {
    for (let i = 0; i < runs.length; i += RUNS_AT_ONCE) {
      all.push(...(await Promise.all(runs.slice(i, i + RUNS_AT_ONCE).map(noteOf))));
    }
  } catch (error) {
    failed.abort(error);
    throw error;
  }
  const written = all.filter(({ notes }) => notes);
  if (written.length === 0 && !all.every(({ isNone }) => isNone)) throw new LlmError('llm_uncited', UNCITED);
  return written.map(({ notes }) => ({ notes }));
}
