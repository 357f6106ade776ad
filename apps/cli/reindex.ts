import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { ApiClient, Video } from './client.ts';
import { type Context, type Run, withApiOptions } from './command.ts';
import { CliError, problemOf } from './errors.ts';
import { columns, plural } from './format.ts';
import { Interrupted } from './interrupt.ts';
import { followWithBars, outcome, speed } from './progress.ts';
import { type SessionOptions, withApi } from './session.ts';

/** Videos at a time: one that is indexed again as a whole is not found by its words until they are written again. */
const AT_ONCE = 2;
const PAGE = 100;
const LOOK_AGAIN_MS = 1_000;

interface Options extends SessionOptions {
  all?: boolean;
  switch?: boolean;
  prune?: boolean;
}
interface Models {
  active?: { id: string };
  next?: { id: string };
}

export function addReindex(program: Command, run: Run): void {
  withApiOptions(
    program
      .command('reindex')
      .description(
        'bring videos to the models and settings of now. Without ids: the frames of those that were indexed with another CLIP than the one that is set, beside the old ones, which are searched until all videos are done',
      )
      .argument('[ids...]', 'videos to index again as a whole')
      .option('--all', 'index all videos again as a whole, those that failed or were cancelled too')
      .option('--switch', 'search with the new CLIP even where videos could not be indexed with it')
      .option('--prune', 'in the end, remove frames of CLIPs that are not in use any more'),
  ).action((ids: string[], options: Options) => run((context) => reindex(ids, options, context)));
}

async function reindex(named: string[], options: Options, context: Context): Promise<void> {
  const { terminal, signal } = context;
  await withApi('reindex', options, context, async (client) => {
    const next = await nextModel(client, context);
    const only = named.length > 0 || options.all ? undefined : 'frames';
    const done = new Set<string>();
    let failed = 0;
    // What was uploaded meanwhile is indexed with the old model still: looked for until there is none.
    for (;;) {
      if (only) await uploadsEnd(client, context);
      const found = named.length > 0 ? named : await videos(client, only ? isOutdated(next) : hasEnded, signal);
      const ids = [...new Set(found)].filter((id) => !done.has(id));
      if (ids.length === 0) break;
      const waiting = ids.values();
      const lane = async () => {
        for (const id of waiting) if (!(await reindexOne(client, id, only, next, context))) failed += 1;
      };
      await Promise.all(Array.from({ length: Math.min(AT_ONCE, ids.length) }, lane));
      signal.throwIfAborted();
      for (const id of ids) done.add(id);
      if (!only) break;
    }
    const ready = `${plural(done.size - failed, 'video')} ready`;
    terminal.line(failed ? terminal.style('red', `${ready}, ${failed} failed`) : ready);
    const isActive = await changeOver(client, options, next, context, only === 'frames');
    if (options.prune && isActive) {
      const { dropped } = await client.post<{ dropped: number }>('/v1/models/prune', {}, signal);
      terminal.line(`Frames of ${plural(dropped, 'CLIP')} that were not in use any more are removed`);
      terminal.record({ type: 'prune', dropped });
    }
    terminal.record({ type: 'summary', ready: done.size - failed, failed });
    if (failed || (only && !isActive)) process.exitCode = 1;
  });
}

/** What the workers make frames with, once one of them is ready. */
async function nextModel(client: ApiClient, { terminal, signal }: Context): Promise<string> {
  for (let said = ''; ; ) {
    const { next } = await client.get<Models>('/v1/models', signal);
    if (next) return next.id;
    const reasons = (await client.notReadyReasons(signal)).join('; ');
    if (reasons !== said) terminal.line(`Waiting: ${reasons}`);
    said = reasons;
    await sleep(LOOK_AGAIN_MS, undefined, { signal });
  }
}

/** Until none is being indexed: those that are get the model that is active now. */
async function uploadsEnd(client: ApiClient, { terminal, signal }: Context): Promise<void> {
  for (const id of await videos(client, (video) => !hasEnded(video), signal))
    await followWithBars(client, id, `${columns(id, 13)} `, terminal, signal);
}

const hasEnded = ({ status }: Video): boolean => status !== 'queued' && status !== 'indexing';
const isOutdated =
  (model: string) =>
  ({ status, counts, models }: Video): boolean =>
    status === 'ready' && counts.frames > 0 && !models?.frames?.includes(model);

/** Ids of those that are meant, oldest first. */
async function videos(client: ApiClient, isMeant: (video: Video) => boolean, signal: AbortSignal): Promise<string[]> {
  const ids: string[] = [];
  let cursor: string | undefined;
  do {
    const query = new URLSearchParams({ limit: String(PAGE), ...(cursor && { cursor }) });
    const page = await client.get<{ videos: Video[]; nextCursor?: string }>(`/v1/videos?${query}`, signal);
    for (const video of page.videos) if (isMeant(video)) ids.push(video.id);
    cursor = page.nextCursor;
  } while (cursor);
  return ids.sort();
}

/** True when it became ready. One that fails does not stop the others. */
async function reindexOne(
  client: ApiClient,
  id: string,
  only: 'frames' | undefined,
  next: string,
  { terminal, signal }: Context,
): Promise<boolean> {
  try {
    const request = only ? { only } : {};
    const { title } = await client.post<Video>(`/v1/videos/${encodeURIComponent(id)}/reindex`, request, signal);
    const video = await followWithBars(client, id, `${columns(title, 13)} `, terminal, signal);
    terminal.line(outcome(video, terminal));
    const { status, error, warnings, counts, models } = video;
    terminal.record({ type: 'video', id, title, status, counts, models, warnings, error, ...speed(video) });
    return status === 'ready' && !(only && isOutdated(next)(video));
  } catch (error) {
    if (error instanceof Interrupted || signal.aborted) throw error;
    const problem = problemOf(error);
    terminal.line(`${terminal.style('red', '✗')} ${id}  ${problem.message} (${problem.code})`);
    terminal.record({ type: 'video', id, status: 'failed', error: problem });
    return false;
  }
}

/** Search takes the new model where all videos have it. True when it has. */
async function changeOver(
  client: ApiClient,
  { switch: force = false }: Options,
  next: string,
  { terminal, signal }: Context,
  isAsked: boolean,
): Promise<boolean> {
  const { active } = await client.get<Models>('/v1/models', signal);
  try {
    const changed = await client.post<{ previous?: { id: string } }>('/v1/models/switch', { force }, signal);
    if (!changed.previous) return true;
    terminal.line(`Search uses ${next} now; ${changed.previous.id} is kept until --prune`);
    terminal.record({ type: 'switch', active: next, previous: changed.previous.id });
    return true;
  } catch (error) {
    if (!(error instanceof CliError) || error.code !== 'reindex_incomplete') throw error;
    terminal.line(error.message);
    if (isAsked) terminal.record({ type: 'switch', active: active?.id, error: problemOf(error) });
    return false;
  }
}
