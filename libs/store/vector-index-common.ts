import { createHash } from 'node:crypto';
import type { IndexFilter, VectorModel } from './vector-index.ts';

const MAX_LIMIT = 10_000;
/** Longer lists of videos are at first not given to an index: reading 10,000 of them takes it longer than to search all of a tenant's. */
export const MAX_LISTED = 500;
/** No more than a person types. */
export const MAX_QUERY_CHARS = 10_000;
/** How far from an instant a frame is looked for first: a frame seldom stands for longer. */
const NEAR_MS = 60_000;

/** A whole number of rows, 0 where there is nothing to find. */
export function clampLimit(limit: number): number {
  return limit >= 1 ? Math.floor(Math.min(limit, MAX_LIMIT)) : 0;
}
/** True where no row can match, so that nobody needs to be asked. */
export function matchesNothing({ videoIds, kinds, timeRange }: IndexFilter): boolean {
  return videoIds?.length === 0 || kinds?.length === 0 || (timeRange ? !(timeRange.startMs < timeRange.endMs) : false);
}
/** A vector that has no direction would be compared to nothing, and one that is no vector of the model to something else. */
export function checkVector(vector: Float32Array, model: VectorModel): void {
  if (vector.length !== model.dimension)
    throw new RangeError(`A vector of ${vector.length} numbers where ${model.id} has ${model.dimension}`);
  let square = 0;
  for (const value of vector) square += value * value;
  if (!Number.isFinite(square) || square === 0) throw new RangeError(`A vector of ${model.id} that has no direction`);
}
export const byId = (a: { id: string }, b: { id: string }): number => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
export const inOrder = <Hit extends { id: string; score: number }>(hits: Hit[]): Hit[] =>
  hits.sort((a, b) => b.score - a.score || byId(a, b));
export const inTime = <Row extends { id: string; startMs: number }>(rows: Row[]): Row[] =>
  rows.sort((a, b) => a.startMs - b.startMs || byId(a, b));
/** Of rows that touch or surround an instant, the one that is shown then: the last to start by then, else the first to start after. */
export function shownAt<Row extends { id: string; startMs: number; endMs: number }>(
  rows: Row[],
  atMs: number,
): Row | undefined {
  const distance = ({ startMs, endMs }: Row) => (atMs < startMs ? startMs - atMs : Math.max(0, atMs - endMs));
  return rows.toSorted((a, b) => distance(a) - distance(b) || b.startMs - a.startMs || byId(a, b))[0];
}
/** Parts of a video in which the frame that is shown at an instant is looked for, one after the other. */
export const aroundInstant = (atMs: number): IndexFilter['timeRange'][] => [
  { startMs: atMs - NEAR_MS, endMs: atMs + NEAR_MS },
  undefined,
];
/** Of a model's table or collection: a person can read it, and the hash keeps apart ids that look alike once cleaned. */
export function modelName(model: VectorModel): string {
  const readable = model.id.replace(/[^A-Za-z0-9]+/g, '-').slice(0, 60);
  const hash = createHash('sha256').update(model.id).digest('hex').slice(0, 8);
  return `${readable}_${model.dimension}_${hash}`;
}
