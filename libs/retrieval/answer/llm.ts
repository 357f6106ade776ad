import { once } from 'node:events';
import type OpenAI from 'openai';
import { CUT_OFF, ENDLESS, errorIn, explain, LlmError, refusedPart, TooLong } from './llm-error.ts';
import { cut } from './text.ts';
import { Thoughts, withoutTemplate } from './thoughts.ts';

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

/** What some server refuses, and how it says so. Of the two names of a limit the first that it takes is sent. */
const PARTS = [
  ['max_tokens', /\bmax_tokens\b/],
  ['max_completion_tokens', /\bmax_completion_tokens\b/],
  ['temperature', /\btemperature\b/],
  ['stream_options', /\bstream_options\b/],
  ['system', /\bsystem (?:role|message|prompt)|developer instruction|roles must alternate|roles are supported/i],
] as const satisfies [string, RegExp][];
type Part = (typeof PARTS)[number][0];

/** A chat model behind an OpenAI-compatible endpoint. */
export class Llm {
  #client: Promise<OpenAI> | undefined;
  /** It ends thoughts that it did not begin: its chat template has begun them. */
  #closesOnly = false;
  /** What the server does not take. */
  #without: ReadonlySet<Part>;

  constructor(readonly options: LlmOptions) {
    // OpenAI's newer models take the other name and no temperature; everybody else's server knows these.
    const isOpenAi = new URL(options.baseUrl).hostname === 'api.openai.com';
    this.#without = new Set(isOpenAi ? ['max_tokens', 'temperature'] : []);
  }

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
    { deadline = this.deadline(), signal }: CallLimits = {},
  ): AsyncGenerator<string, 'stop' | 'length'> {
    const { timeoutMs, maxTokens } = this.options;
    signal?.throwIfAborted();
    const left = new AbortController();
    const ends = AbortSignal.any([deadline, left.signal, ...(signal ? [signal] : [])]);
    let [written, finish]: [string, string | null] = ['', null];
    let counted: OpenAI.CompletionUsage | null | undefined;
    let refusal = '';
    let answered = false;
    let understood = false;
    try {
      this.#client ??= this.#connect();
      const client = await this.#client;
      const { data, response } = await this.#begin(client, messages, ends);
      answered = true;
      const chunks = response.headers.get('content-type')?.includes('application/json') ? wholeAnswer(response) : data;
      const thoughts = new Thoughts(this.#closesOnly);
      for await (const chunk of chunks) {
        if (typeof chunk !== 'object' || chunk === null) continue;
        const failed = errorIn(chunk);
        if (failed) throw failed;
        counted = chunk.usage ?? counted;
        understood ||= Array.isArray(chunk.choices);
        const choice = chunk.choices?.[0];
        finish = choice?.finish_reason ?? finish;
        refusal += choice?.delta?.refusal ?? '';
        const text = textIn(choice?.delta?.content);
        if (text === '') continue;
        written += text;
        if (written.length > maxTokens * MAX_CHARS_PER_TOKEN) return 'length';
        const shown = thoughts.push(text);
        if (shown) yield shown;
      }
      const isLong = /length|max_tokens/i.test(finish ?? '');
      if (thoughts.closedOnly) this.#closesOnly = true;
      else if (written !== '' && !thoughts.ended && !isLong) this.#closesOnly = false;
      // What was cut off may have been thought.
      const last = isLong ? '' : thoughts.end();
      if (last) yield last;
      // The SDK ends the stream without a word when it is aborted.
      ends.throwIfAborted();
      // A web page, say, which lies at the address that was configured.
      if (!understood) throw new SyntaxError('nothing in it is of the protocol');
      checkEnd(finish);
      if (refusal && written === '') throw new LlmError('llm_refused', 'The chat model declined to answer.');
      return isLong ? 'length' : 'stop';
    } catch (error) {
      signal?.throwIfAborted();
      if (deadline.aborted) {
        const seconds = timeoutMs / 1000;
        throw new LlmError('llm_timeout', `The chat model did not finish within ${seconds} s (LLM_TIMEOUT_SECONDS).`);
      }
      throw explain(error, {
        apiKey: this.options.apiKey,
        hasPictures: messages.some(({ content }) => hasPicture(content)),
      });
    } finally {
      left.abort();
      if (answered) meter.add(counted, messages, written);
    }
  }

  /** The whole answer as one text; of one that is too long, what there is. */
  async ask(messages: Message[], meter: UsageMeter, options: CallLimits = {}): Promise<string> {
    let text = '';
    const answer = this.chat(messages, meter, options);
    let next = await answer.next();
    for (; !next.done; next = await answer.next()) text += next.value;
    if (next.value === 'length' && text.trim() === '') throw new LlmError('llm_too_long', ENDLESS);
    return withoutTemplate(text);
  }

  /** Asks; what the server refuses by name is changed or left out, now and in later calls. */
  async #begin(client: OpenAI, messages: Message[], ends: AbortSignal) {
    const without = new Set(this.#without);
    for (;;) {
      const parts = PARTS.filter(([part]) => !without.has(part));
      const limit = parts.find(([part]) => part === 'max_tokens' || part === 'max_completion_tokens')?.[0];
      const body: OpenAI.Chat.Completions.ChatCompletionCreateParamsStreaming = {
        model: this.options.model,
        messages: without.has('system') ? inOneMessage(messages) : messages,
        stream: true,
        ...(!without.has('stream_options') && { stream_options: { include_usage: true } }),
        ...(!without.has('temperature') && { temperature: 0 }),
        ...(limit && { [limit]: this.options.maxTokens }),
      };
      try {
        const begun = await orAborted(client.chat.completions.create(body, { signal: ends }).withResponse(), ends);
        this.#without = without;
        return begun;
      } catch (error) {
        const sent = parts.filter(([part]) => part in body || part === 'system');
        const refused = refusedPart(error, sent);
        if (!refused) throw error;
        without.add(refused);
      }
    }
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
      fetch: async (input, init) => {
        const response = await fetch(input, { ...init, dispatcher: patient() } as RequestInit);
        return bounded(response, maxTokens * MAX_BYTES_PER_TOKEN + 2 ** 20);
      },
    });
  }
}

/** Whether it ended as an answer does. */
function checkEnd(finish: string | null): void {
  if (finish === null) throw new LlmError('llm_cut_off', CUT_OFF);
  if (/filter|safety/i.test(finish))
    throw new LlmError('llm_cut_off', "The chat model's content filter stopped its answer.");
  if (/error/i.test(finish)) throw new LlmError('llm_failed', 'The chat model failed.', `finish_reason: ${finish}`);
}

/** Text as most servers send it, or in parts, of which some are thoughts. */
function textIn(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content
    .map((part) => (typeof part?.text === 'string' && !/think|reason/i.test(part.type) ? part.text : ''))
    .join('');
}

const hasPicture = (content: Message['content']): boolean =>
  Array.isArray(content) && content.some(({ type }) => type === 'image_url');

/** The rules at the head of the user's message, for chat templates that have no system. */
function inOneMessage([system, user]: Message[]): Message[] {
  const rules = { type: 'text' as const, text: `${system?.content}\n\n` };
  const content = (user as OpenAI.Chat.Completions.ChatCompletionUserMessageParam).content;
  return [{ role: 'user', content: typeof content === 'string' ? rules.text + content : [rules, ...content] }];
}

/** Adds up what the calls of one answer cost. */
export class UsageMeter {
  #usage: Usage | undefined;
  constructor(readonly options: Pick<LlmOptions, 'inputPrice' | 'outputPrice'>) {}

  add(counted: OpenAI.CompletionUsage | null | undefined, messages: Message[], written: string): void {
    let { prompt_tokens: prompt, completion_tokens: completion } = counted ?? {};
    let { promptTokens, completionTokens, estimated }: Partial<Usage> = this.#usage ?? {};
    if (!isCount(prompt) || !isCount(completion)) {
      prompt = estimateTokens(JSON.stringify(messages.map(({ content }) => textOf(content))));
      completion = estimateTokens(written);
      estimated = true;
    }
    promptTokens = (promptTokens ?? 0) + prompt;
    completionTokens = (completionTokens ?? 0) + completion;
    const totalTokens = promptTokens + completionTokens;
    this.#usage = { promptTokens, completionTokens, totalTokens, estimated };
  }

  /** Undefined when nothing was asked. */
  get usage(): Usage | undefined {
    const { inputPrice, outputPrice } = this.options;
    if (!this.#usage || (inputPrice === undefined && outputPrice === undefined)) return this.#usage;
    const { promptTokens, completionTokens } = this.#usage;
    return { ...this.#usage, cost: (promptTokens * (inputPrice ?? 0) + completionTokens * (outputPrice ?? 0)) / 1e6 };
  }
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/** About: four characters of a Latin script a token, one of any other. Rather too many than too few. */
export function estimateTokens(text: string): number {
  let others = 0;
  for (const letter of text) if ((letter.codePointAt(0) as number) > 0x24f) others += 1;
  return Math.ceil((text.length - others) / 3.5 + others);
}

/** Cut to so many tokens, at a word. */
export function cutToTokens(text: string, most: number): string {
  const tokens = estimateTokens(text);
  return tokens > most ? cut(text, Math.floor((text.length * most) / tokens)) : text;
}

const textOf = (content: Message['content']): unknown =>
  Array.isArray(content) ? content.filter((part) => part.type === 'text') : content;

/** Some servers answer in one piece whatever they were asked. */
async function* wholeAnswer(response: Response): AsyncGenerator<OpenAI.Chat.Completions.ChatCompletionChunk> {
  const body = JSON.parse(await response.text()) as OpenAI.Chat.Completions.ChatCompletion | null;
  const failed = errorIn(body ?? {});
  if (failed) throw failed;
  if (!Array.isArray(body?.choices)) throw new SyntaxError('no choices');
  const { choices, usage } = body;
  const [choice] = choices;
  yield {
    choices: [
      {
        ...{ index: 0, finish_reason: choice?.finish_reason ?? 'stop' },
        delta: { content: choice?.message?.content, refusal: choice?.message?.refusal },
      },
    ],
    usage,
  } as OpenAI.Chat.Completions.ChatCompletionChunk;
}

/** What sends the requests of Node's fetch: an Agent with other times would need undici itself, and a proxy of one's own. */
const DISPATCHER = Symbol.for('undici.globalDispatcher.1');
interface Dispatcher {
  dispatch: (options: object, handler: object) => boolean;
}
/** Node's fetch gives up on a server that is silent for 300 s, and the SDK then asks again: only the deadline may end a call. What else is set for all requests (a proxy) holds. */
function patient(): Dispatcher | undefined {
  const shared = (globalThis as { [DISPATCHER]?: Dispatcher })[DISPATCHER];
  if (!shared) return undefined;
  return {
    dispatch: (options, handler) => shared.dispatch({ ...options, headersTimeout: 0, bodyTimeout: 0 }, handler),
  };
}

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
  signal.throwIfAborted();
  const aborted = once(signal, 'abort').then(() => Promise.reject(signal.reason));
  return Promise.race([work, aborted]);
}
