import type { VideoRef } from '#store';

/** The time range that one job works on, by its number in the video. */
export interface Shard {
  shard: number;
  startMs: number;
  endMs: number;
}
export type ShardRef = VideoRef & Shard;
/** Payload of each queue's jobs. */
export interface JobPayloads {
  /** Fetch (ingest by url), probe, cut into shards, add the flow. */
  plan: VideoRef;
  frames: ShardRef;
  speech: ShardRef;
  /** Put the captions the video has now in the place of those in the index. Without `run`: at any time, a person has given or removed them. */
  captions: { tenant: string; videoId: string; run?: number };
  /** Counts, status, event. `failure`: there is nothing to count, the plan has failed for good. */
  finalize: VideoRef & { failure?: { code: string; message: string } };
  /** `redelivery` > 0: a person asked for it once more. */
  deliver: { tenant: string; deliveryId: string; redelivery?: number };
  /** Remove everything of a deleted video, or the partial index of a cancelled one. */
  cleanup: { tenant: string; videoId: string };
}
export type QueueName = keyof JobPayloads;
export const QUEUE_NAMES: readonly QueueName[] = [
  'plan',
  'frames',
  'speech',
  'captions',
  'finalize',
  'deliver',
  'cleanup',
];
/** All BullMQ keys begin with this; the braces keep them in one slot of a Redis Cluster. */
export const QUEUE_PREFIX = '{cuepoint}';

/** A job's id says what it is of, so that adding it twice is adding it once. (BullMQ takes no ':' in ids.) */
export const jobIds = {
  plan: (ref: VideoRef) => `plan-${ref.videoId}-${ref.run}`,
  frames: (ref: VideoRef & { shard: number }) => `frames-${ref.videoId}-${ref.run}-${ref.shard}`,
  speech: (ref: VideoRef & { shard: number }) => `speech-${ref.videoId}-${ref.run}-${ref.shard}`,
  captions: (of: VideoRef | { videoId: string; change: string }) =>
    `captions-${of.videoId}-${'run' in of ? of.run : of.change}`,
  finalize: (ref: VideoRef) => `finalize-${ref.videoId}-${ref.run}`,
  deliver: (of: JobPayloads['deliver']) => `deliver-${of.deliveryId}-${of.redelivery ?? 0}`,
  cleanup: (of: JobPayloads['cleanup']) => `cleanup-${of.videoId}`,
} as const;
