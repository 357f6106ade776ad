import type { Redis } from 'ioredis';
import type { Delivery, Stage, StageName, Tenant, Video, VideoRef, VideoStatus, Webhook } from './types.ts';

export type IdempotencyClaim =
  | { state: 'new' }
  | { state: 'in_progress' }
  | { state: 'mismatch' }
  | { state: 'done'; videoId: string };
export interface Progress {
  stage: 'frames' | 'speech';
  shard: number;
  /** Milliseconds of this shard that are done. */
  doneMs: number;
}
/** What a worker says of itself every few seconds; gone 15 s after it died. */
export interface WorkerStatus {
  id: string;
  ready: boolean;
  profile?: string;
  fallbackReason?: string;
  models?: { clip?: string; whisper?: string };
  device?: string;
  /** While not ready: what it is waiting for. */
  note?: string;
}

/** Videos, webhooks and their deliveries in Redis. Every change of a video is one atomic step and wakes its watchers. */
export class Catalog {
  constructor(readonly redis: Redis) {}
  /** Writes a new video; adding one that is there is an error. */
  async createVideo(_video: Video): Promise<void> {
    throw new Error('unfinished');
  }
  /** Videos being deleted are not found. Stage progress is included. */
  async getVideo(_tenant: Tenant, _id: string): Promise<Video | undefined> {
    throw new Error('unfinished');
  }
  /** Newest first. Throws StoreError `cursor_invalid`. */
  async listVideos(
    _tenant: Tenant,
    _page: { cursor?: string; limit: number; status?: VideoStatus },
  ): Promise<{ videos: Video[]; nextCursor?: string }> {
    throw new Error('unfinished');
  }
  /** Changes top-level fields at once. Undefined when the video is gone, or is not in the state the guard asks for. */
  async patchVideo(
    _ref: { tenant: Tenant; videoId: string },
    _patch: Partial<Omit<Video, 'id' | 'tenant' | 'stages' | 'createdAt'>>,
    _guard?: { run?: number; status?: VideoStatus[] },
  ): Promise<Video | undefined> {
    throw new Error('unfinished');
  }
  /** Changes one stage; progress of its shards is added in when read. False when this run of the video is no longer wanted. */
  async setStage(_ref: VideoRef, _stage: StageName, _patch: Partial<Stage>): Promise<boolean> {
    throw new Error('unfinished');
  }
  /** Starts a new run: all stages back to waiting, progress and errors forgotten, status `queued`. */
  async startRun(_ref: { tenant: Tenant; videoId: string }, _from: VideoStatus[]): Promise<Video | undefined> {
    throw new Error('unfinished');
  }
  /** False when the run is no longer wanted (cancelled, deleted, restarted): the job must stop. */
  async reportProgress(_ref: VideoRef, _progress: Progress): Promise<boolean> {
    throw new Error('unfinished');
  }
  /** Marks a video for deletion; from now on it is not found. False when there is none. */
  async markDeleting(_tenant: Tenant, _id: string): Promise<boolean> {
    throw new Error('unfinished');
  }
  /** Forgets a video, its progress, its own webhooks and deliveries. */
  async removeVideo(_tenant: Tenant, _id: string): Promise<void> {
    throw new Error('unfinished');
  }
  /** Every video that still has work to be done (queued, indexing or deleting), of all tenants: what a starting worker looks after. */
  unfinished(): AsyncGenerator<{ tenant: Tenant; videoId: string; run: number; status: VideoStatus }> {
    throw new Error('unfinished');
  }
  /** Yields the video as it is now, then again after each change (changes in quick succession are one), until it is gone or `signal` aborts. */
  watch(_tenant: Tenant, _id: string, _signal: AbortSignal): AsyncGenerator<Video> {
    throw new Error('unfinished');
  }

  /** Claims an Idempotency-Key for a day. A claim that was never finished is free again after `pendingMs`. */
  async claimIdempotencyKey(_tenant: Tenant, _key: string, _fingerprint: string): Promise<IdempotencyClaim> {
    throw new Error('unfinished');
  }
  async finishIdempotencyKey(_tenant: Tenant, _key: string, _videoId: string): Promise<void> {
    throw new Error('unfinished');
  }
  async releaseIdempotencyKey(_tenant: Tenant, _key: string): Promise<void> {
    throw new Error('unfinished');
  }

  async createWebhook(_webhook: Webhook): Promise<void> {
    throw new Error('unfinished');
  }
  /** Endpoints of the tenant; those of one upload only with `videoId`. */
  async listWebhooks(_tenant: Tenant, _videoId?: string): Promise<Webhook[]> {
    throw new Error('unfinished');
  }
  async getWebhook(_tenant: Tenant, _id: string): Promise<Webhook | undefined> {
    throw new Error('unfinished');
  }
  async deleteWebhook(_tenant: Tenant, _id: string): Promise<boolean> {
    throw new Error('unfinished');
  }
  /** Writes a delivery unless one of that id is there (a job that runs twice makes one). */
  async createDelivery(_delivery: Delivery): Promise<void> {
    throw new Error('unfinished');
  }
  async getDelivery(_tenant: Tenant, _id: string): Promise<Delivery | undefined> {
    throw new Error('unfinished');
  }
  /** Newest first, at most `limit`. Kept for 30 days. */
  async listDeliveries(_tenant: Tenant, _webhookId: string, _limit: number): Promise<Delivery[]> {
    throw new Error('unfinished');
  }
  async recordAttempt(
    _tenant: Tenant,
    _deliveryId: string,
    _attempt: Delivery['attempts'][number],
    _state: Delivery['state'],
  ): Promise<void> {
    throw new Error('unfinished');
  }

  async announceWorker(_status: WorkerStatus): Promise<void> {
    throw new Error('unfinished');
  }
  async listWorkers(): Promise<WorkerStatus[]> {
    throw new Error('unfinished');
  }
  async close(): Promise<void> {
    throw new Error('unfinished');
  }
}
