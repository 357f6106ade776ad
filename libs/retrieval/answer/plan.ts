import type { PassageRow } from '#store';
import type { LabelInVideo, Modality, Moment } from '../index.ts';
import type { LabelSpan } from '../labels.ts';
import { centrality, countTerms } from './central.ts';
import type { Question, Resolved } from './question.ts';
import type { Scene } from './scenes.ts';

/** What an answer says of a video. */
export interface VideoFacts {
  id: string;
  title: string;
  durationMs?: number;
}
/** Where answers come from: one tenant's videos, as the caller lets them be seen. */
export interface AnswerSources {
  /** Moments, best first (`search` of this library). */
  search(
    query: { query: string; videoIds?: string[]; modalities?: Modality[]; limit: number },
    signal?: AbortSignal,
  ): Promise<Moment[]>;
  /** All passages of a video in time order. */
  passages(videoId: string): Promise<PassageRow[]>;
  /** All scenes of a video in time order. */
  scenes(videoId: string): Promise<Scene[]>;
  /** Labels that are seen in a video, longest in view first; none where none are looked for. */
  labels(videoId: string): Promise<LabelInVideo[]>;
  /** Those named, or all of the library, newest first; at most `limit`. What is gone is left out. */
  videos(ids: string[] | undefined, limit: number): Promise<VideoFacts[]>;
  /** The JPEG of a frame. */
  thumbnail(videoId: string, atMs: number): Promise<Buffer | undefined>;
}

/** What was retrieved for a question. `[n]` in an answer is `moments[n - 1]`. */
export interface Findings {
  question: Question;
  moments: Moment[];
  /** Something fits well enough to be an answer. */
  found: boolean;
  /** Of each moment, what it is to the answer, where that matters. */
  roles?: ('place' | 'said' | 'seen')[];
  /** Of each moment, the label that it shows, where it stands for all that a video shows of it. */
  labels?: (LabelInVideo | undefined)[];
  /** Whole text of each moment, where it is more than its evidence. */
  texts?: string[];
  /** There may be more than were counted. */
  capped?: boolean;
  /** Of the moments, and those the question is about where it says so or they are few. */
  videos: Map<string, VideoFacts>;
  scope?: VideoFacts[];
}

/** `confidence` from which a moment counts as one that is really there: what search is calibrated to. */
export const SURE = 0.5;
const MAX_PLACES = 50;
/** Videos that a summary, a comparison or a first and last place look at. */
const MAX_VIDEOS = 8;
const MAX_COMPARED = 3;
/** Videos that are known by name; a filter may leave thousands. */
const MAX_NAMED = 100;
/** Windows that the timeline is cut into for a summary, all videos together, and the least length of one. */
const MAX_WINDOWS = 60;
const MIN_WINDOW_MS = 20_000;
const LONGEST_SCENES = 3;
/** Labels of a video in a summary: those longest in view. */
const MOST_SEEN = 5;
/** What begins so little before the end of a place comes after it. */
const SLACK_MS = 500;

/** Finds what answers a question: one way for each kind. */
export async function retrieve(
  sources: AnswerSources,
  { question, text, anchor }: Resolved,
  options: { videoIds?: string[]; limit: number },
  signal?: AbortSignal,
): Promise<Findings> {
  const { videoIds, limit } = options;
  const isFew = videoIds !== undefined && videoIds.length <= MAX_NAMED;
  const scope = isFew ? await sources.videos(videoIds, MAX_NAMED) : undefined;
  const { kind, direction, topic } = question;
  const needle = (): Promise<Findings> => findNeedle(topic || text);
  signal?.throwIfAborted();

  if (kind === 'order' && (direction === 'first' || direction === 'last')) return findEnd(direction);
  if (kind === 'order' && (anchor || topic)) return findNeighbour();
  if (kind === 'list' || kind === 'count') return topic ? findPlaces() : needle();
  if (kind === 'summary') return summarise(scope ?? (await sources.videos(videoIds, MAX_VIDEOS)));
  if (kind === 'comparison') {
    const videos = scope ?? (await sources.videos(videoIds, MAX_VIDEOS));
    if (videos.length > 1) return compare(videos.slice(0, MAX_VIDEOS));
    if (!topic) return summarise(videos);
  }
  return needle();

  async function findNeedle(query: string): Promise<Findings> {
    const moments = query ? await sources.search({ query, videoIds, limit }, signal) : [];
    return findings(moments, moments.some(isSure));
  }

  /** Every place that is sure, in the order of time. */
  async function findPlaces(): Promise<Findings> {
    const query = { query: topic, videoIds, modalities: question.modalities, limit: MAX_PLACES };
    const moments = await sources.search(query, signal);
    const sure = moments.filter(isSure);
    if (sure.length === 0) return findings(moments.slice(0, 3), false);
    const { moments: places, ...rest } = await findings(sure, true);
    return {
      ...rest,
      moments: inTime(places),
      found: places.length > 0,
      capped: moments.length === MAX_PLACES && sure.length === MAX_PLACES,
    };
  }

  /** The place, and what is said and shown next to it. */
  async function findNeighbour(): Promise<Findings> {
    const place: Moment | undefined = anchor
      ? { ...anchor, score: 1, confidence: 1, evidence: [] }
      : (await sources.search({ query: topic, videoIds, limit: 5 }, signal)).find(isSure);
    if (!place) return findings([], false);
    const wants = (modality: Modality): boolean => question.modalities?.includes(modality) ?? true;
    const [passages, scenes] = await Promise.all([
      wants('passages') ? sources.passages(place.videoId) : [],
      wants('frames') ? sources.scenes(place.videoId) : [],
    ]);
    const beside = <T extends { startMs: number; endMs: number }>(all: T[]): T | undefined =>
      direction === 'after'
        ? all.find(({ startMs }) => startMs >= place.endMs - SLACK_MS)
        : all.findLast(({ endMs }) => endMs <= place.startMs + SLACK_MS);
    const [said, seen] = [beside(passages), beside(scenes)];
    const found: [Moment, 'place' | 'said' | 'seen'][] = [
      ...(anchor ? [] : [[place, 'place'] as [Moment, 'place']]),
      ...(said ? [[passageMoment(said), 'said'] as [Moment, 'said']] : []),
      ...(seen ? [[sceneMoment(place.videoId, seen), 'seen'] as [Moment, 'seen']] : []),
    ];
    const all = await findings(
      found.map(([moment]) => moment),
      true,
    );
    return { ...all, roles: found.map(([, role]) => role), found: all.moments.length > 0 };
  }

  /** The first or last place of each video; without a topic, of anything said (or shown). */
  async function findEnd(end: 'first' | 'last'): Promise<Findings> {
    const pick = <T>(all: T[]): T | undefined => (end === 'first' ? all[0] : all.at(-1));
    if (topic) {
      const query = { query: topic, videoIds, modalities: question.modalities, limit: MAX_PLACES };
      const sure = (await sources.search(query, signal)).filter(isSure);
      const ends = [...Map.groupBy(sure, (moment) => moment.videoId).values()].flatMap(
        (all) => pick(inTime(all)) ?? [],
      );
      return findings(ends.slice(0, MAX_VIDEOS), ends.length > 0);
    }
    const moments: Moment[] = [];
    for (const { id } of (scope ?? (await sources.videos(videoIds, MAX_VIDEOS))).slice(0, MAX_VIDEOS)) {
      const shown = question.modalities?.[0] === 'frames';
      const passage = shown ? undefined : pick(await sources.passages(id));
      const scene = passage || !shown ? undefined : pick(await sources.scenes(id));
      if (passage) moments.push(passageMoment(passage));
      if (scene) moments.push(sceneMoment(id, scene));
    }
    return findings(moments, moments.length > 0);
  }

  /** The whole timeline in windows, each with its most telling passages first; what is seen most, or where no label is, the longest scenes. */
  async function summarise(all: VideoFacts[]): Promise<Findings> {
    const videos = all.slice(0, MAX_VIDEOS);
    const windows: Moment[] = [];
    const texts: string[] = [];
    const shown: Moment[] = [];
    const labels: (LabelInVideo | undefined)[] = [];
    for (const video of videos) {
      signal?.throwIfAborted();
      const passages = await sources.passages(video.id);
      for (const group of await inWindows(passages, Math.floor(MAX_WINDOWS / videos.length), signal)) {
        windows.push(windowMoment(group));
        texts.push(group.map(({ passage }) => passage.text).join(' '));
      }
      const seen = (await sources.labels(video.id)).slice(0, MOST_SEEN);
      shown.push(...seen.map((label) => labelMoment(video.id, label)));
      labels.push(...seen);
      if (seen.length > 0) continue;
      const scenes = await sources.scenes(video.id);
      const longest = scenes.toSorted((a, b) => b.endMs - b.startMs - (a.endMs - a.startMs) || a.startMs - b.startMs);
      const some = longest.slice(0, passages.length > 0 ? LONGEST_SCENES : 2 * LONGEST_SCENES);
      shown.push(...some.sort((a, b) => a.startMs - b.startMs).map((scene) => sceneMoment(video.id, scene)));
      labels.push(...some.map(() => undefined));
    }
    const moments = [...windows, ...shown];
    return {
      question,
      moments,
      texts: moments.map((_, i) => texts[i] ?? ''),
      roles: moments.map((_, i) => (i < windows.length ? 'said' : 'seen')),
      labels: [...windows.map(() => undefined), ...labels],
      found: moments.length > 0,
      videos: byId(videos),
      scope: videos,
    };
  }

  /** The same question put to each video; without a topic, a summary of each. */
  async function compare(videos: VideoFacts[]): Promise<Findings> {
    if (!topic) return { ...(await summarise(videos)), question };
    const each = await Promise.all(
      videos.map(({ id }) =>
        sources.search({ query: topic, videoIds: [id], modalities: question.modalities, limit: MAX_COMPARED }, signal),
      ),
    );
    const moments = each.flatMap((found) => found.filter(isSure));
    return { question, moments, found: moments.length > 0, videos: byId(videos), scope: videos };
  }

  /** Only of videos that are still there. */
  async function findings(moments: Moment[], found: boolean): Promise<Findings> {
    const ids = [...new Set(moments.map(({ videoId }) => videoId))];
    const videos = byId(ids.length > 0 ? await sources.videos(ids, ids.length) : []);
    const kept = moments.filter(({ videoId }) => videos.has(videoId));
    for (const video of scope ?? []) videos.set(video.id, video);
    return { question, moments: kept, found: found && kept.length > 0, videos, ...(scope && { scope }) };
  }
}

const isSure = ({ confidence }: Moment): boolean => confidence >= SURE;
const byId = (videos: VideoFacts[]): Map<string, VideoFacts> => new Map(videos.map((video) => [video.id, video]));

/** Videos stay in the order of their best moment. */
function inTime(moments: Moment[]): Moment[] {
  return [...Map.groupBy(moments, ({ videoId }) => videoId).values()].flatMap((all) =>
    all.sort((a, b) => a.startMs - b.startMs),
  );
}

// Moments that no search found: what is at a place, not what fits a query. Their confidence is that they are there.
const passageEvidence = ({ startMs, endMs, text, language }: PassageRow) =>
  ({ kind: 'passage', atMs: startMs, endMs, text, language, score: 1 }) as const;
export function passageMoment(passage: PassageRow): Moment {
  const { videoId, startMs, endMs } = passage;
  return { videoId, startMs, endMs, score: 1, confidence: 1, evidence: [passageEvidence(passage)] };
}
export function sceneMoment(videoId: string, { startMs, endMs, frameAtMs }: Scene): Moment {
  const evidence = [{ kind: 'frame', atMs: frameAtMs, endMs, score: 1 } as const];
  return { videoId, startMs, endMs, score: 1, confidence: 1, evidence };
}

/** Where a label is in view longest. */
function labelMoment(videoId: string, { spans, confidence }: LabelInVideo): Moment {
  const [longest] = spans.toSorted((a, b) => b.endMs - b.startMs - (a.endMs - a.startMs) || a.startMs - b.startMs);
  const { startMs, endMs, frameAtMs } = longest as LabelSpan;
  const evidence = [{ kind: 'frame', atMs: frameAtMs, endMs, score: confidence } as const];
  return { videoId, startMs, endMs, score: confidence, confidence, evidence };
}

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

/** Passages by equal windows of the time in which anything is said; windows without a word are left out. */
async function inWindows(passages: PassageRow[], most: number, signal?: AbortSignal): Promise<Central[][]> {
  const [first, last] = [passages[0], passages.at(-1)];
  if (!first || !last) return [];
  const central = centrality(await countTerms(passages, signal));
  const length = Math.max(1, last.endMs - first.startMs);
  const count = Math.max(1, Math.min(most, Math.floor(length / MIN_WINDOW_MS)));
  const windowOf = ({ startMs }: PassageRow) =>
    Math.min(count - 1, Math.floor(((startMs - first.startMs) / length) * count));
  const weighed = passages.map((passage, i): Central => ({ passage, central: central[i] as number }));
  return [...Map.groupBy(weighed, ({ passage }) => windowOf(passage)).values()];
}
