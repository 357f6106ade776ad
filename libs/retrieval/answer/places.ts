import type { Places } from '../every-place.ts';
import type { Moment } from '../index.ts';
import { readQuery } from '../query.ts';
import { marked } from '../search.ts';
import {
  countOf,
  covering,
  everyPlaceIn,
  type Findings,
  findingsAbout,
  findingsOf,
  inTime,
  knownVideos,
  type Looking,
  MAX_PLACES,
  MAX_VIDEOS,
  noteOf,
  nothingOf,
  passageMoment,
  sceneMoment,
  searchIn,
  type VideoFacts,
} from './plan.ts';

/** Moments of a topic that was not found surely. */
const NEAREST = 3;

type Ends = 'first' | 'last';
const pick = <T>(all: T[], end: Ends): T | undefined => (end === 'first' ? all[0] : all.at(-1));

/** Every place that is sure, in the order of time. */
export async function findPlaces(looking: Looking): Promise<Findings> {
  const { topic, modalities, unit, without } = looking.question;
  // A title tells which video is about something, not how often or where it is.
  const openings = unit === 'videos' && !modalities;
  const found = await everyPlaceIn(looking, topic, openings);
  const anyhow = { ...looking, question: { ...looking.question, modalities: undefined } };
  const unwanted = without ? await everyPlaceIn(anyhow, without) : undefined;
  const not = new Set(unwanted?.moments.map(({ videoId }) => videoId));
  const moments = found.moments.filter(({ videoId }) => !not.has(videoId));
  const isWhole = found.isWhole && unwanted?.isWhole !== false;
  if (moments.length === 0) return found.moments.length > 0 ? findingsOf(looking, [], false) : nearest(looking);
  const { moments: places, ...rest } = await findingsOf(looking, moments, true);
  const byVideo = Map.groupBy(inTime(places), ({ videoId }) => videoId);
  const all = [...byVideo.values()];
  // Of videos that are counted, each is shown before any is shown twice.
  const twice = unit === 'videos' ? all.flatMap((own) => own.splice(1)) : [];
  const given = [...all.flat(), ...twice];
  const query = readQuery(topic);
  return {
    ...rest,
    moments: given.slice(0, MAX_PLACES).map((moment) => marked(moment, query)),
    count: countOf(places),
    capped: !isWhole,
  };
}

/** The videos in which nothing is found of what they must not have, each as a whole; where all have it, its first place in each. */
export async function findLacking(looking: Looking, without: string): Promise<Findings> {
  const known = await knownVideos(looking);
  const { moments, isWhole } = await everyPlaceIn(looking, without, !looking.question.modalities);
  const having = new Set(moments.map(({ videoId }) => videoId));
  const ready = known.videos.filter(({ isReady }) => isReady !== false);
  const lacking = ready.filter(({ id }) => !having.has(id));
  const notes = [
    ...(isWhole ? [] : ['Not everything was looked at: some of these videos may have it all the same.']),
    ...(known.isOpen ? [`Only the ${known.videos.length} newest videos were looked at.`] : []),
  ];
  // Of what is not there a chat model can judge nothing: it is given no evidence.
  const found =
    lacking.length > 0
      ? lacking.slice(0, MAX_PLACES).flatMap((video) => wholeOf(video).map((whole) => ({ ...whole, evidence: [] })))
      : [...endsOf(moments, 'first').values()].slice(0, MAX_PLACES);
  return {
    ...(await findingsOf(looking, found, true)),
    count: { places: lacking.length, videos: lacking.length },
    ...covering(ready.length, known),
    ...noteOf(notes),
  };
}

/** The first or last place of each video; without a topic, of anything said (or shown). */
export async function findEnd(looking: Looking, end: Ends): Promise<Findings> {
  const { topic, nth = 1 } = looking.question;
  if (!topic) return endOfAnything(looking, end);
  const { moments, isWhole } = await everyPlaceIn(looking, topic);
  if (moments.length === 0) return nearest(looking);
  const ends = [...endsOf(moments, end, nth).values()];
  if (ends.length === 0) {
    const reason = `It is there only ${nth === 2 ? 'once' : `${moments.length} times`}.`;
    return {
      ...(await findingsOf(looking, [], false)),
      ...(new Set(moments.map((one) => one.videoId)).size === 1 && { reason }),
    };
  }
  const query = readQuery(topic);
  const shown = ends.slice(0, MAX_VIDEOS).map((moment) => marked(moment, query));
  return {
    ...(await findingsOf(looking, shown, true)),
    ...covering(shown.length, { count: ends.length, isOpen: false }),
    ...(!isWhole && { note: unsureEnd(end) }),
  };
}

async function endOfAnything(looking: Looking, end: Ends): Promise<Findings> {
  const { sources, question } = looking;
  const shown = question.modalities?.[0] === 'frames';
  const known = await knownVideos(looking);
  const moments: Moment[] = [];
  const some = known.videos.slice(0, MAX_VIDEOS);
  for (const { id } of some) {
    const passage = shown ? undefined : pick(await sources.passages(id), end);
    const scene = shown ? pick(await sources.scenes(id), end) : undefined;
    if (passage) moments.push(passageMoment(passage));
    if (scene) moments.push(sceneMoment(id, scene));
  }
  return { ...(await findingsOf(looking, moments, true)), ...covering(some.length, known) };
}

const unsureEnd = (end: Ends): string =>
  `Not everything was looked at: there may be ${end === 'first' ? 'an earlier' : 'a later'} one.`;

/** Of each video the place that comes first, `nth` or last in it, the videos in the order of their best. */
function endsOf(places: Moment[], end: Ends, nth = 1): Map<string, Moment> {
  const byVideo = Map.groupBy(inTime(places), ({ videoId }) => videoId);
  return new Map(
    [...byVideo].flatMap(([id, all]) => {
      const moment = pick(end === 'first' ? all.slice(nth - 1) : all, end);
      return moment ? [[id, moment] as const] : [];
    }),
  );
}

async function nearest(looking: Looking): Promise<Findings> {
  const moments = await searchIn(looking, looking.question.topic, NEAREST);
  return { ...(await findingsOf(looking, moments, false)), count: { places: 0, videos: 0 } };
}

/**
 * Which of two things comes first: the first place of each (or the last, where it is asked which comes last), of all videos that have both, else of those
 * that have one. Undefined where neither is found.
 */
export async function findOrder(looking: Looking): Promise<Findings | undefined> {
  const { topics = [], direction } = looking.question;
  const end = direction === 'last' ? 'last' : 'first';
  const places = await Promise.all(topics.map((topic) => placesOf(looking, topic)));
  if (places.every(({ moments }) => moments.length === 0)) return undefined;
  const ends = places.map(({ moments }) => endsOf(moments, end));
  const found = [...new Set(ends.flatMap((one) => [...one.keys()]))];
  const withAll = found.filter((id) => ends.every((one) => one.has(id)));
  const videos = withAll.length > 0 ? withAll : found;
  const shown = videos.slice(0, MAX_VIDEOS).flatMap((id) =>
    topics.flatMap((topic, i) => {
      const moment = ends[i]?.get(id);
      return moment ? [{ topic, moment: marked(moment, readQuery(topic)) }] : [];
    }),
  );
  const all = await findingsAbout(looking, topics, shown);
  const notes = [
    ...nothingOf(all.missing),
    ...(all.missing?.length === 0 && withAll.length === 0 ? ['I found no video that has both.'] : []),
    ...(places.some(({ isWhole }) => !isWhole) ? [unsureEnd(end)] : []),
  ];
  return {
    ...all,
    ...covering(Math.min(videos.length, MAX_VIDEOS), { count: videos.length, isOpen: false }),
    ...noteOf(notes),
  };
}

/** As the question says, said or shown; what is not found so may still be there in the other way. */
async function placesOf(looking: Looking, query: string): Promise<Places> {
  const { question } = looking;
  const places = await everyPlaceIn(looking, query);
  if (places.moments.length > 0 || !question.modalities) return places;
  return everyPlaceIn({ ...looking, question: { ...question, modalities: undefined } }, query);
}

/** How long the videos are: each is a moment of its whole length. */
export async function findLengths(looking: Looking): Promise<Findings> {
  const known = await knownVideos(looking);
  const moments = known.videos.slice(0, MAX_VIDEOS).flatMap(wholeOf);
  return { ...(await findingsOf(looking, moments, true)), ...covering(Math.min(MAX_VIDEOS, known.count), known) };
}

/** None of a video whose length is not known yet. */
function wholeOf({ id, title, durationMs: endMs }: VideoFacts): Moment[] {
  if (endMs === undefined) return [];
  const evidence = [{ kind: 'title', atMs: 0, endMs, text: title, score: 1 } as const];
  return [{ videoId: id, startMs: 0, endMs, score: 1, confidence: 1, evidence }];
}
