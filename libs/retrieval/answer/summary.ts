import type { PassageRow } from '#store';
import { longestFirst } from '../candidate.ts';
import type { LabelInVideo, Moment } from '../index.ts';
import type { LabelSpan } from '../labels.ts';
import { centrality, countTerms } from './central.ts';
import {
  byId,
  covering,
  type Findings,
  type Known,
  type Looking,
  MAX_VIDEOS,
  type Mark,
  passageEvidence,
  sceneMoment,
  wants,
} from './plan.ts';

/** Windows that the timeline is cut into for a summary, all videos together, and the least length of one. */
const MAX_WINDOWS = 60;
const MIN_WINDOW_MS = 20_000;
const LONGEST_SCENES = 3;
/** Labels of a video in a summary: those longest in view. */
const MOST_SEEN = 5;

/** The whole timeline in windows, each with its most telling passages first; what is seen most, or where no label is, the longest scenes. */
export async function summarise({ sources, question, signal }: Looking, known: Known): Promise<Findings> {
  const videos = known.videos.slice(0, MAX_VIDEOS);
  const windows: [Moment, Mark][] = [];
  const shown: [Moment, Mark][] = [];
  for (const video of videos) {
    signal?.throwIfAborted();
    const passages = wants(question, 'passages') ? await sources.passages(video.id) : [];
    const most = Math.floor(MAX_WINDOWS / videos.length);
    for (const group of await inWindows(passages, { most, isEach: question.stretch !== undefined }, signal)) {
      const text = group.map(({ passage }) => passage.text).join(' ');
      windows.push([windowMoment(group), { role: 'said', text }]);
    }
    if (!wants(question, 'frames')) continue;
    const seen = (await sources.labels(video.id)).slice(0, MOST_SEEN);
    shown.push(...seen.map((label): [Moment, Mark] => [labelMoment(video.id, label), { role: 'seen', label }]));
    if (seen.length > 0) continue;
    const longest = (await sources.scenes(video.id)).toSorted(longestFirst);
    const some = longest.slice(0, passages.length > 0 ? LONGEST_SCENES : 2 * LONGEST_SCENES);
    some.sort((a, b) => a.startMs - b.startMs);
    shown.push(...some.map((scene): [Moment, Mark] => [sceneMoment(video.id, scene), { role: 'seen' }]));
  }
  const all = [...windows, ...shown];
  return {
    question,
    moments: all.map(([moment]) => moment),
    marks: all.map(([, mark]) => mark),
    found: all.length > 0,
    videos: byId(videos),
    scope: videos,
    ...covering(videos.length, known),
  };
}

/** Where a label is in view longest. */
const labelMoment = (videoId: string, { spans, confidence }: LabelInVideo): Moment =>
  sceneMoment(videoId, spans.toSorted(longestFirst)[0] as LabelSpan, confidence);

interface Central {
  passage: PassageRow;
  central: number;
}
function windowMoment(group: Central[]): Moment {
  const [first, last] = [group[0], group.at(-1)] as [Central, Central];
  const told = group.toSorted((a, b) => b.central - a.central || a.passage.startMs - b.passage.startMs).slice(0, 5);
  const { videoId, startMs } = first.passage;
  const evidence = told.map(({ passage }) => passageEvidence(passage));
  return { videoId, startMs, endMs: last.passage.endMs, score: told[0]?.central ?? 0, confidence: 1, evidence };
}

/** Passages by equal windows of the time in which anything is said; windows without a word are left out. `isEach`: where they are few, each is a window. */
async function inWindows(
  passages: PassageRow[],
  { most, isEach }: { most: number; isEach: boolean },
  signal?: AbortSignal,
): Promise<Central[][]> {
  const [first, last] = [passages[0], passages.at(-1)];
  if (!first || !last) return [];
  const central = centrality(await countTerms(passages, signal));
  const length = Math.max(1, last.endMs - first.startMs);
  const count = Math.max(1, Math.min(most, Math.floor(length / MIN_WINDOW_MS)));
  const weighed = passages.map((passage, i): Central => ({ passage, central: central[i] as number }));
  if (isEach && passages.length <= most) return weighed.map((one) => [one]);
  const windowOf = ({ startMs }: PassageRow) =>
    Math.min(count - 1, Math.floor(((startMs - first.startMs) / length) * count));
  return [...Map.groupBy(weighed, ({ passage }) => windowOf(passage)).values()];
}
