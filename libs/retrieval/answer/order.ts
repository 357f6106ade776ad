import type { Places } from '../every-place.ts';
import { readQuery } from '../query.ts';
import { marked } from '../search.ts';
import { endsOf, unsureEnd } from './places.ts';
import {
  covering,
  everyPlaceIn,
  type Findings,
  findingsAbout,
  type Looking,
  MAX_VIDEOS,
  noteOf,
  nothingOf,
} from './plan.ts';

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
