import { mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Command, Option } from 'commander';
import { Webhook } from 'standardwebhooks';
import { type Answer, ApiClient, type Moment } from './client.ts';
import { type Context, jsonOption, type Run, verboseOption } from './command.ts';
import { Embedded } from './embedded/index.ts';
import { inherited } from './environment.ts';
import { CliError } from './errors.ts';
import { readableFileSize } from './files.ts';
import { columns, span } from './format.ts';
import { aborted } from './interrupt.ts';
import { followWithBars, outcome, speed, uploadWithBar } from './progress.ts';
import { why } from './search.ts';

const SAMPLE = fileURLToPath(new URL('../../../test/fixtures/sample/', import.meta.url));
/** How far from the expected start the found one may be: frames are a second apart, and a sentence's first words may be heard late. */
const START_TOLERANCE_SECONDS = 3;
const WEBHOOK_TIMEOUT_MS = 15_000;

interface DemoOptions {
  exit?: boolean;
  keep?: boolean;
  verbose?: boolean;
}
interface Question {
  query: string;
  /** Where the answer is; null for a person's own video. */
  expected: { start: number; end: number } | null;
}

export function addDemo(program: Command, run: Run): void {
  program
    .command('demo')
    .description('index the sample video (or yours), check its webhook, ask questions, and keep serving')
    .argument('[video]', 'your own file, in place of the sample')
    .argument('[questions...]', 'what to ask of it')
    .option('--exit', 'stop after the questions')
    .addOption(new Option('--keep', 'leave the temporary data folder where it is'))
    .addOption(verboseOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
A question of the sample is passed when the top moment overlaps the expected
span and starts within ${START_TOLERANCE_SECONDS} s of it; one of your own, when there is a moment. An
answer is passed when it says and cites what it should. The webhook counts as
one more check. Exit status 1 when any failed.`,
    )
    .action((video: string | undefined, questions: string[], options: DemoOptions) =>
      run((context) => demo(video, questions, options, context)),
    );
}

async function demo(
  file: string | undefined,
  asked: string[],
  options: DemoOptions,
  { terminal, signal }: Context,
): Promise<void> {
  const path = file === undefined ? join(SAMPLE, 'sample.mp4') : resolve(file);
  await readableFileSize(path);
  const questions: Question[] =
    file === undefined ? await sampleQuestions() : asked.map((query) => ({ query, expected: null }));

  const dataDir = mkdtempSync(join(tmpdir(), 'cuepoint-demo-'));
  const removeData = () => {
    if (!options.keep) rmSync(dataDir, { recursive: true, force: true, maxRetries: 3 });
  };
  process.once('exit', removeData);
  terminal.line('Starting Redis, api and worker…');
  await using embedded = await Embedded.start({
    what: 'demo',
    // The sample is drawn in the small world that the bundled models know. A person's own video needs real ones.
    settings: {
      DATA_DIR: dataDir,
      HOST: '127.0.0.1',
      PORT: '0',
      API_KEYS: '',
      PUBLIC_URL: '',
      REDIS_URL: '',
      QDRANT_URL: '',
      S3_BUCKET: '',
      WEBHOOK_ADDRESSES: 'loopback',
      // What is checked is what a fresh machine answers.
      LLM_MODEL: '',
      ...(file === undefined ? { MODEL_PROFILE: 'tiny', CLIP_MODEL: '', WHISPER_MODEL: '' } : {}),
      LOG_LEVEL: inherited.LOG_LEVEL ?? 'info',
    },
    portRequired: false,
    verbose: options.verbose ?? false,
    terminal,
    signal,
  });
  await using receiver = await WebhookReceiver.listen();
  const client = new ApiClient(embedded.url);
  let passed = 0;
  let failed = 0;
  const count = (ok: boolean) => {
    if (ok) passed += 1;
    else failed += 1;
    return ok ? terminal.style('green', '✓') : terminal.style('red', '✗');
  };

  terminal.line(`Indexing ${basename(path)} with the \`${embedded.models?.profile}\` models…`);
  const added = await uploadWithBar(client, path, { webhookUrl: receiver.url }, '', terminal, signal);
  const video = await followWithBars(client, added.id, '', terminal, signal);
  terminal.line(outcome(video, terminal));
  if (video.status !== 'ready') {
    const problem = video.error ?? { code: video.status, message: `The video is ${video.status}.` };
    throw new CliError(problem.code, problem.message);
  }

  const delivery = await receiver.next(added.webhook?.secret ?? '', signal);
  // The webhook counts as one check among the questions.
  const delivered = delivery?.event === 'video.ready' && delivery.signatureValid;
  terminal.line(
    `${count(delivered)} ${delivered ? 'webhook video.ready came, its signature is valid' : 'the webhook did not come as it should'}\n`,
  );
  terminal.record({
    type: 'webhook',
    event: delivery?.event ?? null,
    signatureValid: delivery?.signatureValid ?? false,
  });

  const width = Math.min(44, Math.max(20, ...questions.map(({ query }) => query.length)));
  for (const { query, expected } of questions) {
    const { moments } = await client.search({ query, limit: 5, videoIds: [video.id] }, signal);
    const [top] = moments;
    const ok = top !== undefined && (expected === null || isHit(top, expected));
    const mark = count(ok);
    const place = top ? span(top.start, top.end) : 'nothing';
    const wanted = expected && !ok ? `  expected ${span(expected.start, expected.end)}` : '';
    const found = terminal.cut(`  ${columns(query, width)}  ${columns(place, 11)}  ${top ? why(top) : ''}`).slice(2);
    terminal.line(`${mark} ${found}${terminal.style('red', wanted)}`);
    terminal.record({
      type: 'query',
      query,
      expected,
      hit: top ? { start: top.start, end: top.end, score: top.score } : null,
      ok,
    });
  }

  if (file === undefined) terminal.line('');
  const turns: Answer[] = [];
  for (const { question, follows, answered, ...expected } of file === undefined ? DEMO_ASKED : []) {
    const conversationId = follows ? turns.at(-1)?.conversationId : undefined;
    const answer = await client.ask({ question, videoIds: [video.id], conversationId }, signal);
    turns.push(answer);
    const ok = isAnswered(answer, { answered, ...expected });
    const mark = count(ok);
    terminal.line(`${mark} ${question}\n    ${terminal.style(ok ? 'dim' : 'red', answer.answer)}`);
    const citations = answer.citations.map(({ n, moment: { start, end } }) => ({ n, start, end }));
    terminal.record({ type: 'answer', question, answer: answer.answer, citations, ok });
  }

  const realtimeFactor = speed(video)?.realtimeFactor ?? 0;
  terminal.record({ type: 'summary', passed, failed, realtimeFactor });
  terminal.line(
    `\n${terminal.style(failed ? 'red' : 'green', `${passed} passed, ${failed} failed`)}; indexed at ${realtimeFactor}× real time`,
  );
  if (failed) process.exitCode = 1;
  if (!options.exit) {
    terminal.line(`
  api    ${terminal.style('bold', embedded.url)}
  docs   ${terminal.style('bold', `${embedded.url}/docs`)}
  curl -H 'content-type: application/json' -d '{"query":"a red car"}' ${embedded.url}/v1/search
  curl -H 'content-type: application/json' -d '{"question":"Who is in the kitchen?"}' ${embedded.url}/v1/ask

Ctrl-C stops it${options.keep ? `; the data stay in ${dataDir}` : ' and removes its data'}.`);
    await aborted(signal);
  }
  await client.close();
}

/** What is asked of the sample: one of each kind, a follow-up, and one that it does not answer. */
const DEMO_ASKED: { question: string; follows?: boolean; answered: RegExp; starts: number[] }[] = [
  { question: 'Who is in the kitchen?', answered: /“anna and peter are in the kitchen” \[1\]/, starts: [100.4] },
  { question: 'How many times is the weather mentioned?', answered: /^Found 2 times/, starts: [29.2, 74.6] },
  { question: 'List every time a red car is shown', answered: /^Found in 2 places/, starts: [8, 144] },
  { question: 'What is said after the rainbow?', answered: /“we will meet on tuesday at ten”/, starts: [72, 87.2] },
  { question: 'And after that?', follows: true, answered: /“two and three make five”/, starts: [93.6] },
  { question: 'What is the last thing said?', answered: /“today we learn about science and history”/, starts: [163.2] },
  { question: 'What is this video about?', answered: /^Said in "sample" \(3:00\): .*The longest scenes/, starts: [] },
  { question: 'When do they talk about football?', answered: /^I found nothing in "sample"/, starts: [] },
];

/** The answer says what it should, and cites the moments that begin where they should; with `starts` empty, any. */
function isAnswered(
  { answer, citations }: Answer,
  { answered, starts }: { answered: RegExp; starts: number[] },
): boolean {
  const isThere = (start: number): boolean =>
    citations.some(({ moment }) => Math.abs(moment.start - start) <= START_TOLERANCE_SECONDS);
  return answered.test(answer) && starts.every(isThere) && (starts.length === 0 || citations.length === starts.length);
}

async function sampleQuestions(): Promise<Question[]> {
  const text = await readFile(join(SAMPLE, 'sample.json'), 'utf8');
  const { questions } = JSON.parse(text) as { questions: { query: string; start: number; end: number }[] };
  return questions.map(({ query, start, end }) => ({ query, expected: { start, end } }));
}

/**
 * The top moment answers the question when a player that jumps to its start lands on it: the moment overlaps the expected span,
 * and starts at most START_TOLERANCE_SECONDS before or after the span does.
 */
function isHit(moment: Moment, expected: { start: number; end: number }): boolean {
  const overlaps = moment.start < expected.end && moment.end > expected.start;
  return overlaps && Math.abs(moment.start - expected.start) <= START_TOLERANCE_SECONDS;
}

/** Listens on loopback as a customer's server would, and keeps what comes. */
class WebhookReceiver implements AsyncDisposable {
  readonly #server: Server;
  readonly #came: { headers: Record<string, string>; body: string }[] = [];
  #wake: () => void = () => {};
  private constructor(server: Server) {
    this.#server = server;
  }
  static async listen(): Promise<WebhookReceiver> {
    const receiver = new WebhookReceiver(
      createServer((request, response) => {
        const chunks: Buffer[] = [];
        request.on('data', (chunk: Buffer) => chunks.push(chunk));
        request.on('end', () => {
          response.writeHead(204).end();
          receiver.#came.push({
            headers: request.headers as Record<string, string>,
            body: Buffer.concat(chunks).toString(),
          });
          receiver.#wake();
        });
      }),
    );
    await new Promise<void>((done) => receiver.#server.listen(0, '127.0.0.1', done));
    return receiver;
  }
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/hook`;
  }
  /** The next event and whether it is signed with the secret; undefined when none comes in time. */
  async next(secret: string, signal: AbortSignal): Promise<{ event: string; signatureValid: boolean } | undefined> {
    if (this.#came.length === 0)
      await Promise.race([
        new Promise<void>((wake) => {
          this.#wake = wake;
        }),
        aborted(AbortSignal.any([signal, AbortSignal.timeout(WEBHOOK_TIMEOUT_MS)])),
      ]);
    signal.throwIfAborted();
    const came = this.#came.shift();
    if (!came) return undefined;
    const event = (JSON.parse(came.body) as { type?: string }).type ?? '';
    try {
      new Webhook(secret).verify(came.body, came.headers);
      return { event, signatureValid: true };
    } catch {
      return { event, signatureValid: false };
    }
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((done) => this.#server.close(() => done()));
  }
}
