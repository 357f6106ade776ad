import type { Shard } from './queues.ts';

/**
 * Cuts [0, durationMs) into shards of at most `shardMs`, on the grid of `gridMs` so that sharded sampling equals unsharded.
 * A shard is never shorter than one grid step, save the last.
 */
export function cutShards(durationMs: number, shardMs: number, gridMs: number): Shard[] {
  const stepMs = Math.max(1, Math.floor(shardMs / gridMs)) * gridMs;
  const count = Math.max(1, Math.ceil(durationMs / stepMs));
  return Array.from({ length: count }, (_, shard) => ({
    shard,
    startMs: shard * stepMs,
    endMs: Math.min((shard + 1) * stepMs, durationMs),
  }));
}
