/** Question → moments → answer, and a video's chapters. */
export { type Answer, type AnswerEvent, type AskOptions, ask, type Citation, type Degraded } from './answer.ts';
export { type Chapter, chaptersOf, titleChapters } from './chapters.ts';
export { CitationFilter } from './citations.ts';
export { Llm, LlmError, type LlmErrorCode, type LlmOptions, type Usage } from './llm.ts';
export type { AnswerSources, VideoFacts } from './plan.ts';
export { type Question, type QuestionKind, readQuestion, resolve, type Turn } from './question.ts';
export { type Scene, scenesOf } from './scenes.ts';
export { neutral } from './text.ts';
