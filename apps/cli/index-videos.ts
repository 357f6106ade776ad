import { readdir, stat } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { type Command, Option } from 'commander';
import type { ApiClient, Video } from './client.ts';
import { type Context, type Run, withApiOptions } from './command.ts';
import { CliError, problemOf } from './errors.ts';
import { columns, plural } from './format.ts';
import { Interrupted } from './interrupt.ts';
import { followWithBars, outcome, speed, uploadWithBar } from './progress.ts';
import { type SessionOptions, withApi } from './session.ts';

/** What is looked for in folders. A file named outright may have any name: the api looks inside. */
const MEDIA = new Set(
  [
    '.3g2 .3gp .asf .avi .dv .f4v .flv .m2t .m2ts .m4v .mkv .mov .mp4 .mpe .mpeg .mpg .mts .mxf .ogv .qt .ts .vob .webm .wmv',
    '.aac .ac3 .aif .aiff .amr .caf .flac .m4a .m4b .mka .mp2 .mp3 .oga .ogg .opus .w64 .wav .weba .wma',
  ].flatMap((endings) => endings.split(' ')),
);
/** Uploads at a time. Indexing itself goes at the worker's pace. */
const AT_ONCE = 2;

interface IndexOptions extends SessionOptions {
  title?: string;
  language?: string;
  task?: string;
  prompt?: string;
}

export function addIndex(program: Command, run: Run): void {
  withApiOptions(
    program
      .command('index')
      .description('index files, folders or addresses and wait until they can be asked')
      .argument('<what...>', 'files, folders (searched for media) or http addresses')
      .option('--title <title>', 'title of the video (with one only; default: its file name)')
      .option('--language <code>', 'language that is spoken, such as en (default: detected)')
      .addOption(
        new Option('--task <task>', 'write speech down as it is said, or in English').choices([
          'transcribe',
          'translate',
        ]),
      )
      .option('--prompt <text>', 'names and terms that the speech holds, as they are to be spelt'),
  ).action((what: string[], options: IndexOptions) => run((context) => index(what, options, context)));
}

async function index(what: string[], options: IndexOptions, context: Context): Promise<void> {
  const sources = (await Promise.all(what.map(expand))).flat();
  if (sources.length === 0) throw new CliError('nothing_to_index', 'There are no media files there.', 66);
  if (options.title !== undefined && sources.length > 1)
    throw new CliError('title_for_one', `--title names one video, and there are ${sources.length}.`, 64);
  const { terminal, signal } = context;

  await withApi('index', options, context, async (client) => {
    let failed = 0;
    const waiting = sources.values();
    const lane = async () => {
      for (const source of waiting) {
        const ready = await indexOne(client, source, options, context);
        if (!ready) failed += 1;
      }
    };
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, sources.length) }, lane));
    signal.throwIfAborted();
    terminal.record({ type: 'summary', ready: sources.length - failed, failed });
    if (sources.length > 1 || failed) {
      const ready = `${plural(sources.length - failed, 'video')} ready`;
      terminal.line(failed ? terminal.style('red', `${ready}, ${failed} failed`) : ready);
    }
    if (failed) process.exitCode = 1;
  });
}

/** True when it became ready. One that fails does not stop the others. */
async function indexOne(
  client: ApiClient,
  source: string,
  options: IndexOptions,
  { terminal, signal }: Context,
): Promise<boolean> {
  const { title, language, task, prompt } = options;
  const words = { title, language, task, prompt };
  const label = `${columns(isAddress(source) ? source : basename(source), 13)} `;
  let id: string | undefined;
  try {
    const added = isAddress(source)
      ? await client.ingest(source, words, signal)
      : await uploadWithBar(client, source, words, label, terminal, signal);
    id = added.id;
    const video = await followWithBars(client, id, label, terminal, signal);
    terminal.line(outcome(video, terminal));
    terminal.line(terminal.style('dim', `  id ${id}`)); // which --video and `labels` take
    terminal.record({ type: 'video', source, ...summary(video) });
    return video.status === 'ready';
  } catch (error) {
    if (error instanceof Interrupted || signal.aborted) throw error;
    const problem = problemOf(error);
    terminal.line(`${terminal.style('red', '✗')} ${source}  ${problem.message} (${problem.code})`);
    // One that was taken goes on without us: by its id it is found again.
    terminal.record({ type: 'video', source, id, status: 'failed', error: problem });
    return false;
  }
}

function summary(video: Video) {
  const { id, title, status, error, warnings, counts, models, media } = video;
  return { id, title, status, duration: media?.duration, counts, models, warnings, error, ...speed(video) };
}

const isAddress = (source: string) => /^https?:\/\//i.test(source);

async function expand(source: string): Promise<string[]> {
  if (isAddress(source)) return [source];
  const found = await stat(source).catch((error: NodeJS.ErrnoException) => {
    throw new CliError(
      'file_unreadable',
      error.code === 'ENOENT' ? `There is no file or folder ${source}.` : error.message,
      66,
    );
  });
  if (!found.isDirectory()) return [source];
  const entries = await readdir(source, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && !entry.name.startsWith('.') && MEDIA.has(extname(entry.name).toLowerCase()))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}
