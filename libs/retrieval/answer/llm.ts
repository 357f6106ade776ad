import type OpenAI from 'openai';

export interface LlmOptions {
  /** Of an OpenAI-compatible api, `/v1` included. The operator's choice: any address is allowed. */
  baseUrl: string;
  model: string;
  apiKey?: string;
  /** For all calls of one question, their retries included. */
  timeoutMs: number;
  /** Of one call's answer. */
  maxTokens: number;
  /** Prompt and answer together. */
  contextTokens: number;
  /** Frames sent with a question at most; 0: text only. */
  images: number;
  /** Per million tokens, in whatever currency the operator counts. */
  inputPrice?: number;
  outputPrice?: number;
}
export type Message = OpenAI.Chat.Completions.ChatCompletionMessageParam;

export type LlmErrorCode =
  | 'llm_unreachable'
  | 'llm_timeout'
  | 'llm_auth'
  | 'llm_rate_limited'
  | 'llm_refused'
  | 'llm_failed'
  | 'llm_garbage'
  | 'llm_cut_off'
  | 'llm_too_long'
  | 'llm_empty'
  | 'llm_uncited';
/** Why there is no answer of the chat model. The message is for the person who asked: nothing of the endpoint's own words or of the key is in it. */
export class LlmError extends Error {
  override readonly name = 'LlmError';
  constructor(
    readonly code: LlmErrorCode,
    message: string,
    /** For the log: what the endpoint said, without the key. */
    readonly detail?: string,
  ) {
    super(message);
  }
}

/** Tokens of all calls of one answer. */
export interface Usage {
  promptTokens: number;
  completionTokens: number;
  totalTokens: number;
  /** In the currency of the configured prices. */
  cost?: number;
  /** The endpoint did not count; these are ours. */
  estimated?: true;
}

export interface CallLimits {
  maxTokens?: number;
  /** `Llm.deadline()`, shared by the calls of one question; left out, this call has all the time. */
  deadline?: AbortSignal;
  signal?: AbortSignal;
}

/** The SDK waits 0.5 s, then 1 s, or what `Retry-After` says. */
const MAX_RETRIES = 2;
/** An answer of more characters than this for each token it may have does not end. */
const MAX_CHARS_PER_TOKEN = 16;
/** The same for what comes over the wire: a chunk of one token has about 300 bytes. */
const MAX_BYTES_PER_TOKEN = 4096;

/** A chat model behind an OpenAI-compatible endpoint. */
export class Llm {
  #client: Promise<OpenAI> | undefined;
  /** It ends thoughts that it did not begin: its chat template has begun them. */
  #closesOnly = false;
  constructor(readonly options: LlmOptions) {}

  /** When the calls of one question that begin now must have ended. */
  deadline(): AbortSignal {
    return AbortSignal.timeout(this.options.timeoutMs);
  }

  /**
   * The answer, as it comes. Tokens are added to `meter`. Returns why it ended. Throws LlmError; with `signal` aborted, its reason. The request is
   * aborted when the caller stops reading.
   */
  async *chat(
    messages: Message[],
    meter: UsageMeter,
    { maxTokens = this.options.maxTokens, deadline = this.deadline(), signal }: CallLimits = {},
  ): AsyncGenerator<string, 'stop' | 'length'> {
    const { model, timeoutMs } = this.options;
    signal?.throwIfAborted();
    const left = new AbortController();
    const ends = AbortSignal.any([deadline, left.signal, ...(signal ? [signal] : [])]);
    let [written, finish]: [string, string | null] = ['', null];
    let counted: OpenAI.CompletionUsage | null | undefined;
    let answered = false;
    let understood = false;
    try {
      this.#client ??= this.#connect();
      const client = await this.#client;
      const isOpenAi = new URL(this.options.baseUrl).hostname === 'api.openai.com';
      const asked = client.chat.completions
        .create(
          {
            model,
            messages,
            stream: true,
            stream_options: { include_usage: true },
            // OpenAI's newer models take this name and no temperature; everybody else's server knows the older one.
            ...(isOpenAi ? { max_completion_tokens: maxTokens } : { max_tokens: maxTokens, temperature: 0 }),
          },
          { signal: ends },
        )
        .withResponse();
      const { data, response } = await orAborted(asked, ends);
      answered = true;
      const chunks = response.headers.get('content-type')?.includes('application/json') ? wholeAnswer(response) : data;
      const thoughts = new Thoughts(this.#closesOnly);
      for await (const chunk of chunks) {
        if (typeof chunk !== 'object' || chunk === null) continue;
        counted = chunk.usage ?? counted;
        understood ||= Array.isArray(chunk.choices);
        const choice = chunk.choices?.[0];
        finish = choice?.finish_reason ?? finish;
        const text = textIn(choice?.delta?.content);
        if (text === '') continue;
        written += text;
        if (written.length > maxTokens * MAX_CHARS_PER_TOKEN) return 'length';
        const shown = thoughts.push(text);
        if (shown) yield shown;
      }
      this.#closesOnly ||= thoughts.closedOnly;
      // What was cut off may have been thought.
      const last = finish === 'length' ? '' : thoughts.end();
      if (last) yield last;
      // The SDK ends the stream without a word when it is aborted.
      ends.throwIfAborted();
      // A web page, say, which lies at the address that was configured.
      if (!understood) throw new SyntaxError('nothing in it is of the protocol');
      if (finish === null || finish === 'content_filter')
        throw new LlmError('llm_cut_off', 'The chat model stopped in the middle of its answer.');
      return finish === 'length' ? 'length' : 'stop';
    } catch (error) {
      signal?.throwIfAborted();
      if (deadline.aborted) {
        throw new LlmError('llm_timeout', `The chat model did not finish within ${timeoutMs / 1000} s.`);
      }
      throw this.#explain(error);
    } finally {
      left.abort();
      if (answered) meter.add(counted, messages, written);
    }
  }

  /** The whole answer as one text. */
  async ask(messages: Message[], meter: UsageMeter, options: CallLimits = {}): Promise<string> {
    let text = '';
    for await (const piece of this.chat(messages, meter, options)) text += piece;
    return text;
  }

  async #connect(): Promise<OpenAI> {
    const { default: OpenAi } = await import('openai');
    const { baseUrl, apiKey, timeoutMs, maxTokens } = this.options;
    return new OpenAi({
      baseURL: baseUrl,
      // The SDK insists on one; servers of one's own need none.
      apiKey: apiKey ?? 'none',
      // Each of these would be read from the environment.
      ...{ adminAPIKey: null, organization: null, project: null, webhookSecret: null },
      timeout: timeoutMs,
      maxRetries: MAX_RETRIES,
      // Its debug lines hold whole prompts; what goes wrong is thrown.
      logLevel: 'off',
      fetch: async (input, init) => bounded(await fetch(input, init), maxTokens * MAX_BYTES_PER_TOKEN + 2 ** 20),
    });
  }

  #explain(error: unknown): LlmError {
    if (error instanceof LlmError) return error;
    const { status, message, name } = error as { status?: number; message?: string; name?: string };
    const detail = `${name}: ${message}`.replaceAll(this.options.apiKey ?? '\0', '***').slice(0, 500);
    const as = (code: LlmErrorCode, text: string) => new LlmError(code, text, detail);
    if (status === 401 || status === 403) return as('llm_auth', 'The chat model refuses the key it was given.');
    if (status === 429) return as('llm_rate_limited', 'The chat model has too much to do.');
    if (status !== undefined && status < 500)
      return as('llm_refused', `The chat model refused the request (${status}).`);
    if (status !== undefined) return as('llm_failed', `The chat model failed (${status}).`);
    if (name === 'SyntaxError') return as('llm_garbage', 'The chat model answered with something that is no answer.');
    if (error instanceof TooLong) return as('llm_too_long', 'The chat model did not come to an end.');
    // undici's word for a body that breaks off.
    if (name === 'TypeError' && /terminated|closed/i.test(String(message))) {
      return as('llm_cut_off', 'The chat model stopped in the middle of its answer.');
    }
    if (/^Connection error|fetch failed/i.test(String(message))) {
      return as('llm_unreachable', 'The chat model cannot be reached.');
    }
    return as('llm_failed', 'The chat model failed.');
  }
}

/** Text as most servers send it, or in parts, of which some are thoughts. */
function textIn(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content.map((part) => (part?.type === 'text' && typeof part.text === 'string' ? part.text : '')).join('');
}

const THINK = ['<think>', '<thinking>'];
const THOUGHT = /<\/think(?:ing)?>/;
/** It may just have begun. */
const MAYBE_THOUGHT = /<[/a-z]{0,9}$/;
/** Leaves out what reasoning models write before their answer, where their server leaves it in: `<think>…</think>`. */
class Thoughts {
  /** An end of thoughts came that had no beginning: what came before it may have been let through. */
  closedOnly = false;
  #state: 'unknown' | 'thinking' | 'over' = 'unknown';
  #held = '';

  /** `isBegun`: by the chat template, all is thought until that ends. Where it does not end, it was none. */
  constructor(readonly isBegun: boolean) {}

  /** What of the next piece belongs to the answer. */
  push(piece: string): string {
    this.#held += piece;
    if (this.#state === 'unknown') {
      const begun = this.#held.trimStart();
      if (THINK.some((tag) => tag.startsWith(begun))) return '';
      this.#state = this.isBegun || THINK.some((tag) => begun.startsWith(tag)) ? 'thinking' : 'over';
    }
    const end = THOUGHT.exec(this.#held);
    if (!end && this.#state === 'thinking') return '';
    this.closedOnly ||= end !== null && this.#state === 'over';
    this.#state = 'over';
    const answer = end ? this.#held.slice(end.index + end[0].length).trimStart() : this.#held;
    this.#held = MAYBE_THOUGHT.exec(answer)?.[0] ?? '';
    return answer.slice(0, answer.length - this.#held.length);
  }

  end(): string {
    const isThought = this.#state === 'thinking' && THINK.some((tag) => this.#held.trimStart().startsWith(tag));
    return isThought ? '' : this.#held;
  }
}

/** Adds up what the calls of one answer cost. */
export class UsageMeter {
  #usage: Usage | undefined;
  constructor(readonly options: Pick<LlmOptions, 'inputPrice' | 'outputPrice'>) {}

  add(counted: OpenAI.CompletionUsage | null | undefined, messages: Message[], written: string): void {
    const isCounted = isCount(counted?.prompt_tokens) && isCount(counted?.completion_tokens);
    const prompt = isCounted
      ? (counted?.prompt_tokens as number)
      : estimateTokens(JSON.stringify(messages.map(({ content }) => textOf(content))));
    const completion = isCounted ? (counted?.completion_tokens as number) : estimateTokens(written);
    const before = this.#usage;
    this.#usage = {
      promptTokens: (before?.promptTokens ?? 0) + prompt,
      completionTokens: (before?.completionTokens ?? 0) + completion,
      totalTokens: (before?.totalTokens ?? 0) + prompt + completion,
      ...((!isCounted || before?.estimated) && { estimated: true }),
    };
  }

  /** Undefined when nothing was asked. */
  get usage(): Usage | undefined {
    const { inputPrice, outputPrice } = this.options;
    if (!this.#usage || (inputPrice === undefined && outputPrice === undefined)) return this.#usage;
    const { promptTokens, completionTokens } = this.#usage;
    return { ...this.#usage, cost: (promptTokens * (inputPrice ?? 0) + completionTokens * (outputPrice ?? 0)) / 1e6 };
  }
}

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;

/** About: four characters of a Latin script a token, one of any other. Rather too many than too few. */
export function estimateTokens(text: string): number {
  let others = 0;
  for (const letter of text) if ((letter.codePointAt(0) as number) > 0x24f) others += 1;
  return Math.ceil((text.length - others) / 3.5 + others);
}

const textOf = (content: Message['content']): unknown =>
  Array.isArray(content) ? content.filter((part) => part.type === 'text') : content;

/** Some servers answer in one piece whatever they were asked. */
async function* wholeAnswer(response: Response): AsyncGenerator<OpenAI.Chat.Completions.ChatCompletionChunk> {
  const { choices, usage, error } = JSON.parse(await response.text()) as OpenAI.Chat.Completions.ChatCompletion & {
    error?: { message?: string };
  };
  if (error || !Array.isArray(choices)) throw new SyntaxError(error?.message ?? 'no choices');
  const [choice] = choices;
  yield {
    choices: [
      { index: 0, delta: { content: choice?.message?.content }, finish_reason: choice?.finish_reason ?? 'stop' },
    ],
    usage,
  } as OpenAI.Chat.Completions.ChatCompletionChunk;
}

class TooLong extends Error {}

/** A body of at most so many bytes; more is an error of whoever reads it. */
function bounded(response: Response, maxBytes: number): Response {
  if (!response.body) return response;
  let bytes = 0;
  const counted = response.body.pipeThrough(
    new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
      transform(chunk, controller) {
        bytes += chunk.length;
        if (bytes > maxBytes) throw new TooLong('The answer is too long');
        controller.enqueue(chunk);
      },
    }),
  );
  const { status, statusText, headers } = response;
  return new Response(counted, { status, statusText, headers });
}

/** `work`, or the reason of `signal` as soon as it aborts: the SDK sleeps through an abort between two tries. */
async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  work.catch(() => {});
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
