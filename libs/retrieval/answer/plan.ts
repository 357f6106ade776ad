import type { IndexFilter, PassageRow } from '#store';
import { SURE } from '../candidate.ts';
import type { Places } from '../every-place.ts';
import type { Evidence, LabelInVideo, Modality, Moment } from '../index.ts';
import { kindsAsked, names } from '../kinds.ts';
import { HALF_SAID } from '../passage-moments.ts';
import type { Question } from './question.ts';
import type { Scene } from './scenes.ts';
import { quoted } from './text.ts';

/** What an answer says of a video. */
export interface VideoFacts {
  id: string;
  title: string;
  durationMs?: number;
  /** False: it is still being indexed, or was never. */
  isReady?: boolean;
}
/** What is looked for among the moments of videos. */
interface Query {
  query: string;
  videoIds?: string[];
  modalities?: Modality[];
  timeRange?: IndexFilter['timeRange'];
  /** That title and metadata have the words makes a moment of a video's opening. */
  openings?: boolean;
}
/** Where answers come from: one tenant's videos, as the caller lets them be seen. */
export interface AnswerSources {
  /** Moments, best first (`search` of this library). */
  search(query: Query & { limit: number }, signal?: AbortSignal): Promise<Moment[]>;
  /** Every place of a query that is sure, best first (`everyPlace` of this library). */
  everyPlace(query: Query, signal?: AbortSignal): Promise<Places>;
  /** Videos that are called so, by all of their title or, unless `isWhole`, most of these words; of `videoIds`, where they are given. */
  titled(name: string, videoIds?: string[], isWhole?: boolean): Promise<string[]>;
  /** All passages of a video in time order, or those of a part. */
  passages(videoId: string, part?: IndexFilter['timeRange']): Promise<PassageRow[]>;
  /** All scenes of a video in time order, or those of a part. */
  scenes(videoId: string, part?: IndexFilter['timeRange']): Promise<Scene[]>;
  /** Labels that are seen in a video or a part of it, longest in view first; none where none are looked for. */
  labels(videoId: string, part?: IndexFilter['timeRange']): Promise<LabelInVideo[]>;
  /** Those named, or all of the library, newest first; at most `limit`. What is gone is left out. */
  videos(ids: string[] | undefined, limit: number): Promise<VideoFacts[]>;
  /** The JPEG of a frame. */
  thumbnail(videoId: string, atMs: number): Promise<Buffer | undefined>;
}

export interface Mark {
  role?: 'place' | 'said' | 'seen';
  /** That it shows, where it stands for all that a video shows of it. */
  label?: LabelInVideo;
  /** Its whole text, where that is more than its evidence. */
  text?: string;
  /** Which of two topics it shows. */
  about?: string;
}
/** What was retrieved for a question. `[n]` in an answer is `moments[n - 1]`. */
export interface Findings {
  question: Question;
  moments: Moment[];
  /** Something fits well enough to be an answer. */
  found: boolean;
  /** Of each moment, what it is to the answer, where that matters. */
  marks?: Mark[];
  /** Of several questions in one: what each of them found, its moments in a row with those of the others. */
  parts?: Findings[];
  /** Topics that were not found. */
  missing?: string[];
  /** How many there are, where not all of them are among the moments. */
  count?: { places: number; videos: number; totalMs?: number };
  /** There may be more than were counted. */
  capped?: boolean;
  /** How many videos of those in question were looked at, where not all were: "8 of 14". */
  covers?: string;
  /** What else is to be said of how it was found, in a sentence. */
  note?: string;
  /** Why nothing was found, where there is more to say than that. */
  reason?: string;
  /** Words of a question that found nothing which nobody says. */
  unheard?: string[];
  /** Only a part of each video was asked about, or one language. */
  isPart?: boolean;
  /** Of the moments, and those the question is about where it says so or they are few. */
  videos: Map<string, VideoFacts>;
  scope?: VideoFacts[];
}

/** Places that are given; more are counted. */
export const MAX_PLACES = 50;
/** Videos that a summary, a comparison or a first and last place look at. */
export const MAX_VIDEOS = 8;
/** Videos that are known by name; a filter may leave thousands. */
export const MAX_NAMED = 100;

/** What a question is answered from. */
export interface Looking {
  sources: AnswerSources;
  question: Question;
  videoIds?: string[];
  /** The videos in question, where the question names them and they are few. */
  scope?: VideoFacts[];
  isPart?: boolean;
  signal?: AbortSignal;
}
/** Videos in question, at most `MAX_NAMED`, and how many there are in all. */
export interface Known {
  videos: VideoFacts[];
  count: number;
  /** There may be more than were counted. */
  isOpen: boolean;
}
export async function knownVideos({ sources, videoIds, scope }: Looking): Promise<Known> {
  const videos = scope ?? (await sources.videos(videoIds, MAX_NAMED));
  if (scope) return { videos, count: scope.length, isOpen: false };
  return { videos, count: videoIds?.length ?? videos.length, isOpen: !videoIds && videos.length === MAX_NAMED };
}
/** "8 of 14", where not all are among the `kept`. */
export const covering = (kept: number, { count, isOpen }: Omit<Known, 'videos'>): Pick<Findings, 'covers'> =>
  kept < count ? { covers: `${kept} of ${isOpen ? 'at least ' : ''}${count}` } : {};

/** Moments of a question's kind in the videos that it is asked of, best first; every place of that. */
export const searchIn = ({ sources, question, videoIds, signal }: Looking, query: string, limit: number) =>
  sources.search({ query, videoIds, modalities: question.modalities, limit }, signal);
export const everyPlaceIn = ({ sources, question, videoIds, signal }: Looking, query: string, openings?: boolean) =>
  sources.everyPlace({ query, videoIds, modalities: question.modalities, openings }, signal);

/** Only of videos that are still there. */
export async function findingsOf(
  { sources, question, scope, isPart }: Looking,
  moments: Moment[],
  found: boolean,
): Promise<Findings> {
  const ids = [...new Set(moments.map(({ videoId }) => videoId))];
  const videos = byId(ids.length > 0 ? await sources.videos(ids, ids.length) : []);
  const kept = moments.filter(({ videoId }) => videos.has(videoId));
  for (const video of scope ?? []) videos.set(video.id, video);
  return { question, moments: kept, found: found && kept.length > 0, videos, scope, isPart };
}
/** What is found of each of several topics, and which of them were not found. */
export async function findingsAbout(
  looking: Looking,
  topics: readonly string[],
  shown: { topic: string; moment: Moment }[],
): Promise<Findings> {
  const moments = shown.map(({ moment }) => moment);
  const all = await findingsOf(looking, moments, true);
  // By the moment: those of videos that are gone are left out.
  const marks = all.moments.map((kept) => ({ about: shown[moments.indexOf(kept)]?.topic }));
  return { ...all, marks, missing: topics.filter((one) => shown.every(({ topic }) => topic !== one)) };
}
export const nothingOf = (topics: readonly string[] = []): string[] =>
  topics.map((topic) => `I found nothing of ${quoted(topic)}.`);
/** Several sentences as a note, if there are any. */
export const noteOf = (sentences: string[]): Pick<Findings, 'note'> =>
  sentences.length > 0 ? { note: sentences.join(' ') } : {};
export const countOf = (places: Moment[] | PassageRow[]): NonNullable<Findings['count']> => ({
  places: places.length,
  videos: new Set(places.map(({ videoId }) => videoId)).size,
  totalMs: places.reduce((sum, { startMs, endMs }) => sum + endMs - startMs, 0),
});

/** Whether it may be answered from what is said (passages), or shown (frames). */
export const wants = ({ modalities }: Question, modality: Modality): boolean => modalities?.includes(modality) ?? true;
/** All that is said and shown in a video, as far as the question asks for it. */
export const saidAndShown = ({ sources, question }: Looking, videoId: string): Promise<[PassageRow[], Scene[]]> =>
  Promise.all([
    wants(question, 'passages') ? sources.passages(videoId) : [],
    wants(question, 'frames') ? sources.scenes(videoId) : [],
  ]);
/** What a question asks of what is there. */
export const saidOrShown = ({ modalities }: Question): string =>
  modalities ? (modalities.includes('passages') ? 'said' : 'shown') : 'said or shown';
export const byId = (videos: VideoFacts[]): Map<string, VideoFacts> =>
  new Map(videos.map((video) => [video.id, video]));

/** Of a needle: the best, and others that are nearly as sure. */
const MAX_NEEDLES = 3;
const NEARLY = 0.9;
/** The moments that answer a needle: where the best names the time, the amount or the person that is asked for, others do, too. */
export function needles({ moments, question }: Pick<Findings, 'moments' | 'question'>): Moment[] {
  const best = Math.max(...moments.map(({ confidence }) => confidence));
  const sure = moments.filter(({ confidence }) => confidence >= Math.max(SURE, NEARLY * best));
  const kinds = kindsAsked(question.topic);
  const isOfKind = (moment: Moment): boolean => kinds.every(({ kind }) => names(kind, saidIn(moment)));
  const isOnly = sure[0] !== undefined && isOfKind(sure[0]);
  return (isOnly ? sure.filter(isOfKind) : sure).slice(0, MAX_NEEDLES);
}
/** Where nothing is sure, the passage that comes nearest, which has half of what is asked for: no answer, but told as that. */
export function closest({ moments }: Pick<Findings, 'moments'>): Moment | undefined {
  return moments
    .filter(({ evidence: [best] }) => best?.kind === 'passage' && (best.highlights?.length ?? 0) > 0)
    .filter(({ confidence }) => confidence >= HALF_SAID)
    .sort((a, b) => b.confidence - a.confidence)[0];
}

/** Title and metadata, where they alone make a moment sure: what is said or shown at its time is not what was asked for. */
export function onlyNamed({ evidence, confidence }: Moment): string | undefined {
  const title = evidence.find(({ kind }) => kind === 'title');
  const isThere = evidence.some((one) => one.kind !== 'title' && (one.confidence ?? confidence) >= SURE);
  return isThere ? undefined : title?.text;
}

/** Videos stay in the order of their best moment. */
export function inTime(moments: Moment[]): Moment[] {
  return [...Map.groupBy(moments, ({ videoId }) => videoId).values()].flatMap((all) =>
    all.sort((a, b) => a.startMs - b.startMs),
  );
}

/** What is said in a moment, in time order. */
export const passagesIn = ({ evidence }: Moment): Evidence[] =>
  evidence.filter(({ kind }) => kind === 'passage').sort((a, b) => a.atMs - b.atMs);
export const saidIn = (moment: Moment): string =>
  passagesIn(moment)
    .map(({ text = '' }) => text)
    .join(' ');

// Moments that no search found: what is at a place, not what fits a query. Their confidence is that they are there.
export const passageEvidence = ({ startMs, endMs, text, language }: PassageRow) =>
  ({ kind: 'passage', atMs: startMs, endMs, text, language, score: 1 }) as const;
export function passageMoment(passage: PassageRow): Moment {
  const { videoId, startMs, endMs } = passage;
  return { videoId, startMs, endMs, score: 1, confidence: 1, evidence: [passageEvidence(passage)] };
}
export function sceneMoment(videoId: string, { startMs, endMs, frameAtMs }: Scene, confidence = 1): Moment {
  const evidence = [{ kind: 'frame', atMs: frameAtMs, endMs, score: confidence } as const];
  return { videoId, startMs, endMs, score: confidence, confidence, evidence };
}
