import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Moment } from './client.ts';
import { type Context, type Run, withApiOptions } from './command.ts';
import { columns, harmless, span } from './format.ts';
import { type SessionOptions, withApi } from './session.ts';

interface SearchOptions extends SessionOptions {
  limit: number;
  video?: string[];
  only?: 'seen' | 'said';
  then?: string[];
}
/** Below this, a moment is likelier not what was asked for. */
const SURE = 0.5;
const MODALITY = { seen: 'frames', said: 'passages' } as const;

export function addSearch(program: Command, run: Run): void {
  withApiOptions(
    program
      .command('search')
      .description('find the moments that a question is about')
      .argument(
        '<query>',
        'what is seen or said, in plain words; "quoted" word for word, -word for what must not be there',
      )
      .option('--limit <number>', 'moments at most', count, 10)
      .option('--video <id...>', 'only in these videos')
      .addOption(new Option('--only <what>', 'only among what is seen, or what is said').choices(['seen', 'said']))
      .option('--then <query...>', 'what follows it within a minute'),
  ).action((query: string, options: SearchOptions) => run((context) => search(query, options, context)));
}

async function search(query: string, options: SearchOptions, context: Context): Promise<void> {
  const { terminal, signal } = context;
  await withApi('search', options, context, async (client) => {
    const { limit, video, only, then } = options;
    const { moments } = await client.search(
      {
        ...(then ? { sequence: [query, ...then] } : { query }),
        limit,
        videoIds: video,
        ...(only && { modalities: [MODALITY[only]] }),
      },
      signal,
    );
    for (const moment of moments) terminal.record({ type: 'moment', ...moment });
    if (moments.length > 0 && moments.every(({ confidence }) => confidence < SURE))
      terminal.line('Most likely it is not there. What comes nearest:');
    for (const moment of moments) terminal.result(momentLine(moment));
    if (moments.length === 0) terminal.line('Nothing found.');
  });
}

/** `title  mm:ss–mm:ss  confidence  why`, in columns. */
export function momentLine(moment: Moment): string {
  const { videoTitle, start, end, confidence } = moment;
  const percent = `${Math.round(confidence * 100)} %`.padStart(5);
  return `${columns(videoTitle, 24)}  ${columns(span(start, end), 17)}  ${percent}  ${why(moment)}`;
}

/** The words that were said, that it is seen, that it is so called. */
export function why({ evidence }: Moment): string {
  const textOf = (kind: string) => evidence.find((one) => one.kind === kind)?.text;
  const [said, titled] = [textOf('passage'), textOf('title')];
  const isSeen = evidence.some(({ kind }) => kind === 'frame');
  return [isSeen ? 'seen' : '', said ? `“${harmless(said)}”` : '', titled ? `titled “${harmless(titled)}”` : '']
    .filter(Boolean)
    .join(', ');
}

function count(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 50) throw new InvalidArgumentError('A number from 1 to 50.');
  return value;
}
