import type { Command } from 'commander';
import type { Answer } from './client.ts';
import { type Context, type Run, withApiOptions } from './command.ts';
import { columns, harmless, span } from './format.ts';
import { type SessionOptions, withApi } from './session.ts';

interface AskOptions extends SessionOptions {
  video?: string[];
  conversation?: string;
  stream?: boolean;
}

export function addAsk(program: Command, run: Run): void {
  withApiOptions(
    program
      .command('ask')
      .description('answer a question from what the videos say and show')
      .argument('<question>', 'in plain words')
      .option('--video <id...>', 'only from these videos')
      .option('--conversation <id>', 'go on with the conversation of an answer before')
      .option('--stream', 'show the answer as it is written'),
  ).action((question: string, options: AskOptions) => run((context) => ask(question, options, context)));
}

async function ask(question: string, options: AskOptions, context: Context): Promise<void> {
  const { terminal, signal } = context;
  await withApi('ask', options, context, async (client) => {
    const { video: videoIds, conversation: conversationId } = options;
    const request = { question, videoIds, conversationId };
    // What is streamed is for a person who watches; programs get the whole.
    const streams = options.stream && !terminal.json;
    const answer = streams
      ? await client.askStreaming(request, (text) => void process.stdout.write(text), signal)
      : await client.ask(request, signal);
    if (streams) process.stdout.write('\n');
    else terminal.result(answer.answer);
    terminal.record({ type: 'answer', question, ...answer });
    for (const line of footnotes(answer)) terminal.result(line);
    if (answer.understoodAs) terminal.line(terminal.style('dim', `understood as: ${harmless(answer.understoodAs)}`));
    if (answer.degraded) {
      terminal.line(`${terminal.style('yellow', '!')} ${answer.degraded.message} (${answer.degraded.code})`);
    }
    terminal.line(terminal.style('dim', `--conversation ${answer.conversationId} asks on`));
  });
}

/** `[1]  title  mm:ss–mm:ss`, for each citation. */
const footnotes = ({ citations }: Answer): string[] =>
  citations.map(
    ({ n, moment }) => `${columns(`[${n}]`, 5)} ${columns(moment.videoTitle, 24)}  ${span(moment.start, moment.end)}`,
  );
