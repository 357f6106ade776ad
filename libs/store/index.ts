/** What Cuepoint keeps: the catalog (Redis), the vector index (LanceDB or Qdrant), and blobs (a folder or S3). Imports no other library of ours. */
export { type BlobInfo, type BlobStore, DiskBlobs, openBlobs } from './blobs.ts';
export { Catalog } from './catalog.ts';
export { StoreAway, StoreError, type StoreErrorCode } from './errors.ts';
export {
  captionId,
  captionsFolder,
  captionsKey,
  frameId,
  newId,
  passageId,
  sourceKey,
  thumbnailKey,
  thumbnailsFolder,
  videoFolder,
} from './ids.ts';
export { connectRedis, durabilityRisks } from './redis.ts';
export {
  type Delivery,
  type FramesModel,
  framesModelsOf,
  lacksFramesOf,
  type Reindex,
  SPEECH_TASKS,
  type SpeechTask,
  type Stage,
  type StageName,
  TERMINAL,
  type Tenant,
  TRANSCRIBE,
  type Transcribe,
  type Video,
  type VideoName,
  type VideoRef,
  type VideoStatus,
  type Webhook,
  type WebhookEvent,
  type WorkerStatus,
} from './types.ts';
export {
  type EmbeddedPassageRow,
  type FrameHit,
  type FrameRow,
  type IndexFilter,
  openVectorIndex,
  type PassageHit,
  type PassageKind,
  type PassageRow,
  type VectorIndex,
  type VectorModel,
} from './vector-index.ts';
export { MAX_LISTED } from './vector-index-common.ts';
export { cosine, dot } from './vectors.ts';
export { termOf, terms, wordsOf } from './words.ts';
