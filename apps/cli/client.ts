import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { EventSourceParserStream } from 'eventsource-parser/stream';
import { Agent, type Dispatcher, request } from 'undici';
import { CliError } from './errors.ts';
import { readableFileSize } from './files.ts';

// What the command line reads of the api's answers; the whole is in /openapi.json.
export const STAGES = ['probe', 'frames', 'speech', 'finalize'] as const;
export type StageName = (typeof STAGES)[number];
interface StageProgress {
  state: 'waiting' | 'active' | 'done' | 'failed' | 'skipped';
  /** Seconds of media. */
  done: number;
  total: number;
}
export interface Video {
  id: string;
  status: 'queued' | 'indexing' | 'ready' | 'failed' | 'cancelled';
  title: string;
  media?: { duration: number };
  stages: Record<StageName, StageProgress>;
  etaSeconds?: number;
  warnings: { code: string; message: string }[];
  error?: { code: string; message: string };
  models?: { frames?: string[] };
  counts: { frames: number; passages: number; captions: number };
  startedAt?: string;
  finishedAt?: string;
  webhook?: { secret: string };
}
export interface Moment {
  videoId: string;
  videoTitle: string;
  start: number;
  end: number;
  score: number;
  confidence: number;
  evidence: { kind: 'frame' | 'passage' | 'title'; text?: string }[];
}
export interface Answer {
  answer: string;
  understoodAs?: string;
  citations: { n: number; moment: Moment }[];
  conversationId: string;
  degraded?: { code: string; message: string };
}
export interface AskRequest {
  question: string;
  videoIds?: string[];
  conversationId?: string;
}
export interface Label {
  label: string;
  confidence: number;
  total: number;
  count: number;
  spans: { start: number; end: number }[];
}
export interface UploadWords {
  title?: string;
  language?: string;
  task?: string;
  prompt?: string;
  webhookUrl?: string;
}

const ENDED: readonly string[] = ['ready', 'failed', 'cancelled'];
const ANSWER_TIMEOUT_MS = 60_000;
/** A chat model may take its time: the api ends it by its own limit. */
const CHAT_TIMEOUT_MS = 3600_000;

/** The api over HTTP. Errors are CliErrors with the problem's own code, or `api_unreachable`. */
export class ApiClient {
  // Uploads and event streams last as long as they last.
  readonly #agent = new Agent({ headersTimeout: 0, bodyTimeout: 0, connect: { timeout: 10_000 } });
  constructor(
    readonly url: string,
    readonly key?: string,
  ) {}

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  async isLive(): Promise<boolean> {
    try {
      const answer = await this.#request('GET', '/health/live', { signal: AbortSignal.timeout(2_000) });
      await answer.body.dump();
      return answer.statusCode === 200;
    } catch {
      return false;
    }
  }

  /** Why it can't index or search yet; empty when it can. */
  async notReadyReasons(signal: AbortSignal): Promise<string[]> {
    const answer = await this.#request('GET', '/health/ready', { signal: withTimeout(signal) });
    const { status, reasons, search, workers } = (await answer.body.json()) as {
      status: string;
      reasons: string[];
      search: { state: string; reason?: string };
      workers: { ready: boolean; note?: string }[];
    };
    return [
      ...(status === 'ready' ? [] : reasons),
      ...(search.state === 'ready' ? [] : [`search: ${search.reason ?? search.state}`]),
      ...(workers.some(({ ready }) => ready) ? [] : [`worker: ${workers[0]?.note ?? 'not there yet'}`]),
    ];
  }

  /** Streams a file as it is read; `onSent` gets the bytes that are on their way. */
  async upload(
    path: string,
    words: UploadWords,
    onSent: (sentBytes: number, totalBytes: number) => void,
    signal: AbortSignal,
  ): Promise<Video> {
    const size = await readableFileSize(path);
    const boundary = `cuepoint-${randomUUID()}`;
    const field = (name: string, value: string) =>
      `--${boundary}\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
    // File names in a form are escaped as browsers do: https://html.spec.whatwg.org/#multipart-form-data
    const filename = basename(path).replaceAll('\r', '%0D').replaceAll('\n', '%0A').replaceAll('"', '%22');
    const head = Buffer.from(
      Object.entries(words)
        .map(([name, value]) => (value === undefined ? '' : field(name, value)))
        .join('') +
        `--${boundary}\r\ncontent-disposition: form-data; name="file"; filename="${filename}"\r\n` +
        'content-type: application/octet-stream\r\n\r\n',
    );
    const tail = Buffer.from(`\r\n--${boundary}--\r\n`);
    async function* body() {
      yield head;
      let sent = 0;
      for await (const chunk of createReadStream(path, { end: Math.max(0, size - 1), highWaterMark: 256 * 1024 })) {
        yield chunk as Buffer;
        sent += (chunk as Buffer).length;
        onSent(sent, size);
      }
      yield tail;
    }
    return this.#json<Video>('POST', '/v1/videos', {
      body: Readable.from(body(), { objectMode: false }),
      headers: {
        'content-type': `multipart/form-data; boundary=${boundary}`,
        'content-length': String(head.length + size + tail.length),
      },
      signal,
    });
  }

  async ingest(url: string, words: UploadWords, signal: AbortSignal): Promise<Video> {
    return this.post<Video>('/v1/videos', { url, ...words }, signal);
  }

  async search(
    query: { query?: string; sequence?: string[]; limit?: number; videoIds?: string[]; modalities?: string[] },
    signal?: AbortSignal,
  ): Promise<{ moments: Moment[] }> {
    return this.post('/v1/search', query, signal);
  }

  /** What is in a video; without `labels`, what is configured is looked for. */
  async labels(
    id: string,
    labels: string | undefined,
    signal?: AbortSignal,
  ): Promise<{ videoId: string; complete: boolean; labels: Label[] }> {
    const query = labels === undefined ? '' : `?labels=${encodeURIComponent(labels.toWellFormed())}`;
    return this.get(`/v1/videos/${encodeURIComponent(id)}/labels${query}`, signal);
  }

  async ask(request: AskRequest, signal?: AbortSignal): Promise<Answer> {
    const options = { body: JSON.stringify(request), headers: { 'content-type': 'application/json' } };
    return this.#json('POST', '/v1/ask', { ...options, signal: withTimeout(signal, CHAT_TIMEOUT_MS) });
  }

  /** The answer as it is written; `onText` gets each piece. */
  async askStreaming(request: AskRequest, onText: (text: string) => void, signal: AbortSignal): Promise<Answer> {
    const answer = await this.#request('POST', '/v1/ask', {
      body: JSON.stringify({ ...request, stream: true }),
      headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
      signal: withTimeout(signal, CHAT_TIMEOUT_MS),
    });
    if (answer.statusCode !== 200) throw await problemFrom(answer);
    const bytes = Readable.toWeb(answer.body) as ReadableStream<Uint8Array<ArrayBuffer>>;
    for await (const { event, data } of bytes
      .pipeThrough(new TextDecoderStream())
      .pipeThrough(new EventSourceParserStream())) {
      const value: unknown = JSON.parse(data);
      if (event === 'token') onText((value as { text: string }).text);
      if (event === 'done') return value as Answer;
      if (event === 'error') {
        const { code, detail } = value as { code: string; detail: string };
        throw new CliError(code, detail);
      }
    }
    throw new CliError('api_unreachable', `The api at ${this.url} ended the answer before it was whole.`);
  }

  /** The video after each change, until it is ready, failed or cancelled. Connects again when cut off, and asks by itself where events don't pass. */
  async *follow(id: string, signal: AbortSignal): AsyncGenerator<Video> {
    let failures = 0;
    for (;;) {
      let heard = false;
      try {
        for await (const video of this.#events(id, signal)) {
          heard = true;
          failures = 0;
          yield video;
          if (ENDED.includes(video.status)) return;
        }
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof CliError && error.code !== 'api_unreachable' && !error.code.startsWith('http_5'))
          throw error;
        failures += 1;
        if (failures > 20) throw error;
      }
      await sleep(heard ? 200 : Math.min(500 * 2 ** failures, 5_000), undefined, { signal });
      const video = await this.get<Video>(`/v1/videos/${id}`, signal).catch((error: unknown) => {
        if (error instanceof CliError && error.code !== 'api_unreachable') throw error;
      });
      if (!video) continue;
      yield video;
      if (ENDED.includes(video.status)) return;
    }
  }

  async get<T>(path: string, signal?: AbortSignal): Promise<T> {
    return this.#json<T>('GET', path, { signal: withTimeout(signal) });
  }
  async post<T>(path: string, body: object, signal?: AbortSignal): Promise<T> {
    const options = { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
    return this.#json<T>('POST', path, { ...options, signal: withTimeout(signal) });
  }

  async *#events(id: string, signal: AbortSignal): AsyncGenerator<Video> {
    // A cut connection that nobody tells us of ends here: the server sends something every few seconds.
    const silent = new AbortController();
    let timer = setTimeout(() => silent.abort(), ANSWER_TIMEOUT_MS);
    try {
      const answer = await this.#request('GET', `/v1/videos/${id}/events`, {
        headers: { accept: 'text/event-stream' },
        signal: AbortSignal.any([signal, silent.signal]),
      });
      if (answer.statusCode !== 200) throw await problemFrom(answer);
      const bytes = (Readable.toWeb(answer.body) as ReadableStream<Uint8Array<ArrayBuffer>>).pipeThrough(
        new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
          transform(chunk, controller) {
            clearTimeout(timer);
            timer = setTimeout(() => silent.abort(), ANSWER_TIMEOUT_MS);
            controller.enqueue(chunk);
          },
        }),
      );
      for await (const event of bytes.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream())) {
        const data: unknown = JSON.parse(event.data);
        const video = (data as { video?: Video }).video ?? (data as Video);
        if (video?.stages && video.status) yield video;
      }
    } finally {
      clearTimeout(timer);
    }
  }

  async #json<T>(method: Dispatcher.HttpMethod, path: string, options: RequestOptions): Promise<T> {
    const answer = await this.#request(method, path, options);
    if (answer.statusCode >= 400) throw await problemFrom(answer);
    return (await answer.body.json()) as T;
  }

  async #request(method: Dispatcher.HttpMethod, path: string, options: RequestOptions) {
    const headers = { ...options.headers, ...(this.key ? { authorization: `Bearer ${this.key}` } : {}) };
    try {
      return await request(new URL(path, this.url), { ...options, headers, method, dispatcher: this.#agent });
    } catch (error) {
      const reason: unknown = options.signal?.reason;
      if (reason instanceof Error && reason.name === 'TimeoutError')
        throw new CliError('api_unreachable', `The api at ${this.url} does not answer in time.`);
      options.signal?.throwIfAborted();
      const { code, message } = error as { code?: string; message: string };
      throw new CliError('api_unreachable', `The api at ${this.url} does not answer (${message || code}).`);
    }
  }
}

interface RequestOptions {
  body?: string | Readable;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

const withTimeout = (signal?: AbortSignal, timeoutMs = ANSWER_TIMEOUT_MS) =>
  AbortSignal.any([AbortSignal.timeout(timeoutMs), ...(signal ? [signal] : [])]);

/** problem+json as a CliError; whatever else a proxy may answer, too. */
async function problemFrom(answer: Dispatcher.ResponseData): Promise<CliError> {
  const text = await answer.body.text();
  try {
    const problem = JSON.parse(text) as {
      code: string;
      detail?: string;
      title?: string;
      errors?: { path: string; message: string }[];
    };
    const fields = (problem.errors ?? []).map(({ path, message }) => `${path}: ${message}`);
    const about = problem.detail ?? problem.title ?? '';
    // The detail may name the fields already.
    const words = [about, ...fields.filter((field) => !about.includes(field))].filter(Boolean).join('; ');
    return new CliError(problem.code ?? `http_${answer.statusCode}`, words);
  } catch {
    return new CliError(`http_${answer.statusCode}`, `The api answered ${answer.statusCode}: ${text.slice(0, 200)}`);
  }
}

/** What `cuepoint up` writes into its data folder, so that other commands find it. */
export interface ApiFile {
  url: string;
  pid: number;
}
export const apiFilePath = (dataDir: string) => join(dataDir, 'api.json');

/** The api that runs on a data folder, if one does. */
export async function findRunningApi(dataDir: string): Promise<string | undefined> {
  try {
    const { url } = JSON.parse(await readFile(apiFilePath(dataDir), 'utf8')) as ApiFile;
    const client = new ApiClient(url);
    const live = await client.isLive();
    await client.close();
    return live ? url : undefined;
  } catch {
    return undefined;
  }
}
