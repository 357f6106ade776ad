/** What Cuepoint keeps: the catalog (Redis), the vector index (LanceDB or Qdrant), and blobs (a folder or S3). Imports no other library of ours. */
export { firstWhere } from './bisect.ts';
export { type BlobInfo, type BlobStore, openBlobs } from './blobs.ts';
export { DiskBlobs } from './blobs-disk.ts';
export { S3Blobs } from './blobs-s3.ts';
export { Catalog } from './catalog.ts';
export { isFull, StoreAway, StoreError } from './errors.ts';
export * from './ids.ts';
export { checkMounted } from './mounted.ts';
export { NUMBER_WORDS, ORDINALS } from './other-words.ts';
export { awayIfRefused, checkWritable, connectRedis, durabilityRisks, isForbidden } from './redis.ts';
export { useScratchFolder } from './scratch.ts';
export * from './types.ts';
export * from './vector-index.ts';
export { MAX_LISTED } from './vector-index-common.ts';
export { cosine, dot } from './vectors.ts';
export { initialsIn, isFunctionWord, otherTerms, type SpokenWord, spoken, termOf, terms, wordsOf } from './words.ts';
