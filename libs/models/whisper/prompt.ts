import type { Tokenizer } from '@huggingface/tokenizers';
import type { WhisperConfig } from './config.ts';

export type Task = 'transcribe' | 'translate';
export interface DecodeOptions {
  /** ISO 639-1; found out from the windows when left out. */
  language: string | undefined;
  task: Task;
  /** Tokens of text that came before, or that shows names and spelling. */
  prompt: number[];
}

/** Tokens of a prompt: a blank before the words, whose tokens carry theirs (openai/whisper transcribe.py). Special ones, from `endToken` on, would be orders to the decoder. */
export function textTokens(tokenizer: Tokenizer, text: string | undefined, endToken: number): number[] {
  if (!text?.trim()) return [];
  const { ids } = tokenizer.encode(` ${text.trim()}`, { add_special_tokens: false });
  return ids.filter((id: number) => id < endToken);
}

/** `<|startofprev|>` and the prompt, then start, language and task (openai/whisper decoding.py, _get_initial_tokens). */
export function promptTokens(
  { decoder }: Pick<WhisperConfig, 'decoder'>,
  { language, task, prompt }: DecodeOptions,
): number[] {
  const { startToken, previousToken, languages, tasks, maxTokens } = decoder;
  const before = previousToken === undefined ? [] : prompt.slice(-(Math.floor(maxTokens / 2) - 1));
  const tokens = before.length > 0 ? [previousToken as number, ...before] : [];
  tokens.push(startToken);
  const languageToken = language === undefined ? undefined : languages.get(language);
  const taskToken = tasks[task];
  if (languageToken !== undefined) tokens.push(languageToken);
  if (languages.size > 0 && taskToken !== undefined) tokens.push(taskToken);
  return tokens;
}
