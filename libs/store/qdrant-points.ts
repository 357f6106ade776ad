import type { Schemas } from '@qdrant/js-client-rest';
import { v5, validate } from 'uuid';
import type { FrameRow, IndexFilter, PassageRow, VectorModel } from './vector-index.ts';
import { modelName } from './vector-index-common.ts';

/** What rows and filters are in Qdrant. */

export const PASSAGES = 'cuepoint_passages';
export const FRAMES_PREFIX = 'cuepoint_frames_';
/** Names of the vectors: of a frame, of a passage with an embedding, and the sparse one of every passage. */
export const FRAME_VECTOR = 'image';
export const PASSAGE_VECTOR = 'text';
export const BM25 = 'bm25';
/** For point ids of rows whose id is no UUID; Qdrant takes nothing else. */
const ID_NAMESPACE = '6f0b1b4e-9a0c-4c6b-8a51-6a2f0c9d7e13';

export const framesCollection = (model: VectorModel): string => FRAMES_PREFIX + modelName(model);
export const embeddedPassagesCollection = (model: VectorModel): string => `${PASSAGES}_${modelName(model)}`;
export const isOurs = (name: string): boolean =>
  name === PASSAGES || name.startsWith(`${PASSAGES}_`) || name.startsWith(FRAMES_PREFIX);
export const pointId = (id: string): string => (validate(id) ? id : v5(id, ID_NAMESPACE));

/** `of`: frames have neither kind nor language. */
export function filterOf(filter: IndexFilter, of: 'frames' | 'passages') {
  const { tenant, videoIds, excludeVideoIds, timeRange, language, kinds } = filter;
  const must: Schemas['Condition'][] = [{ key: 'tenant', match: { value: tenant } }];
  if (videoIds) must.push({ key: 'videoId', match: { any: videoIds } });
  if (timeRange && Number.isFinite(timeRange.endMs)) must.push({ key: 'startMs', range: { lt: timeRange.endMs } });
  if (timeRange && Number.isFinite(timeRange.startMs)) must.push({ key: 'endMs', range: { gt: timeRange.startMs } });
  if (of === 'passages' && language !== undefined) must.push({ key: 'language', match: { value: language } });
  if (of === 'passages' && kinds) must.push({ key: 'kind', match: { any: kinds } });
  const must_not = excludeVideoIds?.length ? [{ key: 'videoId', match: { any: excludeVideoIds } }] : undefined;
  return { must, ...(must_not && { must_not }) };
}
export const spanPayload = (row: FrameRow | PassageRow) => ({
  rowId: row.id,
  tenant: row.tenant,
  videoId: row.videoId,
  startMs: row.startMs,
  endMs: row.endMs,
});
export const passagePayload = (row: PassageRow) => ({
  ...spanPayload(row),
  text: row.text.toWellFormed(),
  kind: row.kind ?? 'speech',
  ...(row.language && { language: row.language }),
});
type Payload = Record<string, unknown> | null | undefined;
export const span = (payload: Payload) => ({
  id: String(payload?.rowId),
  tenant: String(payload?.tenant),
  videoId: String(payload?.videoId),
  startMs: Number(payload?.startMs),
  endMs: Number(payload?.endMs),
});
export const passage = (payload: Payload): PassageRow => ({
  ...span(payload),
  text: String(payload?.text),
  kind: payload?.kind === 'caption' ? 'caption' : 'speech',
  ...(typeof payload?.language === 'string' ? { language: payload.language } : {}),
});
export function vectorOf(point: Pick<Schemas['Record'], 'vector'>, name: string): Float32Array {
  return Float32Array.from((point.vector as Record<string, number[]>)[name] ?? []);
}
export const frameOf = (point: Schemas['Record']): FrameRow => ({
  ...span(point.payload),
  vector: vectorOf(point, FRAME_VECTOR),
});
