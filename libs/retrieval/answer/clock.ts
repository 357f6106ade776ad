import {
  type Findings,
  findingsOf,
  knownVideos,
  type Looking,
  passageMoment,
  saidAndShown,
  saidOrShown,
  sceneMoment,
} from './plan.ts';
import type { Direction } from './question.ts';
import { clock, placeOf } from './text.ts';
import { INSTANT_MS } from './times.ts';

/** What is said so near a time is quoted where nobody speaks at it. */
const NEAR_MS = 5_000;
/** Of short passages: those that lie in the same second. */
const MAX_SAID = 3;

/**
 * What is said and shown at a time: of the only video in question, or of the one that was spoken of. Undefined where more is asked than what is there, and
 * no one video has such a time.
 */
export async function findAt(looking: Looking, spokenOf: string | undefined): Promise<Findings | undefined> {
  const { sources, question, videoIds, isPart } = looking;
  const { atMs = 0, direction } = question;
  const known = await knownVideos(looking);
  const isSpokenOf = spokenOf !== undefined && (videoIds?.includes(spokenOf) ?? true);
  const [only] = known.videos.length === 1 ? known.videos : isSpokenOf ? await sources.videos([spokenOf], 1) : [];
  const { durationMs = Number.POSITIVE_INFINITY } = only ?? {};
  if (question.topic && (!only || atMs >= durationMs)) return undefined;
  const scope = only ? [only] : known.videos.length === 0 ? [] : looking.scope;
  const nothing = await findingsOf({ ...looking, scope }, [], false);
  if (!only) {
    if (known.videos.length === 0) return nothing;
    const many = `${known.isOpen ? 'at least ' : ''}${known.count}`;
    return {
      ...nothing,
      reason: `A time alone does not say of which video: there are ${many}. Name the one you mean.`,
    };
  }
  if (atMs >= durationMs) return { ...nothing, reason: `${placeOf(only)} ends at ${clock(durationMs)}.` };
  const [passages, scenes] = await saidAndShown(looking, only.id);
  const said = spansAt(passages, atMs, direction).slice(0, MAX_SAID).map(passageMoment);
  const seen = spansAt(scenes, atMs, direction)
    .slice(0, 1)
    .map((scene) => sceneMoment(only.id, scene));
  if (said.length + seen.length > 0) return findingsOf({ ...looking, scope }, [...said, ...seen], true);
  return {
    ...nothing,
    reason: `Nothing is ${saidOrShown(question)} at ${clock(atMs)} in ${placeOf(only, isPart)}.`,
  };
}

/** Those at the time; else the nearest, on the side that was asked for. */
function spansAt<T extends { startMs: number; endMs: number }>(
  all: T[],
  atMs: number,
  direction: Direction | undefined,
): T[] {
  if (direction === 'before') return all.filter(({ startMs }) => startMs < atMs).slice(-1);
  const then = all.filter(({ startMs, endMs }) => startMs < atMs + INSTANT_MS && endMs > atMs);
  if (then.length > 0) return then;
  const awayMs = ({ startMs, endMs }: T): number => Math.max(startMs - atMs, atMs - endMs);
  const near =
    direction === 'after' ? all.filter(({ startMs }) => startMs >= atMs) : all.filter((one) => awayMs(one) <= NEAR_MS);
  return near.sort((a, b) => awayMs(a) - awayMs(b)).slice(0, 1);
}
