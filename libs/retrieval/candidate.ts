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
type Scored = Pick<Candidate, 'videoId' | 'startMs' | 'score'>;
/** Best first; ties in the order of video and time, so that the same hits always give the same results. */
export const byScore = (a: Scored, b: Scored): number =>
  b.score - a.score || (a.videoId < b.videoId ? -1 : a.videoId > b.videoId ? 1 : a.startMs - b.startMs);
export const groupByVideo = <T extends { videoId: string }>(items: T[]): Map<string, T[]> =>
  Map.groupBy(items, (item) => item.videoId);
/** `confidence` from which something counts as really there: what search is calibrated to. */
export const SURE = 0.5;
export const isSure = ({ confidence }: { confidence: number }): boolean => confidence >= SURE;

/** Evidence that a moment shows at most. */
export const MAX_EVIDENCE = 5;
/** A result that shares more than this part of the shorter span with a better one says nothing new. */
const MAX_OVERLAP = 0.3;
type Times = Pick<Candidate, 'startMs' | 'endMs'>;
export function overlaps(a: Times, b: Times): boolean {
  const common = Math.min(a.endMs, b.endMs) - Math.max(a.startMs, b.startMs);
  return common / Math.max(1, Math.min(a.endMs - a.startMs, b.endMs - b.startMs)) > MAX_OVERLAP;
}
/** Of two as long, the one that comes first. */
export const longestFirst = (a: Times, b: Times): number =>
  b.endMs - b.startMs - (a.endMs - a.startMs) || a.startMs - b.startMs;
export const logistic = (x: number): number => 1 / (1 + Math.exp(-x));
/** Made once for each key. */
export function remembering<Key, Value>(make: (key: Key) => Value): (key: Key) => Value {
  const known = new Map<Key, Value>();
  return (key) => {
    const value = known.get(key) ?? make(key);
    known.set(key, value);
    return value;
  };
}
