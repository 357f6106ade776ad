/** Queue names, job payloads, and the flow that indexes a video. Payloads carry references, never media. */
import type { VideoRef } from '#store';

export type ShardRef = VideoRef & { shard: number; startMs: number; endMs: number };
/** Payload of each queue's jobs. */
export interface JobPayloads {
  /** Fetch (ingest by url), probe, cut into shards, add the flow. */
  plan: VideoRef;
  frames: ShardRef;
  speech: ShardRef;
  finalize: VideoRef;
  deliver: { tenant: string; deliveryId: string };
  /** Remove everything of a deleted video. */
  cleanup: { tenant: string; videoId: string };
}
export type QueueName = keyof JobPayloads;
export const QUEUE_NAMES: readonly QueueName[] = ['plan', 'frames', 'speech', 'finalize', 'deliver', 'cleanup'];
/** All BullMQ keys begin with this; the braces keep them in one slot of a Redis Cluster. */
export const QUEUE_PREFIX = '{cuepoint}';

/** Cuts [0, durationMs) into shards of at most `shardMs`, on the grid of `gridMs` so that sharded sampling equals unsharded. */
export function cutShards(
  _durationMs: number,
  _shardMs: number,
  _gridMs: number,
): { shard: number; startMs: number; endMs: number }[] {
  throw new Error('unfinished');
}
export { Jobs } from './jobs.ts';
