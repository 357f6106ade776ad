import type { Command } from 'commander';
import type { Label } from './client.ts';
import { type Context, type Run, withApiOptions } from './command.ts';
import { CliError } from './errors.ts';
import { clock, columns, span } from './format.ts';
import { type SessionOptions, withApi } from './session.ts';

interface LabelsOptions extends SessionOptions {
  labels?: string;
}
/** Places of a label that fit a line. */
const PLACES = 3;

export function addLabels(program: Command, run: Run): void {
  withApiOptions(
    program
      .command('labels')
      .description('what is in a video: which of some labels are seen, how long and where')
      .argument('<video>', 'its id')
      .option('--labels <list>', 'what to look for, between commas (default: LABELS of the api)'),
  ).action((video: string, options: LabelsOptions) => run((context) => show(video, options, context)));
}

async function show(video: string, options: LabelsOptions, context: Context): Promise<void> {
  const { terminal, signal } = context;
  await withApi('labels', options, context, async (client) => {
    const { videoId, complete, labels } = await client
      .labels(video, options.labels, signal)
      .catch((error: unknown) => Promise.reject(inTheseOptions(error)));
    for (const label of labels) {
      terminal.record({ type: 'label', videoId, ...label });
      terminal.result(labelLine(label));
    }
    if (labels.length === 0) terminal.line('None of these labels is seen.');
    if (!complete) terminal.line(`${terminal.style('yellow', '!')} The video is still being indexed.`);
  });
}

/** The api speaks of its own parameters. */
function inTheseOptions(error: unknown): unknown {
  const isMissing = error instanceof CliError && error.code === 'labels_missing';
  return isMissing ? new CliError(error.code, 'Name some (--labels "a car,a dog"), or set LABELS for the api.') : error;
}

/** `label  in view  confidence  when`, in columns. */
function labelLine({ label, total, confidence, count, spans }: Label): string {
  const percent = `${Math.round(confidence * 100)} %`.padStart(5);
  const when = spans.slice(0, PLACES).map(({ start, end }) => span(start, end));
  const more = count > PLACES ? [`and ${count - PLACES} more`] : [];
  return `${columns(label, 24)}  ${columns(clock(total), 8)}  ${percent}  ${[...when, ...more].join(', ')}`;
}
