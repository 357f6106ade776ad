import type { Command } from 'commander';
import type { ApiClient, Video } from './client.ts';
import { apiOption, type Context, dataDirOption, jsonOption, keyOption } from './command.ts';
import { problemOf } from './errors.ts';
import { columns, plural } from './format.ts';
import { Interrupted } from './interrupt.ts';
import { followWithBars, outcome, speed } from './progress.ts';
import { type SessionOptions, withApi } from './session.ts';

/** Videos at a time, and so at most out of search at a time: a video is not found from the start of its new run until its rows are written again. */
const AT_ONCE = 2;
const PAGE = 100;

export function addReindex(program: Command, run: (work: (context: Context) => Promise<void>) => Promise<void>): void {
  const command = program
    .command('reindex')
    .description(
      'index videos again with the models and settings of now, a few at a time while the others can be asked',
    );
  command
    .argument('[ids...]', 'ids of videos (default: all that are ready, failed or cancelled)')
    .addOption(dataDirOption())
    .addOption(apiOption())
    .addOption(keyOption())
    .addOption(jsonOption())
    .action((ids: string[], options: SessionOptions) => run((context) => reindex(ids, options, context)));
}

async function reindex(named: string[], options: SessionOptions, context: Context): Promise<void> {
  const { terminal, signal } = context;
  await withApi('reindex', options, context, async (client) => {
    const ids = named.length > 0 ? [...new Set(named)] : await endedVideos(client, signal);
    let failed = 0;
    const waiting = ids.values();
    const lane = async () => {
      for (const id of waiting) if (!(await reindexOne(client, id, context))) failed += 1;
    };
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, ids.length) }, lane));
    signal.throwIfAborted();
    terminal.record({ type: 'summary', ready: ids.length - failed, failed });
    const ready = `${plural(ids.length - failed, 'video')} ready`;
    terminal.line(failed ? terminal.style('red', `${ready}, ${failed} failed`) : ready);
    if (failed) process.exitCode = 1;
  });
}

/** Those that are not being indexed already. Oldest first: what was added last was indexed with the newest models. */
async function endedVideos(client: ApiClient, signal: AbortSignal): Promise<string[]> {
  const ids: string[] = [];
  let cursor: string | undefined;
  do {
    const query = new URLSearchParams({ limit: String(PAGE), ...(cursor && { cursor }) });
    const page = await client.get<{ videos: Video[]; nextCursor?: string }>(`/v1/videos?${query}`, signal);
    for (const { id, status } of page.videos) if (status !== 'queued' && status !== 'indexing') ids.push(id);
    cursor = page.nextCursor;
  } while (cursor);
  return ids.sort();
}

/** True when it became ready. One that fails does not stop the others. */
async function reindexOne(client: ApiClient, id: string, { terminal, signal }: Context): Promise<boolean> {
  try {
    const { title } = await client.post<Video>(`/v1/videos/${encodeURIComponent(id)}/reindex`, {}, signal);
    const video = await followWithBars(client, id, `${columns(title, 13)} `, terminal, signal);
    terminal.line(outcome(video, terminal));
    const { status, error, warnings, counts, models } = video;
    terminal.record({ type: 'video', id, title, status, counts, models, warnings, error, ...speed(video) });
    return status === 'ready';
  } catch (error) {
    if (error instanceof Interrupted || signal.aborted) throw error;
    const problem = problemOf(error);
    terminal.line(`${terminal.style('red', '✗')} ${id}  ${problem.message} (${problem.code})`);
    terminal.record({ type: 'video', id, status: 'failed', error: problem });
    return false;
  }
}
