/** What crosses between the caller's thread and the inference thread. */
import type { ModelErrorCode } from './errors.ts';
import type { RuntimeOptions } from './runtime.ts';

/** Which engine to open in the thread, and how. Equal specs share one thread, so a process holds one copy of a model. */
export type EngineSpec = { folder: string; runtime: RuntimeOptions } & (
  | { kind: 'clip'; towers: 'both' | 'text' | 'image' }
  | { kind: 'text'; name: string }
  | { kind: 'whisper' /** A Silero VAD's ONNX file; left out, speech is told by loudness. */; vadFile?: string }
);

/** What a thread is started with. */
export interface ThreadData {
  spec: EngineSpec;
  /** See gate.ts. */
  gate: Int32Array;
}

/** A result, and the buffers of it that move instead of being copied. */
export interface Reply<T> {
  value: T;
  transfer: ArrayBuffer[];
}

/** The side of a model that lives in the inference thread. Calls come one at a time, in order. */
export interface Engine {
  /** Facts of the opened model for the caller's side. */
  readonly info: unknown;
  close(): Promise<void>;
}

/** Names of an engine's callable methods: `(args, signal) => Promise<Reply>`. */
export type MethodsOf<E> = {
  // biome-ignore lint/suspicious/noExplicitAny: matches any argument type
  [K in keyof E]: E[K] extends (args: any, signal: AbortSignal) => Promise<Reply<unknown>> ? K : never;
}[keyof E] &
  string;
export type ArgsOf<E, K extends keyof E> = E[K] extends (args: infer A, signal: AbortSignal) => unknown ? A : never;
export type ResultOf<E, K extends keyof E> = E[K] extends (...args: never[]) => Promise<Reply<infer R>> ? R : never;

export type ToThread =
  | { type: 'call'; id: number; method: string; args: unknown }
  | { type: 'abort'; id: number }
  | { type: 'close' };

export interface WireError {
  code: ModelErrorCode;
  message: string;
  retryable: boolean;
}
export type FromThread =
  | { type: 'open'; info: unknown }
  | { type: 'refused'; error: WireError }
  | { type: 'result'; id: number; value: unknown }
  | { type: 'error'; id: number; error: WireError };
