import type { Config } from '#config';
import { Llm } from '#retrieval';

/** Name under which Nest hands out the chat model; undefined where none is configured. */
export const LLM = Symbol('llm');

export const openLlm = (config: Pick<Config, 'llm'>): Llm | undefined => (config.llm ? new Llm(config.llm) : undefined);
