import { join } from 'node:path';
import type { Engine, EngineSpec, Reply } from '../engine.ts';
import { ModelError } from '../errors.ts';
import { checkFolder } from '../folder.ts';
import type { RuntimeInfo } from '../runtime.ts';
import { type InferenceSession, openSessions, run, Tensor } from '../sessions.ts';
import { floats } from '../tensors.ts';
import { checkVocabulary, foreignTokenizer, TextTokenizer, unknownToken } from '../tokenizer.ts';
import { readTextConfig, TEXT_FILES, type TextConfig } from './config.ts';

/** Bounds of a run: memory grows with them, and abort is looked at between runs. */
const TEXTS_PER_RUN = 16;
const TOKENS_PER_RUN = 2048;

export interface TextInfo extends RuntimeInfo {
  dimension: number;
}

/** A text encoder in the inference thread. Embeddings come back one after the other in one buffer, L2-normalised. */
export class TextEngine implements Engine {
  readonly #config: TextConfig;
  readonly #tokenizer: TextTokenizer;
  readonly #session: InferenceSession;
  readonly #runtime: RuntimeInfo;
  /** Known from config.json or the first run. */
  #dimension: number;

  private constructor(config: TextConfig, tokenizer: TextTokenizer, session: InferenceSession, runtime: RuntimeInfo) {
    this.#config = config;
    this.#tokenizer = tokenizer;
    this.#session = session;
    this.#runtime = runtime;
    this.#dimension = config.dimension ?? 0;
  }

  get info(): TextInfo {
    return { dimension: this.#dimension, ...this.#runtime };
  }

  /** Opens the model and runs it once with the tokeniser's last token, so that files of different models show here. */
  static async open({ folder, name, runtime }: EngineSpec & { kind: 'text' }): Promise<TextEngine> {
    await checkFolder(folder, TEXT_FILES.json);
    const config = await readTextConfig(folder, name);
    const tokenizer = await TextTokenizer.open(folder, config.longest);
    checkVocabulary(folder, tokenizer, config.vocabulary);
    const opened = await openSessions(
      folder,
      [{ file: TEXT_FILES.model, threads: runtime.interactive ? 1 : undefined }],
      runtime,
    );
    const engine = new TextEngine(config, tokenizer, opened.sessions[0] as InferenceSession, opened.runtime);
    try {
      await engine.#run([tokenizer.encode(''), [tokenizer.maxId]], (_, vector) => vector);
    } catch (error) {
      await engine.close();
      const reason = error instanceof Error ? error.message : String(error);
      if (unknownToken.test(reason)) throw foreignTokenizer(folder, reason);
      const file = join(folder, TEXT_FILES.model);
      throw new ModelError('model_invalid', `${file} does not fit its config.json: ${reason}`);
    }
    return engine;
  }

  async encode(
    { texts, as }: { texts: string[]; as: 'query' | 'passage' },
    signal: AbortSignal,
  ): Promise<Reply<Float32Array>> {
    const prefix = this.#config.prefixes[as];
    const ids = texts.map((text) => this.#tokenizer.encode(prefix + text));
    const out = new Float32Array(texts.length * this.#dimension);
    // Texts of about the same length share a run, so that little padding is computed.
    const order = ids.map((_, i) => i).sort((a, b) => lengthOf(ids, a) - lengthOf(ids, b));
    for (const group of runsOf(order, ids)) {
      signal.throwIfAborted();
      const members = group.map((i) => ids[i] as number[]);
      await this.#run(members, (n, vector) => out.set(vector, (group[n] as number) * this.#dimension));
    }
    return { value: out, transfer: [out.buffer] };
  }

  async close(): Promise<void> {
    await this.#session.release();
  }

  async #run(texts: number[][], give: (n: number, vector: Float32Array) => void): Promise<void> {
    const longest = Math.max(...texts.map((ids) => ids.length));
    const shape = [texts.length, longest];
    const ids = new BigInt64Array(texts.length * longest).fill(BigInt(this.#tokenizer.padId ?? 0));
    const mask = new BigInt64Array(texts.length * longest);
    for (const [n, text] of texts.entries()) {
      ids.set(BigInt64Array.from(text, BigInt), n * longest);
      mask.fill(1n, n * longest, n * longest + text.length);
    }
    const all: Record<string, BigInt64Array> = {
      input_ids: ids,
      attention_mask: mask,
      token_type_ids: new BigInt64Array(ids.length),
    };
    const feeds: Record<string, Tensor> = {};
    for (const name of this.#session.inputNames) {
      if (all[name]) feeds[name] = new Tensor('int64', all[name], shape);
    }
    const { last_hidden_state: output } = await run(this.#session, feeds);
    const dimension = output?.dims[2] ?? 0;
    this.#dimension ||= dimension;
    if (output?.dims.length !== 3 || dimension !== this.#dimension) {
      const what = `its output is not last_hidden_state of ${this.#dimension || 'any'} numbers a token`;
      throw new ModelError('model_invalid', `${what} (${output?.dims ?? 'none'})`);
    }
    const states = floats(output);
    for (const [n, text] of texts.entries()) {
      // The padding of a text lies behind its tokens: leaving it out is what the attention mask does in the reference.
      const counted = this.#config.pooling === 'cls' ? 1 : text.length;
      give(n, pooled(states.subarray(n * longest * dimension, (n * longest + counted) * dimension), dimension));
    }
  }
}

const lengthOf = (ids: number[][], i: number) => (ids[i] as number[]).length;

/** Cuts texts, shortest first, into runs that keep to the bounds. */
function* runsOf(order: number[], ids: number[][]): Generator<number[]> {
  let group: number[] = [];
  for (const i of order) {
    const full = group.length === TEXTS_PER_RUN || (group.length + 1) * lengthOf(ids, i) > TOKENS_PER_RUN;
    if (full && group.length > 0) {
      yield group;
      group = [];
    }
    group.push(i);
  }
  if (group.length > 0) yield group;
}

/** Mean of rows of `dimension`, brought to length one. */
function pooled(states: Float32Array, dimension: number): Float32Array {
  const sum = new Float64Array(dimension);
  for (let at = 0; at < states.length; at += dimension) {
    for (let i = 0; i < dimension; i++) sum[i] = (sum[i] as number) + (states[at + i] as number);
  }
  // The mean and the sum differ in length only.
  const scale = 1 / Math.max(Math.hypot(...sum), 1e-12);
  return Float32Array.from(sum, (value) => value * scale);
}
