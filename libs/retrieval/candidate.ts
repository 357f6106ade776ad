import type { Evidence } from './search.ts';

/** A stretch of one video that one modality finds. */
export interface Candidate {
  videoId: string;
  startMs: number;
  endMs: number;
  /** Calibrated, 0..1: how likely it shows or says what was asked for. */
  confidence: number;
  /** Within its modality; larger is better. */
  score: number;
  /** Best first, all of it: which of it counts depends on the span that fusion chooses. */
  evidence: Evidence[];
}
/** Words of the query that title or metadata of a video have, by the video's id, and whether they are most of a title of several words. */
export type Names = Map<string, { words: string[]; isCalled: boolean }>;
/** Best first; ties in the order of video and time, so that the same hits always give the same results. */
export function byScore(
  a: { videoId: string; startMs: number; score: number },
  b: { videoId: string; startMs: number; score: number },
): number {
  return b.score - a.score || (a.videoId < b.videoId ? -1 : a.videoId > b.videoId ? 1 : a.startMs - b.startMs);
}
export function groupByVideo<T extends { videoId: string }>(items: T[]): Map<string, T[]> {
  return Map.groupBy(items, (item) => item.videoId);
}
export const logistic = (x: number): number => 1 / (1 + Math.exp(-x));
