import type { VideoRef } from '#store';
import type { QueueName } from './index.ts';

/** Adds and removes jobs. Adding a job twice is adding it once: ids are made from video, run, stage and shard. */
export class Jobs {
  /** `redisUrl` as in connectRedis. */
  constructor(readonly redisUrl: string) {}
  async addPlan(_ref: VideoRef): Promise<void> {
    throw new Error('unfinished');
  }
  /** finalize as parent, one child a shard and stage; a failed child does not stop its parent. */
  async addIndexFlow(
    _ref: VideoRef,
    _shards: {
      frames: { shard: number; startMs: number; endMs: number }[];
      speech: { shard: number; startMs: number; endMs: number }[];
    },
  ): Promise<void> {
    throw new Error('unfinished');
  }
  /** `attempt` > 0: a redelivery that a person asked for. */
  async addDelivery(_delivery: { tenant: string; deliveryId: string }, _redelivery?: number): Promise<void> {
    throw new Error('unfinished');
  }
  async addCleanup(_video: { tenant: string; videoId: string }): Promise<void> {
    throw new Error('unfinished');
  }
  /** Removes the jobs of a video that nobody works on yet (cancel, delete). Running ones stop by themselves. */
  async removeWaiting(_ref: VideoRef): Promise<void> {
    throw new Error('unfinished');
  }
  /** Jobs of each queue by state, for /health/ready and /metrics. */
  async counts(): Promise<Record<QueueName, { waiting: number; active: number; delayed: number; failed: number }>> {
    throw new Error('unfinished');
  }
  async close(): Promise<void> {
    throw new Error('unfinished');
  }
}
