import { createHash } from 'node:crypto';
import type { FrameRow, PassageRow } from '#store';

export const MODEL = { id: 'test/model', dimension: 8 };

/** A UUID made of words, as the ids of rows are. */
export function uuid(words: string): string {
  const hex = createHash('sha256').update(words).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
/** A unit vector at an angle to the first axis: its cosine with `direction(0)` is cos(angle). */
export function direction(angle: number): Float32Array {
  const vector = new Float32Array(MODEL.dimension);
  vector[0] = Math.cos(angle);
  vector[1] = Math.sin(angle);
  return vector;
}
export const frame = (tenant: string, videoId: string, second: number, angle = second / 1000): FrameRow => ({
  id: uuid(`frame ${tenant} ${videoId} ${second}`),
  tenant,
  videoId,
  startMs: second * 1000,
  endMs: second * 1000 + 1000,
  vector: direction(angle),
});
export const passage = (tenant: string, videoId: string, second: number, text: string): PassageRow => ({
  id: uuid(`passage ${tenant} ${videoId} ${second}`),
  tenant,
  videoId,
  startMs: second * 1000,
  endMs: second * 1000 + 1000,
  text,
  kind: 'speech',
});
