type LlmErrorCode =
  | 'llm_unreachable'
  | 'llm_timeout'
  | 'llm_auth'
  | 'llm_rate_limited'
  | 'llm_refused'
  | 'llm_context'
  | 'llm_pictures'
  | 'llm_failed'
  | 'llm_garbage'
  | 'llm_cut_off'
  | 'llm_too_long'
  | 'llm_empty'
  | 'llm_uncited';
/** Why there is no answer of the chat model, or less of one. The message is for the person who asked: nothing of the endpoint's own words or of the key is in it. */
export class LlmError extends Error {
  override readonly name = 'LlmError';
  constructor(
    readonly code: LlmErrorCode,
    message: string,
    /** For the log: what the endpoint said, without the key. */
    readonly detail?: string,
    /** With `llm_context`: what the endpoint says it can read, in tokens. */
    readonly contextTokens?: number,
  ) {
    super(message);
  }
}

/** Of a body with more bytes than any answer has. */
export class TooLong extends Error {}

interface Failure {
  status?: number;
  /** Of the error in the body: a status where a gateway answers 200 all the same, or a word. */
  code?: unknown;
  message?: string;
  name?: string;
  cause?: Failure;
}

/** A prompt that is too long, as OpenAI, vLLM, llama.cpp, Ollama, LM Studio and Gemini say it. */
const CONTEXT =
  /context[ _](?:length|size|window)|context_length_exceeded|exceed_context_size|n_ctx\b|(?:prompt|input)(?: token count| is| was)? (?:too long|exceeds)|(?:prompt|input) token count|too many (?:input |prompt )?tokens/i;
/** "maximum context length is 4096 tokens", `"n_ctx":4096`, "context length of only 4096". */
const CONTEXT_TOKENS =
  /(?:context[ _](?:length|size|window)(?: is| of)?(?: only)?|n_ctx"?)\s*[:=(]?\s*(\d{3,7})|exceeds the maximum number of tokens allowed \(?(\d{3,7})/i;
/** Pictures that a model has no eyes for; older servers take a message's text alone. */
const PICTURES =
  /\bimages?\b|image_url|vision|multi-?modal|mmproj|content (?:part )?type|(?:unmarshal|expected|must be|not)(?: an?)? (?:array|string)|valid string|str type expected/i;
const FILTERED = /content.?(?:filter|management)|moderation|flagged|safety/i;
const NO_SUCH_PATH = /unexpected endpoint|invalid url|unknown (?:url|path)/i;

/** What a failed request says, in words of ours that name the setting to look at. */
export function explain(thrown: unknown, { apiKey, hasPictures }: { apiKey?: string; hasPictures: boolean }): LlmError {
  if (thrown instanceof LlmError) return thrown;
  const error = thrown as Failure;
  const status = error.status ?? statusIn(error.code);
  const said = saidBy(error);
  const detail = said.replaceAll(apiKey ?? '\0', '***').slice(0, 500);
  const as = (code: LlmErrorCode, text: string, contextTokens?: number) =>
    new LlmError(code, text, detail, contextTokens);
  // A request within a stream, or one that a gateway answered with 200, has no status.
  const isRefused = status === undefined ? error.name === 'Error' : ![401, 429].includes(status);
  const isLarge = status === 413;
  if (isRefused && (isOverContext(error) || (isLarge && !hasPictures))) {
    const told = CONTEXT_TOKENS.exec(said);
    const tokens = told ? Number(told[1] ?? told[2]) : undefined;
    return as(
      'llm_context',
      'The chat model can read less than LLM_CONTEXT_TOKENS says: set it to its context.',
      tokens,
    );
  }
  if (isRefused && hasPictures && (isLarge || PICTURES.test(said)))
    return as('llm_pictures', 'The chat model takes no pictures: set LLM_IMAGES to 0, or LLM_MODEL to one that sees.');
  if (isRefused && status !== undefined && status < 500 && FILTERED.test(said))
    return as('llm_refused', "The chat model's content filter refused the question or what was found.");
  if (status === 401 || status === 403)
    return as('llm_auth', 'The chat model refuses the key it was given: check LLM_API_KEY.');
  if (status === 404 || status === 405 || (status === undefined && NO_SUCH_PATH.test(said)))
    return as(
      'llm_refused',
      'There is no such chat model: check LLM_MODEL, and LLM_BASE_URL, which ends in /v1 for most servers.',
    );
  if (status === 429) return as('llm_rate_limited', 'The chat model has too much to do, or its quota is used up.');
  if (status === 402) return as('llm_refused', 'The account of the chat model has no credit left.');
  // 408 and 409 are tried again, as a 5xx is.
  if (status !== undefined && status < 500 && status !== 408 && status !== 409)
    return as('llm_refused', `The chat model refused the request (${status}); the log has its reason.`);
  if (status !== undefined) return as('llm_failed', `The chat model failed (${status}).`);
  if (error.name === 'SyntaxError')
    return as('llm_garbage', 'The chat model answered with something that is no answer: check LLM_BASE_URL.');
  if (thrown instanceof TooLong) return as('llm_too_long', ENDLESS);
  // undici's word for a body that breaks off.
  if (error.name === 'TypeError' && /terminated|closed/i.test(said)) return as('llm_cut_off', CUT_OFF);
  if (/^Error: Connection error|fetch failed/i.test(said))
    return as('llm_unreachable', 'The chat model cannot be reached: check LLM_BASE_URL.');
  return as('llm_failed', 'The chat model failed.');
}

export const CUT_OFF = 'The chat model stopped in the middle of its answer.';
export const ENDLESS =
  'The chat model did not come to an end within LLM_MAX_TOKENS. A model that thinks first needs some thousands of them.';

/** The error in a body that came with 200: `{"error": …}`, or vLLM's `{"object":"error"}`. */
export function errorIn(body: unknown): Error | undefined {
  const { error, object, message, code } = body as Record<string, unknown>;
  if (!error && object !== 'error') return undefined;
  const said = error && typeof error === 'object' ? (error as Record<string, unknown>) : { message, code };
  const text = typeof error === 'string' ? error : String(said.message ?? 'an error');
  return Object.assign(new Error(text), { code: said.code, error: said });
}

/** Which of `parts` the server refuses. A prompt that is too long speaks of `max_tokens`, too. */
export function refusedPart<P extends string>(thrown: unknown, parts: readonly [P, RegExp][]): P | undefined {
  const error = thrown as Failure;
  if (![400, 404, 422, 500].includes(error.status ?? 0) || isOverContext(error)) return undefined;
  return parts.find(([, pattern]) => pattern.test(String(error.message)))?.[0];
}

const isOverContext = (error: Failure): boolean => CONTEXT.test(`${saidBy(error)} ${String(error.code)}`);

const statusIn = (code: unknown): number | undefined => {
  const status = Number(code);
  return status >= 400 && status < 600 ? status : undefined;
};

/** With its causes: "Connection error" alone does not tell a wrong port from a certificate that nobody knows. */
function saidBy(error: Failure): string {
  const body = (error as { error?: unknown }).error;
  const all: string[] = [];
  for (let one: Failure | undefined = error; one && all.length < 4; one = one.cause) {
    all.push(`${one.name}: ${one.message}${typeof one.code === 'string' ? ` (${one.code})` : ''}`);
  }
  return all.join('; ') + (body && typeof body === 'object' ? ` ${JSON.stringify(body)}` : '');
}
