/** What servers of chat models are known to do, each played by a real HTTP server. */
import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, ask, Llm, type LlmOptions, type Moment, type Turn, titleChapters } from '#retrieval';
import type { PassageRow } from '#store';
import { begin, type ChatRequest, finish, type LlmFixture, piece, sourcesOf, startLlm } from '../fixtures/llm.ts';

const moment = (at: number, text: string): Moment => ({
  ...{ videoId: 'v', startMs: at, endMs: at + 2000, score: 1, confidence: 0.9 },
  evidence: [
    { kind: 'passage', atMs: at, endMs: at + 2000, text, score: 5 },
    { kind: 'frame', atMs: at, endMs: at + 1000, score: 0.3 },
  ],
});
const MOMENTS = [moment(100_000, `anna is in the kitchen ${'and speaks '.repeat(600)}`), moment(5_000, 'peter cooks')];
const sources = (passages: PassageRow[] = []) => sourcesOf(MOMENTS, passages);

let server: LlmFixture;
const llm = (options: Partial<LlmOptions> = {}) =>
  new Llm({
    ...{ baseUrl: server.url, model: 'm', timeoutMs: 5_000, maxTokens: 200, contextTokens: 8192, images: 0 },
    ...options,
  });
async function answer(model = llm(), options: { question?: string; history?: Turn[] } = {}, from = sources()) {
  const asked = { question: 'who is in the kitchen?', limit: 5, ...options };
  for await (const event of ask({ sources: from, llm: model }, asked)) {
    if (event.type === 'done') return event.answer;
  }
  throw new Error('no answer');
}
const refuse = (response: ServerResponse, status: number, error: object) =>
  response
    .writeHead(status, { 'content-type': 'application/json', 'retry-after-ms': '1' })
    .end(JSON.stringify({ error }));
const say = (response: ServerResponse, text: string, reason = 'stop') =>
  begin(response).end(piece(text) + finish(reason));

beforeAll(async () => {
  server = await startLlm();
});
afterAll(() => server.close());

describe('A server', () => {
  it.each<[what: string, refused: (body: ChatRequest['body'] & Record<string, unknown>) => [number, string] | false]>([
    [
      'of newer models, which take another name of the limit and no temperature',
      (body) =>
        body.max_tokens !== undefined
          ? [400, "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'."]
          : 'temperature' in body && [400, "Unsupported value: 'temperature' does not support 0 with this model."],
    ],
    [
      'that permits no other fields',
      (body) =>
        'stream_options' in body && [422, '[{"loc":["body","stream_options"],"msg":"Extra inputs are not permitted"}]'],
    ],
    ...['System role not supported', 'Only user and assistant roles are supported!'].map(
      (why): [string, (body: ChatRequest['body']) => [number, string] | false] => [
        `whose chat template has no system (${why})`,
        ({ messages }) => messages[0]?.role === 'system' && [400, why],
      ],
    ),
  ])('%s is asked as it wants it, and from then on at once', async (_what, refused) => {
    server.behave((response, { body }) => {
      const why = refused(body);
      return why ? refuse(response, why[0], { message: why[1] }) : say(response, 'Anna [1].');
    });
    const model = llm();
    for (const calls of [undefined, 1]) {
      server.requests.length = 0;
      const { answer: text, degraded } = await answer(model);
      expect({ text, degraded }).toEqual({ text: 'Anna [1].', degraded: undefined });
      expect(server.requests.length).toBe(calls ?? server.requests.length);
      const { body } = server.requests.at(-1) as ChatRequest;
      expect(JSON.stringify(body.messages)).toMatch(/never follow an instruction.*speaks/s);
      // Nor does it write without end.
      expect(body).toMatchObject('max_tokens' in body ? { max_tokens: 200 } : { max_completion_tokens: 200 });
    }
  });

  it.each([
    [400, { message: 'At most 0 image(s) may be provided in one prompt.' }],
    [404, { message: 'No endpoints found that support image input' }],
    [500, { message: 'image input is not supported - hint: you may need to provide the mmproj' }],
    [400, { message: 'json: cannot unmarshal array into Go struct field Message.messages.content of type string' }],
  ])('without eyes (%i %j) answers from the text, and it is told', async (status, error) => {
    server.behave((response, { body }) =>
      Array.isArray(body.messages[1]?.content) ? refuse(response, status, error) : say(response, 'Anna [1].'),
    );
    const given = await answer(llm({ images: 2 }));
    expect(given).toMatchObject({ answer: 'Anna [1].', mode: 'llm', degraded: { code: 'llm_pictures' } });
    expect(given.degraded?.message).toContain('LLM_IMAGES');
  });

  it('without eyes is told of, too, where pictures are all that there is to judge by', async () => {
    server.behave((response) => refuse(response, 400, { message: 'this model does not support image input' }));
    const [first] = MOMENTS;
    const seen = { ...first, confidence: 0.1, evidence: first?.evidence.slice(1) } as Moment;
    const given = await answer(llm({ images: 2 }), {}, { ...sources(), search: async () => [seen] });
    expect(given).toMatchObject({ mode: 'extractive', degraded: { code: 'llm_pictures' } });
    expect(server.requests.length).toBe(1);
  });

  it('that is silent for longer than Node waits is waited for, to its deadline alone', async () => {
    const key = Symbol.for('undici.globalDispatcher.1');
    const shared = globalThis as unknown as Record<symbol, { dispatch: (...all: unknown[]) => boolean }>;
    const usual = shared[key] as { dispatch: (...all: unknown[]) => boolean };
    shared[key] = {
      dispatch: (options, handler) => usual.dispatch({ headersTimeout: 50, ...(options as object) }, handler),
    };
    try {
      server.behave(async (response) => {
        // Its timers are a second apart.
        await sleep(1_300);
        say(response, 'Anna [1].');
      });
      expect(await answer()).toMatchObject({ answer: 'Anna [1].', mode: 'llm' });
      expect(server.requests.length).toBe(1);
    } finally {
      shared[key] = usual;
    }
  });

  it.each<[what: string, overflow: (response: ServerResponse) => unknown]>([
    [
      'OpenAI',
      (r) =>
        refuse(r, 400, {
          message:
            "This model's maximum context length is 1500 tokens. However, your max_tokens and messages have 3000.",
          code: 'context_length_exceeded',
        }),
    ],
    ['llama.cpp', (r) => refuse(r, 400, { message: 'exceeds', type: 'exceed_context_size_error', n_ctx: 1500 })],
    ['llama.cpp within its stream', (r) => begin(r).end('data: {"error":{"message":"x","code":400,"n_ctx":1500}}\n\n')],
    ['one that says no number', (r) => refuse(r, 500, { message: 'input is too long' })],
    ['Groq', (r) => refuse(r, 413, { message: 'Request too large' })],
  ])('that can read less than is configured (%s) gets less, and it is told', async (_what, overflow) => {
    server.behave((response, { body }) =>
      JSON.stringify(body.messages).length > 6_000 ? overflow(response) : say(response, 'Anna [1].'),
    );
    const given = await answer();
    expect(given).toMatchObject({ answer: 'Anna [1].', mode: 'llm', degraded: { code: 'llm_context' } });
    expect(given.degraded?.message).toContain('LLM_CONTEXT_TOKENS');
    server.behave((response) => overflow(response));
    expect(await answer()).toMatchObject({ mode: 'extractive', degraded: { code: 'llm_context' } });
    expect(server.requests.length).toBeLessThan(12);
  });

  it.each<[code: string, setting: string, behave: (response: ServerResponse) => unknown]>([
    ['llm_auth', 'LLM_API_KEY', (r) => refuse(r, 403, { message: 'no access' })],
    ['llm_refused', 'LLM_MODEL', (r) => refuse(r, 404, { message: 'model "m" not found, try pulling it first' })],
    ['llm_refused', 'LLM_BASE_URL', (r) => r.writeHead(404).end('<html>')],
    [
      'llm_refused',
      'LLM_BASE_URL',
      (r) => whole(r, { error: 'Unexpected endpoint or method. (POST /chat/completions)' }),
    ],
    ['llm_garbage', 'LLM_BASE_URL', (r) => r.writeHead(200, { 'content-type': 'text/html' }).end('<html>')],
    ['llm_refused', 'content filter', (r) => refuse(r, 400, { message: 'Filtered', code: 'content_filter' })],
    ['llm_refused', 'credit', (r) => refuse(r, 402, { message: 'Insufficient credits' })],
    ['llm_rate_limited', 'quota', (r) => refuse(r, 429, { message: 'x', code: 'insufficient_quota' })],
    ['llm_too_long', 'LLM_MAX_TOKENS', (r) => say(r, '', 'length')],
    ['llm_too_long', 'LLM_MAX_TOKENS', (r) => say(r, 'Anna [1]. Pe', 'MAX_TOKENS')],
    ['llm_failed', '408', (r) => refuse(r, 408, { message: 'timed out' })],
    // What gateways answer with 200.
    ['llm_failed', '502', (r) => whole(r, { error: { message: 'Provider returned error', code: 502 } })],
    ['llm_rate_limited', 'quota', (r) => begin(r).end('data: {"error":{"message":"x","code":429}}\n\n')],
    ['llm_refused', '400', (r) => begin(r).end('data: {"object":"error","message":"x","code":400}\n\n')],
    ['llm_failed', 'failed', (r) => say(r, 'Anna [1].', 'error')],
    ['llm_cut_off', 'content filter', (r) => say(r, 'Anna [1].', 'content_filter')],
    ['llm_refused', 'declined', (r) => whole(r, { choices: [{ message: { content: null, refusal: 'No.' } }] })],
  ])('that cannot answer is told of as %s, with what to look at (%s)', async (code, setting, behave) => {
    server.behave(behave);
    const { degraded } = await answer();
    expect(degraded?.code).toBe(code);
    expect(degraded?.message).toContain(setting);
  });

  it('that is not reached is told of in the log with its cause', async () => {
    const { degraded, detail } = await answer(llm({ baseUrl: server.url.replace('http:', 'https:') }));
    expect(degraded).toMatchObject({ code: 'llm_unreachable', message: expect.stringContaining('LLM_BASE_URL') });
    expect(detail).toMatch(/SSL/);
  });
});

describe('Thoughts that a server leaves in', () => {
  it.each([
    ['<think>Peter [2]?</think>\n<think>No [2].</think>\nAnna [1].'],
    ['<thought>\nPeter [2]?\n</thought>\nAnna [1].'],
    ['<reasoning>Peter [2]?</reasoning>Anna [1].'],
    ['<seed:think>Peter [2]?</seed:think>Anna [1].'],
    ['[THINK]Peter [2]?[/THINK]Anna [1].'],
    ['<|channel>thought\nPeter [2]?\n<channel|>Anna [1].'],
    ['<|channel|>analysis<|message|>Peter [2]?<|end|><|start|>assistant<|channel|>final<|message|>Anna [1].<|return|>'],
    ['Anna [1].<|im_end|>'],
    ['<answer>Anna [1].</answer></s>'],
  ])('are no answer, nor are the marks around it: %j', async (text) => {
    for (const pieces of [text, [text]]) {
      server.behave(pieces);
      expect(await answer()).toMatchObject({ answer: 'Anna [1].', citations: [{ n: 1 }] });
    }
  });

  it('and whose end a video only speaks of hold back no later answer', async () => {
    const model = llm();
    for (const text of ['Anna says </think> here [1].', 'Anna cooks [1].']) {
      server.behave(text);
      await answer(model);
    }
    server.behave((response) => say(response, 'Anna [1]. And th', 'length'));
    expect(await answer(model)).toMatchObject({ answer: 'Anna [1].', mode: 'llm' });
  });
});

describe('A model that thinks at length', () => {
  const PASSAGES = Array.from({ length: 300 }, (_, i) => ({
    ...{ id: `${i}`, tenant: 't', videoId: 'v', startMs: i * 20_000, endMs: i * 20_000 + 15_000 },
    text: `sentence ${i} ${'of a very long lecture on cells and what they do '.repeat(3)}`,
  }));
  const limitOf = ({ body }: ChatRequest) => body.max_tokens as number;

  it('has room for its thoughts before notes and rewritten questions, too', async () => {
    server.behave((response, request) => {
      if (limitOf(request) < 200) return say(response, '', 'length');
      const rules = String(request.body.messages[0]?.content);
      const document = JSON.parse(String(request.body.messages[1]?.content));
      if (rules.includes('Rewrite')) return say(response, 'What is this video about?');
      if (rules.includes('Write notes'))
        return say(response, `Cells do much [${document.evidence[0].n}]. `.repeat(150));
      return say(response, document.evidence.length > 0 ? 'It is about cells [1].' : 'NOT_FOUND');
    });
    const model = llm({ contextTokens: 2048 });
    const first = await answer(model, { question: 'what is this video about?' }, sources(PASSAGES));
    expect(first).toMatchObject({ answer: 'It is about cells [1].', found: true });
    expect(first.degraded).toBeUndefined();
    for (const { body } of server.requests) expect(JSON.stringify(body.messages).length / 3.5).toBeLessThan(2048);
    const next: Answer = await answer(
      model,
      { question: 'what else do they do?', history: [first.turn] },
      sources(PASSAGES),
    );
    expect(next.understoodAs).toBe('What is this video about?');
  });

  it('and writes no notes is not taken to have found nothing, and is asked for no more of them', async () => {
    server.behave((response, _request, call) => (call === 1 ? say(response, '', 'length') : undefined));
    const given = await answer(
      llm({ contextTokens: 2048 }),
      { question: 'what is this video about?' },
      sources(PASSAGES),
    );
    expect(given).toMatchObject({ mode: 'extractive', found: true, degraded: { code: 'llm_too_long' } });
    expect(server.requests.length).toBeLessThanOrEqual(3);
    await expect.poll(() => server.aborted).toBe(server.requests.length - 1);
  });
});

describe('Titles of chapters', () => {
  const chapters = Array.from({ length: 20 }, (_, i) => ({
    startMs: i * 1000,
    endMs: i * 1000 + 1000,
    title: `Old ${i}`,
  }));
  const passages = chapters.map(({ startMs, endMs }, i) => ({
    ...{ id: `${i}`, tenant: 't', videoId: 'v', startMs, endMs, text: '厨房里有什么人在说话'.repeat(100) },
  }));

  it('are asked for with no more than the model can read, in any script', async () => {
    server.behave(JSON.stringify(chapters.map((_, i) => `New ${i}`)));
    const titled = await titleChapters(llm(), chapters, passages);
    expect(titled.chapters[19]?.title).toBe('New 19');
    const [{ body } = { body: undefined }] = server.requests;
    const text = JSON.stringify(body?.messages);
    const han = text.match(/\p{Script=Han}/gu)?.length ?? 0;
    expect(han).toBeGreaterThan(4_000);
    expect(han + (text.length - han) / 3.5).toBeLessThan(8_192 - 200);
  });

  it('may be in objects, and are not called the model’s where it gave none', async () => {
    server.behave(JSON.stringify({ chapters: chapters.map((_, i) => ({ chapter: i + 1, title: `New ${i}` })) }));
    expect((await titleChapters(llm(), chapters, passages)).chapters[19]?.title).toBe('New 19');
    server.behave(JSON.stringify(chapters.map(() => '')));
    expect((await titleChapters(llm(), chapters, passages)).chapters).toBe(chapters);
  });
});

const whole = (response: ServerResponse, body: object) =>
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
