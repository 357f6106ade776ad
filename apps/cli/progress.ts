import type { ApiClient, Video } from './client.ts';
import { STAGES, type StageName } from './client.ts';
import { bytes, clock, columns } from './format.ts';
import type { Bar, Terminal } from './terminal.ts';

/** Uploads a file with a bar of its bytes. */
export async function uploadWithBar(
  client: ApiClient,
  path: string,
  words: Parameters<ApiClient['upload']>[1],
  label: string,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<Video> {
  const bar = terminal.bar(`${label}upload`);
  try {
    const show = (sent: number, total: number) => bar.update(sent / total, `${bytes(sent)} of ${bytes(total)}`);
    return await client.upload(path, words, show, signal);
  } finally {
    bar.end();
  }
}

/** Follows a video to its end with a bar for each stage, and returns it as it is then. */
export async function followWithBars(
  client: ApiClient,
  id: string,
  label: string,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<Video> {
  const bars = new Map<StageName, Bar>();
  let video: Video | undefined;
  try {
    for await (const state of client.follow(id, signal)) {
      video = state;
      // All of a video's bars at once, so that they stand together whatever the other videos do.
      if (bars.size === 0) for (const stage of STAGES) bars.set(stage, terminal.bar(label + stage));
      for (const stage of STAGES) show(bars.get(stage), video, stage);
    }
  } finally {
    for (const bar of bars.values()) bar.end();
  }
  if (!video) throw new Error('The video has no state.');
  return video;
}

function show(bar: Bar | undefined, video: Video, name: StageName): void {
  const { state, done, total } = video.stages[name];
  const over = state === 'done' || state === 'skipped' || state === 'failed';
  const fraction = over ? 1 : total > 0 ? done / total : 0;
  let note: string = state === 'waiting' || state === 'active' ? '' : state;
  if (state === 'active' && total > 0) note = `${clock(done)} of ${clock(total)}`;
  // How long it still takes is of the whole video: it stands with the last stage.
  if (name === 'finalize' && !over && video.etaSeconds !== undefined) note = `in about ${clock(video.etaSeconds)}`;
  bar?.update(fraction, note);
}

/** Seconds that indexing took, and how many times faster than the video plays. */
export function speed(video: Video): { indexingSeconds: number; realtimeFactor: number } | undefined {
  if (!video.media || !video.startedAt || !video.finishedAt) return undefined;
  const indexingSeconds = Math.max(0.001, (Date.parse(video.finishedAt) - Date.parse(video.startedAt)) / 1000);
  return { indexingSeconds, realtimeFactor: Math.round((video.media.duration / indexingSeconds) * 10) / 10 };
}

/** The line that stays of an indexed video. */
export function outcome(video: Video, terminal: Terminal): string {
  const title = columns(video.title, 30).trimEnd();
  if (video.status !== 'ready') {
    const problem = video.error ?? { code: video.status, message: '' };
    return `${terminal.style('red', '✗')} ${title}  ${video.status}: ${problem.message} (${problem.code})`;
  }
  const took = speed(video);
  const { frames, passages, captions } = video.counts;
  const found = `${frames} frames, ${passages} passages${captions > 0 ? `, ${captions} captions` : ''}`;
  const pace =
    took && video.media
      ? `  ${clock(video.media.duration)} of video in ${took.indexingSeconds.toFixed(1)} s (${took.realtimeFactor}× real time)`
      : '';
  const warnings = video.warnings.map(
    ({ code, message }) => `\n  ${terminal.style('yellow', '!')} ${message} (${code})`,
  );
  return `${terminal.style('green', '✓')} ${title}${pace}  ${found}${warnings.join('')}`;
}
