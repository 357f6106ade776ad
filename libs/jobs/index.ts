/** Queue names, job payloads, and the flow that indexes a video. Payloads carry references, never media. */
export { Jobs } from './jobs.ts';
export { type JobPayloads, QUEUE_NAMES, QUEUE_PREFIX, type QueueName, type ShardRef } from './queues.ts';
export { backoffStrategy } from './retries.ts';
export { cutShards } from './shards.ts';
