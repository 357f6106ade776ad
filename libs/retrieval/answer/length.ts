import type { Moment } from '../index.ts';
import { covering, type Findings, findingsOf, knownVideos, type Looking, MAX_VIDEOS, type VideoFacts } from './plan.ts';

/** How long the videos are: each is a moment of its whole length. */
export async function findLengths(looking: Looking): Promise<Findings> {
  const known = await knownVideos(looking);
  const moments = known.videos.slice(0, MAX_VIDEOS).flatMap(wholeOf);
  return { ...(await findingsOf(looking, moments, true)), ...covering(Math.min(MAX_VIDEOS, known.count), known) };
}

/** None of a video whose length is not known yet. */
export function wholeOf({ id, title, durationMs }: VideoFacts): Moment[] {
  if (durationMs === undefined) return [];
  const span = { startMs: 0, endMs: durationMs };
  return [
    {
      ...{ videoId: id, ...span, score: 1, confidence: 1 },
      evidence: [{ kind: 'title', atMs: 0, endMs: durationMs, text: title, score: 1 }],
    },
  ];
}
