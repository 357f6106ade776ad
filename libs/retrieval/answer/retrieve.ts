import { terms } from '#store';
import { isSure } from '../candidate.ts';
import type { Moment } from '../index.ts';
import type { AskOptions } from './answer.ts';
import { withAnswer } from './beside.ts';
import { findAt } from './clock.ts';
import type { Resolved } from './follow-up.ts';
import { findParts } from './parts.ts';
import { findEnd, findLacking, findLengths, findOrder, findPlaces } from './places.ts';
import {
  type AnswerSources,
  byId,
  closest,
  covering,
  everyPlaceIn,
  type Findings,
  findingsAbout,
  findingsOf,
  type Known,
  knownVideos,
  type Looking,
  MAX_NAMED,
  MAX_VIDEOS,
  needles,
  noteOf,
  nothingOf,
  passageMoment,
  saidAndShown,
  sceneMoment,
  searchIn,
} from './plan.ts';
import { type Question, readTimed, titlesAtEnd } from './question.ts';
import { readAs, respelled, unheardOf } from './spelling.ts';
import { findInStretch } from './stretch.ts';
import { summarise } from './summary.ts';
import { quoted } from './text.ts';
import { findVerbatim, wordlessNames } from './verbatim.ts';
import { mayBeSaid, mayBeTitle, onlySaidOrShown } from './wording.ts';

const MAX_COMPARED = 3;
const TWO_TOPICS = /^(.+?) (?:and|with|to|versus|vs) (?:the )?(.+)$/;
/** Letters of a word that is taken for another where that finds no more than what comes nearest. */
const MIN_LETTERS_NEAR = 7;
/** What begins so little before the end of a place comes after it. */
const SLACK_MS = 500;

/** A question with what it is answered from. */
interface Asked extends Pick<AskOptions, 'videoIds' | 'limit' | 'isPart'> {
  sources: AnswerSources;
  resolved: Resolved;
  signal?: AbortSignal;
}

/** Finds what answers a question, or, where that is nothing, the questions that it is made of. */
export async function retrieve(asked: Asked): Promise<Findings> {
  const found = await findOne(asked);
  if (found.found) return found;
  const { videoIds, exceptVideoId, text } = asked.resolved;
  const parts = await findParts(text, (part) => findOne({ ...asked, resolved: { videoIds, exceptVideoId, ...part } }));
  return parts ?? findRespelled(asked, found);
}

/** The same with the words that nobody says as they may have been meant; else what was found, which says that nobody says them. */
async function findRespelled(asked: Asked, found: Findings): Promise<Findings> {
  const { resolved } = asked;
  const { kind, modalities, topic } = found.question;
  const isOfWords = ['needle', 'list', 'count', 'order'].includes(kind) && modalities?.[0] !== 'frames';
  if (!isOfWords || found.scope?.length === 0 || found.reason) return found;
  const { unheard, isAll } = await unheardOf(asked, topic);
  const near = await respelled(asked, unheard);
  if (near.size > 0) {
    const meant = (text: string): string =>
      [...near].reduce(
        (all, [word, other]) => all.replace(new RegExp(`(?<!\\p{L})${word}(?!\\p{L})`, 'giu'), other),
        text,
      );
    const question = { ...resolved.question, topic: meant(resolved.question.topic) };
    const again = await findOne({ ...asked, resolved: { ...resolved, question, text: meant(resolved.text) } });
    // A short word is near to too many.
    const isLong = [...near.keys()].every((word) => word.length >= MIN_LETTERS_NEAR);
    if (again.found || (isLong && closest(again))) return readAs(again, near, quoted);
  }
  return isAll ? found : { ...found, unheard };
}

/** In the videos that a question names, in the part of them that it names, one way for each kind. */
async function findOne(asked: Asked): Promise<Findings> {
  const { sources, resolved, limit, isPart, signal } = asked;
  const { text } = resolved;
  let { question, videoIds } = await whichVideos(asked);
  const { stretch } = question;
  // What was spoken of may be in none of the videos that are in question now.
  const anchor = (videoIds?.includes(resolved.anchor?.videoId ?? '') ?? true) ? resolved.anchor : undefined;
  // Of the video that was spoken of, where there are several.
  const isOfAnchor = stretch !== undefined || question.kind === 'summary';
  if (isOfAnchor && anchor && !question.names) videoIds = [anchor.videoId];
  const isFew = videoIds !== undefined && videoIds.length <= MAX_NAMED;
  const scope = isFew ? await sources.videos(videoIds, MAX_NAMED) : undefined;
  const looking: Looking = { sources, question, videoIds, scope, isPart, signal };
  const wordless = stretch ? [] : wordlessNames(text);
  const verbatim = wordless.length > 0 ? await findVerbatim(looking, text, wordless) : undefined;
  if (verbatim) return verbatim;
  if (!stretch) return findIn(looking, { text, anchor, limit });
  const findings = await findInStretch(looking, stretch, (part) => findIn(part, { text, limit }));
  return findings ?? findNeedle({ ...looking, question: { kind: 'needle', topic: text } }, text, limit);
}

/** The videos that a question is asked of, and the question as it is where it names them, or names none. */
async function whichVideos({ sources, resolved, ...asked }: Asked): Promise<Pick<Looking, 'question' | 'videoIds'>> {
  const { text, question, otherwise, anchor } = resolved;
  const videoIds = await inQuestion(sources, resolved, asked.videoIds);
  asked.signal?.throwIfAborted();
  for (const read of [question, otherwise]) {
    const named = read?.names && (await namedVideos(sources, read.names, videoIds));
    if (read && named) return { question: read, videoIds: named };
  }
  const ending = anchor ? undefined : await namedAtEnd(sources, text, videoIds);
  if (ending) return ending;
  const last = otherwise ?? question;
  return { question: last.names ? readTimed(text) : last, videoIds };
}

/** Of the videos in question those that a follow-up is asked of. */
async function inQuestion(
  sources: AnswerSources,
  { videoIds: only, exceptVideoId }: Resolved,
  videoIds: string[] | undefined,
): Promise<string[] | undefined> {
  if (!only && !exceptVideoId) return videoIds;
  const all = only ?? videoIds ?? (await sources.videos(undefined, MAX_NAMED)).map(({ id }) => id);
  return all.filter((id) => id !== exceptVideoId && (videoIds?.includes(id) ?? true));
}

/** All that each of the names finds; undefined where one of them finds nothing. */
async function namedVideos(
  sources: AnswerSources,
  names: string[],
  videoIds: string[] | undefined,
  isWhole = false,
): Promise<string[] | undefined> {
  const found = await Promise.all(names.map((name) => sources.titled(name, videoIds, isWhole)));
  if (found.every((some) => some.length > 0)) return [...new Set(found.flat())];
  // "Summarise X and Y": one name that is two.
  const parts = names.length === 1 && !isWhole ? (names[0] as string).split(/,? and |, /) : [];
  return parts.length > 1 ? namedVideos(sources, parts, videoIds, true) : undefined;
}

/** "When is the rainbow shown in Morning drive?": nothing marks the end as a title but that a video is called just so. */
async function namedAtEnd(
  sources: AnswerSources,
  text: string,
  videoIds: string[] | undefined,
): Promise<{ question: Question; videoIds: string[] } | undefined> {
  for (const { name, question } of titlesAtEnd(text)) {
    // "In the garden" is a place, though a video may be called so.
    if (terms(name).length < 2 && !/\d/.test(name)) continue;
    const found = await namedVideos(sources, [name], videoIds, true);
    if (found) return { question, videoIds: found };
  }
  return undefined;
}

async function findIn(
  looking: Looking,
  { text, anchor, limit }: { text: string; anchor?: Resolved['anchor']; limit: number },
): Promise<Findings> {
  const { question } = looking;
  const { kind, direction, topic } = question;
  const asNeedle: Looking = { ...looking, question: { kind: 'needle', topic: text } };
  if (kind === 'length') return findLengths(looking);
  if (kind === 'clock') return (await findAt(looking, anchor?.videoId)) ?? findNeedle(asNeedle, text, limit);
  if (kind === 'sequence') return (await findOrder(looking)) ?? findNeedle(asNeedle, text, limit);
  if (kind === 'order' && (direction === 'first' || direction === 'last')) return findEnd(looking, direction);
  if (kind === 'order' && (anchor || topic)) {
    const found = await findNeighbour(looking, anchor);
    // "What do they say when they are asked?" may be more than what is said at the time of something.
    return found.found || direction !== 'during' ? found : findNeedle(asNeedle, text, limit);
  }
  if ((kind === 'list' || kind === 'count') && topic) return findPlaces(looking);
  if (question.without) return findLacking(looking, question.without);
  if (kind === 'summary') return summarise(looking, await knownVideos(looking));
  if (kind === 'comparison') {
    const known = await knownVideos(looking);
    const called = topic ? await calledSo(looking, topic) : undefined;
    if (called) return summarise(called, await knownVideos(called));
    if (!topic) return summarise(looking, known);
    if (known.videos.length > 1) return compare(looking, known);
    const both = await compareTopics(looking);
    if (both) return both;
  }
  return findNeedle(looking, topic || text, limit);
}

async function findNeedle(looking: Looking, query: string, limit: number): Promise<Findings> {
  const { sources, videoIds, signal } = looking;
  if (!query) return findingsOf(looking, [], false);
  // What a video is called says nothing of when, nor of what is said or shown in it.
  const asked = { query, videoIds, openings: mayBeTitle(query), limit };
  const only = onlySaidOrShown(query);
  const own = only ? await sources.search({ ...asked, modalities: [only] }, signal) : [];
  if (own.some(isSure)) return answered(looking, query, await findingsOf(looking, own, true));
  // What is mentioned nowhere may be shown all the same.
  const shown = only === 'passages' ? await sources.search({ ...asked, modalities: ['frames'] }, signal) : [];
  const moments = shown.some(isSure) ? shown : await sources.search(asked, signal);
  const found = await findingsOf(looking, moments, moments.some(isSure));
  // "What does the guide recommend?" may be answered by a picture, but seldom is.
  const isSeenOnly = mayBeSaid(query) && found.moments.filter(isSure).every(isOfPictures);
  const note = `I found nothing of it that is ${only === 'frames' ? 'shown' : 'said'}.`;
  return answered(looking, query, found.found && (only || isSeenOnly) ? { ...found, note } : found);
}
/** What is told of them with what answers the question beside it. */
async function answered({ sources }: Looking, query: string, findings: Findings): Promise<Findings> {
  const told = new Set(findings.found ? needles(findings) : [closest(findings)]);
  const moments = await Promise.all(
    findings.moments.map((one) => (told.has(one) ? withAnswer(sources, query, one) : one)),
  );
  return { ...findings, moments, found: findings.found || moments.some(isSure) };
}
const isOfPictures = ({ evidence }: Moment): boolean => evidence.every(({ kind }) => kind === 'frame');

/** The place, and what is said and shown next to it. */
async function findNeighbour(looking: Looking, anchor: Resolved['anchor']): Promise<Findings> {
  const { sources, question, videoIds, signal } = looking;
  const { topic, direction, modalities } = question;
  const place: Moment | undefined = anchor
    ? { ...anchor, score: 1, confidence: 1, evidence: [] }
    : (await sources.search({ query: topic, videoIds, limit: 5 }, signal)).find(isSure);
  if (!place) return findingsOf(looking, [], false);
  const [passages, scenes] = await saidAndShown(looking, place.videoId);
  const beside = <T extends { startMs: number; endMs: number }>(all: T[]): T[] => {
    if (direction === 'during') {
      const isOther = ({ startMs }: T) => place.evidence[0]?.kind !== 'passage' || startMs !== place.startMs;
      return all.filter((one) => one.startMs < place.endMs && one.endMs > place.startMs && isOther(one));
    }
    const one =
      direction === 'after'
        ? all.find(({ startMs }) => startMs >= place.endMs - SLACK_MS)
        : all.findLast(({ endMs }) => endMs <= place.startMs + SLACK_MS);
    return one ? [one] : [];
  };
  const said = beside(passages).map(passageMoment);
  const seen = direction === 'during' && !modalities ? [] : beside(scenes);
  const moments = [...(anchor ? [] : [place]), ...said, ...seen.map((one) => sceneMoment(place.videoId, one))];
  const all = await findingsOf(looking, moments, true);
  const role = (moment: Moment) => (moment === place ? 'place' : said.includes(moment) ? 'said' : 'seen');
  return { ...all, marks: all.moments.map((moment) => ({ role: role(moment) })) };
}

/** "Compare the two stand-ups": several videos are called so. */
async function calledSo(looking: Looking, topic: string): Promise<Looking | undefined> {
  const name = topic.replace(/^(?:the |both |all |these |two |three )+/, '');
  const videoIds = await looking.sources.titled(name, looking.videoIds);
  if (videoIds.length < 2) return undefined;
  return { ...looking, videoIds, scope: await looking.sources.videos(videoIds, MAX_NAMED) };
}

/** Of one video, the best places of each of two things; undefined where the topic is one, or neither is found. */
async function compareTopics(looking: Looking): Promise<Findings | undefined> {
  const topics = TWO_TOPICS.exec(looking.question.topic)?.slice(1);
  if (!topics) return undefined;
  const each = await Promise.all(topics.map((topic) => searchIn(looking, topic, MAX_COMPARED)));
  const shown = each.flatMap((found, i) =>
    found.filter(isSure).map((moment) => ({ moment, topic: topics[i] as string })),
  );
  if (shown.length === 0) return undefined;
  const found = await findingsAbout(looking, topics, shown);
  return { ...found, ...noteOf(nothingOf(found.missing)) };
}

/** The same question put to each video: where they are many, to those that have the best places of it. */
async function compare(looking: Looking, known: Known): Promise<Findings> {
  const { sources, question } = looking;
  const { topic } = question;
  let { videos } = known;
  let left: Pick<Findings, 'covers' | 'note'> = {};
  if (known.count > MAX_VIDEOS) {
    const { moments, isWhole } = await everyPlaceIn(looking, topic);
    const having = [...new Set(moments.map(({ videoId }) => videoId))];
    const best = [...new Set([...having, ...videos.map(({ id }) => id)])].slice(0, MAX_VIDEOS);
    videos = await sources.videos(best, MAX_VIDEOS);
    const others = known.count - videos.length;
    left =
      isWhole && having.length <= MAX_VIDEOS
        ? { note: `Nothing of it was found in the other ${others} of ${known.count} videos.` }
        : covering(videos.length, known);
  }
  const each = await Promise.all(videos.map(({ id }) => searchIn({ ...looking, videoIds: [id] }, topic, MAX_COMPARED)));
  const moments = each.flatMap((found) => found.filter(isSure));
  return { question, moments, found: moments.length > 0, videos: byId(videos), scope: videos, ...left };
}
