/** Question → moments → answer, and a video's chapters. */
export { type Answer, ask, type Citation, type Degraded, notReady } from './answer.ts';
export { type Chapter, chaptersOf, titleChapters } from './chapters.ts';
export { CitationFilter } from './citations.ts';
export { resolve, type Turn } from './follow-up.ts';
export { Llm, type LlmOptions } from './llm.ts';
export type { AnswerSources, VideoFacts } from './plan.ts';
export { readQuestion } from './question.ts';
export { type Scene, scenesOf } from './scenes.ts';
export { neutral } from './text.ts';
