import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { Changes } from './catalog-changes.ts';
import { keys, parseUnfinishedMember, RENAMED, unfinishedMember, videoKeys } from './catalog-keys.ts';
import { type ScriptedRedis, type VideoChange, type VideoReply, withScripts } from './catalog-scripts.ts';
import { StoreError } from './errors.ts';
import { closeRedis } from './redis.ts';
import {
  type Delivery,
  type FramesModel,
  framesModelsOf,
  type Reindex,
  STAGES,
  type Stage,
  type StageName,
  type Tenant,
  type Video,
  type VideoName,
  type VideoRef,
  type VideoStatus,
  type Webhook,
} from './types.ts';

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
  models?: { clip?: string; whisper?: string; text?: string };
  /** What it makes frames with when videos are indexed again. */
  framesModel?: FramesModel;
  device?: string;
  /** While not ready: what it is waiting for. */
  note?: string;
  /** 99th percentile of the event loop's delay since the last pulse. */
  eventLoopP99Ms?: number;
  rssBytes?: number;
}

const DAY_MS = 24 * 3600_000;
const DELIVERY_DAYS = 30;
const WORKER_SECONDS = 15;
/** A watcher sees a change that it was not told of (a message lost with its connection) this much later. */
const REREAD_MS = 5000;
/** Changes in quicker succession than this are one to a watcher. */
const COALESCE_MS = 200;
/** A claim that Redis took longer to answer than this is not kept for its process. */
const CLAIM_PATIENCE_MS = 2000;
const PAGE = 100;
/** Fields that `undefined` in a patch removes. */
const OPTIONAL: readonly string[] = [
  'language',
  'task',
  'prompt',
  'captionsFile',
  'captions',
  'media',
  'error',
  'models',
  'reindex',
  'startedAt',
  'finishedAt',
];
const FIXED: readonly string[] = ['id', 'tenant', 'stages', 'createdAt', 'updatedAt'];
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Videos, webhooks and their deliveries in Redis. Every change of a video is one atomic step and wakes its watchers. */
export class Catalog {
  readonly #redis: ScriptedRedis;
  readonly #changes: Changes;
  /** Idempotency keys this process holds: key in Redis → claim. */
  readonly #claims = new Map<string, { token: string; fingerprint: string; keepUntil: number }>();
  readonly #claimMs: number;
  #claimTimer?: NodeJS.Timeout;

  /** `claimMs`: how long a claimed Idempotency-Key outlives the process that claimed it. */
  constructor(
    readonly redis: Redis,
    { claimMs = 60_000 }: { claimMs?: number } = {},
  ) {
    this.#redis = withScripts(redis);
    this.#changes = new Changes(redis);
    this.#claimMs = claimMs;
  }

  /** Writes a new video; adding one that is there is an error. */
  async createVideo(video: Video): Promise<void> {
    const set = {
      ...fieldsOf(video),
      id: json(video.id),
      tenant: json(video.tenant),
      createdAt: json(video.createdAt),
    };
    for (const stage of STAGES) Object.assign(set, stageFields(stage, video.stages[stage]).set);
    const created = await this.#change(video.tenant, video.id, { create: true, set, now: json(video.updatedAt) });
    if (!created) throw new Error(`Video ${video.id} is in the catalog already`);
  }
  /** Videos being deleted are not found. Stage progress is included. */
  async getVideo(tenant: Tenant, id: string): Promise<Video | undefined> {
    const [video] = await this.#readVideos(tenant, [id]);
    return video && video.status !== 'deleting' ? video : undefined;
  }
  /** What people call videos. Those that are gone or being deleted are left out. One round trip, and a twentieth of what whole records are. */
  async namesOf(tenant: Tenant, ids: string[]): Promise<Map<string, VideoName>> {
    const names = new Map<string, VideoName>();
    if (ids.length === 0) return names;
    const found = await this.#redis.cuepointReadNames(ids.length, ...ids.map((id) => keys.video(tenant, id)));
    for (const [i, fields] of found.entries()) {
      const [status, title, metadata, createdAt, media] = fields.map((field) => field && JSON.parse(field));
      if (title === null || status === 'deleting') continue;
      const { durationMs, recordedAt } = (media ?? {}) as Partial<NonNullable<Video['media']>>;
      names.set(ids[i] as string, {
        ...{ title, metadata, createdAt },
        ...(durationMs !== undefined && { durationMs }),
        ...(recordedAt !== undefined && { recordedAt }),
      });
    }
    return names;
  }
  /** What people call a tenant's videos, newest first: up to `limit` that are older than the video `before`. The end is a page of none. */
  async listNames(tenant: Tenant, { limit, before }: { limit: number; before?: string }) {
    const from = before === undefined ? '+' : `(${before}`;
    const ids = await this.#redis.zrange(keys.videos(tenant), from, '-', 'BYLEX', 'REV', 'LIMIT', 0, limit);
    return { names: await this.namesOf(tenant, ids), last: ids.at(-1) };
  }
  /**
   * Videos that were added, deleted, called otherwise or measured after `mark`, and the mark of now. `ids` is undefined where there may have been more
   * than are remembered: read all. A first mark is 0.
   */
  async renamedSince(tenant: Tenant, mark: number): Promise<{ ids: string[] | undefined; mark: number }> {
    const log = keys.renamed(tenant);
    const [first, later] = await Promise.all([
      this.#redis.zrange(log, '0', '0', 'WITHSCORES'),
      this.#redis.zrange(log, `(${mark}`, '+inf', 'BYSCORE', 'WITHSCORES'),
    ]);
    const ids = later.filter((_, i) => i % 2 === 0);
    // The log goes with the last video, and begins anew with the next.
    const isWhole = mark === 0 ? ids.length < RENAMED : Number(first[1]) <= mark;
    return { ids: isWhole ? ids : undefined, mark: Number(later.at(-1) ?? (first.length > 0 ? mark : 0)) };
  }
  /**
   * Newest first. Throws StoreError `cursor_invalid`.
   * A page may be shorter than `limit` where a video was changed while it was read; only a missing `nextCursor` means the end.
   */
  async listVideos(
    tenant: Tenant,
    { cursor, limit, status }: { cursor?: string; limit: number; status?: VideoStatus },
  ): Promise<{ videos: Video[]; nextCursor?: string }> {
    const before = cursor === undefined ? '+' : `(${parseCursor(cursor)}`;
    if (status === 'deleting') return { videos: [] };
    const listing = keys.videos(tenant, status);
    const ids = await this.#redis.zrange(listing, before, '-', 'BYLEX', 'REV', 'LIMIT', 0, limit + 1);
    const page = ids.slice(0, limit);
    const found = await this.#readVideos(tenant, page);
    const videos = found.filter(
      (video) => video !== undefined && video.status !== 'deleting' && (!status || video.status === status),
    ) as Video[];
    const last = page.at(-1);
    return ids.length > limit && last !== undefined ? { videos, nextCursor: toCursor(last) } : { videos };
  }
  /**
   * Changes top-level fields at once. Undefined when the video is gone, or is not in the state the guard asks for.
   * An optional field that is given as `undefined` is removed.
   */
  async patchVideo(
    { tenant, videoId }: { tenant: Tenant; videoId: string },
    patch: Partial<Omit<Video, 'id' | 'tenant' | 'stages' | 'createdAt'>>,
    guard: { run?: number; status?: VideoStatus[] } = {},
  ): Promise<Video | undefined> {
    return this.#change(tenant, videoId, {
      run: guard.run === undefined ? undefined : json(guard.run),
      from: guard.status?.map(json),
      set: fieldsOf(patch),
      unset: OPTIONAL.filter((field) => field in patch && patch[field as keyof typeof patch] === undefined),
    });
  }
  /** Changes one stage; progress of its shards is added in when read. False when this run of the video is no longer wanted. */
  async setStage(ref: VideoRef, stage: StageName, patch: Partial<Stage>): Promise<boolean> {
    const video = await this.#change(ref.tenant, ref.videoId, {
      run: json(ref.run),
      from: ['queued', 'indexing', 'ready', 'failed'].map(json),
      ...stageFields(stage, patch),
    });
    return video !== undefined;
  }
  /** Starts a new run: its stages back to waiting, progress and errors forgotten, status `queued`. */
  async startRun(
    { tenant, videoId }: { tenant: Tenant; videoId: string },
    from: VideoStatus[],
    reindex?: Reindex,
  ): Promise<Video | undefined> {
    const onlyFrames = reindex?.only === 'frames';
    const set: Record<string, string> = { status: json('queued') };
    const unset = ['error', 'startedAt', 'finishedAt'];
    if (reindex) set.reindex = json(reindex);
    else unset.push('reindex');
    if (!onlyFrames) set.warnings = json([]);
    for (const stage of STAGES) {
      if (onlyFrames && stage === 'speech') continue;
      const fields = stageFields(stage, { state: 'waiting', doneMs: 0, totalMs: 0, error: undefined });
      Object.assign(set, fields.set);
      unset.push(...fields.unset);
    }
    return this.#change(tenant, videoId, { newRun: true, from: from.map(json), set, unset });
  }
  /** False when the run is no longer wanted (cancelled, deleted, restarted): the job must stop. */
  async reportProgress({ tenant, videoId, run }: VideoRef, { stage, shard, doneMs }: Progress): Promise<boolean> {
    const wanted = await this.#redis.cuepointReportProgress(
      keys.video(tenant, videoId),
      keys.progress(tenant, videoId),
      json(run),
      `${stage}:${shard}`,
      json(doneMs),
      json(Date.now()),
      keys.changes(tenant, videoId),
    );
    return wanted === 1;
  }
  /** Marks a video for deletion; from now on it is not found. False when there is none. */
  async markDeleting(tenant: Tenant, id: string): Promise<boolean> {
    return (await this.#change(tenant, id, { set: { status: json('deleting') } })) !== undefined;
  }
  /**
   * Forgets a video, its progress, its own webhooks and all deliveries about it.
   * The record goes last: a removal that a crash cut off stays in `unfinished` and can be done again.
   */
  async removeVideo(tenant: Tenant, id: string): Promise<void> {
    for (const webhookId of await this.#redis.smembers(keys.webhooks(tenant, id))) {
      await this.#forgetWebhook(tenant, webhookId, id);
    }
    const deliveries = keys.videoDeliveries(tenant, id);
    for (const entry of await this.#redis.smembers(deliveries)) {
      const colon = entry.indexOf(':');
      const [webhookId, deliveryId] = [entry.slice(0, colon), entry.slice(colon + 1)];
      await this.#redis.del(keys.delivery(tenant, deliveryId));
      await this.#redis.zrem(keys.deliveries(tenant, webhookId), deliveryId);
      await this.#redis.srem(deliveries, entry);
    }
    await this.#change(tenant, id, { remove: true });
  }
  /** Every video that still has work to be done (queued, indexing or deleting), of all tenants: what a starting worker looks after. */
  async *unfinished(): AsyncGenerator<{ tenant: Tenant; videoId: string; run: number; status: VideoStatus }> {
    for (let after = '-'; ; ) {
      const members = await this.#redis.zrange(keys.unfinished, after, '+', 'BYLEX', 'LIMIT', 0, PAGE);
      for (const member of members) {
        const { tenant, videoId } = parseUnfinishedMember(member);
        const [run, status] = await this.#redis.hmget(keys.video(tenant, videoId), 'run', 'status');
        if (run && status) yield { tenant, videoId, run: JSON.parse(run), status: JSON.parse(status) };
      }
      const last = members.at(-1);
      if (last === undefined || members.length < PAGE) return;
      after = `(${last}`;
    }
  }
  /**
   * Yields the video as it is now, then again after each change (changes in quick succession are one), until it is gone or `signal` aborts.
   * While Redis is away it waits. Ends, too, when the catalog is closed or the generator's `return` is called.
   */
  watch(tenant: Tenant, id: string, signal: AbortSignal): AsyncGenerator<Video> {
    const channel = keys.changes(tenant, id);
    const changes = this.#changes;
    const read = () => this.getVideo(tenant, id);
    let stopped = false;
    let end = () => {
      stopped = true;
    };
    async function* follow(): AsyncGenerator<Video> {
      if (signal.aborted || stopped) return;
      const bell = changes.listen(channel);
      end = bell.end;
      signal.addEventListener('abort', bell.end);
      try {
        let seen = '';
        while (!bell.ended) {
          const readAt = performance.now();
          const video = await bell.orEnd(read());
          if (!video || bell.ended) return;
          const text = json(video);
          if (text !== seen) yield video;
          seen = text;
          await bell.wait(REREAD_MS);
          await bell.pause(COALESCE_MS - (performance.now() - readAt));
        }
      } finally {
        signal.removeEventListener('abort', bell.end);
        changes.leave(channel, bell);
      }
    }
    const videos = follow();
    // A generator that waits can't see its own `return` before it is woken.
    const finish = videos.return.bind(videos);
    videos.return = (value) => {
      end();
      return finish(value);
    };
    return videos;
  }

  /**
   * Claims an Idempotency-Key for a day. While this process lives it keeps the claim, until `finish` or `release`;
   * a claim whose process died is free again after a minute (`claimMs`).
   */
  async claimIdempotencyKey(tenant: Tenant, key: string, fingerprint: string): Promise<IdempotencyClaim> {
    const name = keys.idempotency(tenant, key);
    const token = randomUUID();
    const askedAt = Date.now();
    const state = await this.#redis.cuepointClaim(name, fingerprint, token, String(this.#claimMs));
    if (state.startsWith('done:')) return { state: 'done', videoId: state.slice('done:'.length) };
    if (state === 'new') {
      // Whoever asked while Redis was away may have given up since, and would never release it: such a claim is left to run out.
      const keepUntil = Date.now() - askedAt > CLAIM_PATIENCE_MS ? 0 : askedAt + DAY_MS;
      this.#claims.set(name, { token, fingerprint, keepUntil });
      this.#claimTimer ??= setInterval(() => this.#keepClaims(), this.#claimMs / 3).unref();
    }
    return { state: state as 'new' | 'in_progress' | 'mismatch' };
  }
  async finishIdempotencyKey(tenant: Tenant, key: string, videoId: string): Promise<void> {
    const name = keys.idempotency(tenant, key);
    const fingerprint = this.#claims.get(name)?.fingerprint ?? '';
    this.#claims.delete(name);
    await this.#redis.cuepointFinishClaim(name, videoId, String(DAY_MS), fingerprint);
  }
  async releaseIdempotencyKey(tenant: Tenant, key: string): Promise<void> {
    const name = keys.idempotency(tenant, key);
    const token = this.#claims.get(name)?.token ?? '';
    this.#claims.delete(name);
    await this.#redis.cuepointReleaseClaim(name, token);
  }

  async createWebhook(webhook: Webhook): Promise<void> {
    const { tenant, id, videoId } = webhook;
    // Not MULTI, which fails when the connection is lost where single commands wait. An id without its webhook is harmless.
    await this.#redis.sadd(keys.webhooks(tenant, videoId), id);
    await this.#redis.set(keys.webhook(tenant, id), json(webhook));
  }
  /** Endpoints of the tenant, oldest first; with `videoId` those of that upload, too. */
  async listWebhooks(tenant: Tenant, videoId?: string): Promise<Webhook[]> {
    const sets = [keys.webhooks(tenant), ...(videoId ? [keys.webhooks(tenant, videoId)] : [])];
    const ids = await this.#redis.sunion(sets);
    if (!ids.length) return [];
    const texts = await this.#redis.mget(ids.map((id) => keys.webhook(tenant, id)));
    const webhooks: Webhook[] = texts.filter((text) => text !== null).map((text) => JSON.parse(text));
    return webhooks.sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
  }
  async getWebhook(tenant: Tenant, id: string): Promise<Webhook | undefined> {
    const text = await this.#redis.get(keys.webhook(tenant, id));
    return text === null ? undefined : JSON.parse(text);
  }
  /** Removes an endpoint and its deliveries. */
  async deleteWebhook(tenant: Tenant, id: string): Promise<boolean> {
    const webhook = await this.getWebhook(tenant, id);
    if (!webhook) return false;
    await this.#forgetWebhook(tenant, id, webhook.videoId);
    return true;
  }
  /** Writes a delivery unless one of that id is there (a job that runs twice makes one) or its webhook is gone. */
  async createDelivery(delivery: Delivery): Promise<void> {
    const { state, attempts, ...rest } = delivery;
    const { tenant, id, webhookId, videoId, createdAt } = delivery;
    const keepSeconds = DELIVERY_DAYS * 86_400;
    await this.#redis.cuepointCreateDelivery(
      keys.webhook(tenant, webhookId),
      keys.delivery(tenant, id),
      keys.deliveries(tenant, webhookId),
      keys.videoDeliveries(tenant, videoId),
      json(rest),
      state,
      attempts.map(json).join(','),
      String(createdAt),
      String(Date.now() - keepSeconds * 1000),
      String(keepSeconds),
      id,
      webhookId,
    );
  }
  async getDelivery(tenant: Tenant, id: string): Promise<Delivery | undefined> {
    const fields = await this.#redis.hgetall(keys.delivery(tenant, id));
    if (!fields.delivery) return undefined;
    return { ...JSON.parse(fields.delivery), state: fields.state, attempts: JSON.parse(`[${fields.attempts}]`) };
  }
  /** Newest first, at most `limit`. Kept for 30 days. */
  async listDeliveries(tenant: Tenant, webhookId: string, limit: number): Promise<Delivery[]> {
    const log = keys.deliveries(tenant, webhookId);
    const ids = await this.#redis.zrange(log, 0, String(limit - 1), 'REV');
    const deliveries = await Promise.all(ids.map((id) => this.getDelivery(tenant, id)));
    return deliveries.filter((delivery) => delivery !== undefined);
  }
  /** Adds one try to the log. Nothing when the delivery is gone. */
  async recordAttempt(
    tenant: Tenant,
    deliveryId: string,
    attempt: Delivery['attempts'][number],
    state: Delivery['state'],
  ): Promise<void> {
    await this.#redis.cuepointRecordAttempt(keys.delivery(tenant, deliveryId), json(attempt), state);
  }

  /** The model whose frames are searched; undefined before any worker has had one. */
  async framesModel(): Promise<FramesModel | undefined> {
    const text = await this.#redis.get(keys.framesModel);
    return text === null ? undefined : JSON.parse(text);
  }
  /**
   * Offers a worker's model as the one that is searched: it becomes that where there is none yet, where that one only stood in, or where no video needs it.
   * Gives the one that is active then.
   */
  async offerFramesModel(model: FramesModel): Promise<FramesModel> {
    await this.#redis.set(keys.framesModel, json(model), 'NX');
    const active = (await this.framesModel()) ?? model;
    if (active.id === model.id) {
      // What was asked for by now has stood in before, or lies elsewhere.
      if (json(active) !== json(model) && !model.isFallback) await this.activateFramesModel(model);
      return active;
    }
    if (model.isFallback) return active;
    if (!active.isFallback && (await this.#isAnyInNeedOf(active.id))) return active;
    await this.activateFramesModel(model);
    return model;
  }
  /** From now on this model's frames are searched, by all processes at once. */
  async activateFramesModel(model: FramesModel): Promise<void> {
    await this.#redis.set(keys.framesModel, json(model));
  }
  /** Every video of every tenant but those being deleted, in no order. Walks all of Redis' keys: for what an operator asks for, not for requests of users. */
  async *allVideos(): AsyncGenerator<Video> {
    const seen = new Set<string>();
    let cursor = '0';
    do {
      const [next, names] = await this.#redis.scan(cursor, 'MATCH', keys.everyVideo, 'COUNT', PAGE * 10);
      cursor = next;
      for (let at = 0; at < names.length; at += PAGE) {
        const some = names.slice(at, at + PAGE).filter((name) => !seen.has(name));
        for (const name of some) seen.add(name);
        const found = await this.#redis.cuepointReadVideos(
          2 * some.length,
          ...some.flatMap((name) => [name, `${name}:none`]),
        );
        for (const video of found.map(parseVideo)) if (video && video.status !== 'deleting') yield video;
      }
    } while (cursor !== '0');
  }
  /** Whether a video has frames of this model, or may get some. */
  async #isAnyInNeedOf(modelId: string): Promise<boolean> {
    for await (const video of this.allVideos()) {
      if (video.status === 'queued' || video.status === 'indexing') return true;
      if (video.counts.frames > 0 && framesModelsOf(video).includes(modelId)) return true;
    }
    return false;
  }

  async announceWorker(status: WorkerStatus): Promise<void> {
    await this.#redis.set(keys.worker(status.id), json(status), 'EX', WORKER_SECONDS);
    await this.#redis.sadd(keys.workers, status.id);
  }
  /** For a worker that goes down: what it said of itself counts no more. */
  async forgetWorker(id: string): Promise<void> {
    await this.#redis.del(keys.worker(id));
    await this.#redis.srem(keys.workers, id);
  }
  async listWorkers(): Promise<WorkerStatus[]> {
    const ids = (await this.#redis.smembers(keys.workers)).sort();
    if (!ids.length) return [];
    const texts = await this.#redis.mget(ids.map(keys.worker));
    const gone = ids.filter((_, index) => texts[index] === null);
    if (gone.length) await this.#redis.srem(keys.workers, gone);
    return texts.filter((text) => text !== null && text !== undefined).map((text) => JSON.parse(text));
  }
  /** Throws StoreError `store_unavailable` when Redis doesn't answer within `timeoutMs`; other calls wait for it. */
  async ping(timeoutMs = 1000): Promise<void> {
    const timeout = new AbortController();
    const late = sleep(timeoutMs, true, { signal: timeout.signal }).catch(() => true);
    const answer = this.#redis.ping().then(
      () => false,
      () => true,
    );
    const failed = await Promise.race([answer, late]);
    timeout.abort();
    if (failed) throw new StoreError('store_unavailable', `Redis does not answer within ${timeoutMs} ms`, true);
  }
  /** Ends all watching, and closes the connection it was given and the one it opened. */
  async close(): Promise<void> {
    clearInterval(this.#claimTimer);
    this.#claims.clear();
    this.#changes.close();
    await closeRedis(this.redis);
  }

  async #change(tenant: Tenant, id: string, change: Omit<VideoChange, 'call' | 'now'> & { now?: string }) {
    const call: VideoChange = { now: json(Date.now()), ...change, call: randomUUID() };
    const reply = await this.#redis.cuepointChangeVideo(
      ...videoKeys(tenant, id),
      JSON.stringify(call),
      id,
      unfinishedMember(tenant, id),
      keys.changes(tenant, id),
    );
    return reply ? parseVideo(reply) : undefined;
  }
  async #forgetWebhook(tenant: Tenant, id: string, videoId?: string): Promise<void> {
    const log = keys.deliveries(tenant, id);
    // The webhook first: without it no delivery is added to the log any more.
    await this.#redis.del(keys.webhook(tenant, id));
    for (;;) {
      const ids = await this.#redis.zrange(log, 0, String(PAGE - 1));
      if (!ids.length) break;
      await this.#redis.del(ids.map((delivery) => keys.delivery(tenant, delivery)));
      await this.#redis.zrem(log, ids);
    }
    await this.#redis.srem(keys.webhooks(tenant, videoId), id);
  }
  async #readVideos(tenant: Tenant, ids: string[]): Promise<(Video | undefined)[]> {
    if (!ids.length) return [];
    const names = ids.flatMap((id) => [keys.video(tenant, id), keys.progress(tenant, id)]);
    return (await this.#redis.cuepointReadVideos(names.length, ...names)).map(parseVideo);
  }
  #keepClaims(): void {
    for (const [name, { token, keepUntil }] of this.#claims) {
      if (keepUntil < Date.now()) continue;
      // One that can't be kept now is tried again in a moment; one that is lost is seen in `finish`.
      this.#redis.cuepointKeepClaim(name, token, String(this.#claimMs)).catch(() => {});
    }
  }
}

const json = (value: unknown): string => JSON.stringify(value);
const toCursor = (id: string): string => Buffer.from(id).toString('base64url');
function parseCursor(cursor: string): string {
  const id = Buffer.from(cursor, 'base64url').toString();
  if (!UUID.test(id) || toCursor(id) !== cursor)
    throw new StoreError('cursor_invalid', 'The cursor is not one of ours');
  return id;
}

/** Top-level fields of a patch as they are stored. */
function fieldsOf(patch: Partial<Video>): Record<string, string> {
  const entries = Object.entries(patch).filter(([field, value]) => !FIXED.includes(field) && value !== undefined);
  return Object.fromEntries(entries.map(([field, value]) => [field, json(value)]));
}
function stageFields(stage: StageName, patch: Partial<Stage>): { set: Record<string, string>; unset: string[] } {
  const set: Record<string, string> = {};
  const unset: string[] = [];
  for (const [field, value] of Object.entries(patch)) {
    if (value !== undefined) set[`stage.${stage}.${field}`] = json(value);
    else if (field === 'error') unset.push(`stage.${stage}.${field}`);
  }
  return { set, unset };
}
function parseVideo([fields, progress]: VideoReply): Video | undefined {
  if (!fields.length) return undefined;
  const video: Record<string, unknown> = {};
  const stages: Record<string, Record<string, unknown>> = {};
  for (let index = 0; index < fields.length; index += 2) {
    const [field, text] = [fields[index] as string, fields[index + 1] as string];
    if (field === 'call') continue;
    const [, stage, stageField] = /^stage\.(\w+)\.(\w+)$/.exec(field) ?? [];
    if (stage && stageField) {
      stages[stage] ??= {};
      stages[stage][stageField] = JSON.parse(text);
    } else video[field] = JSON.parse(text);
  }
  const done = new Map<string, number>();
  for (let index = 0; index < progress.length; index += 2) {
    const stage = (progress[index] as string).split(':', 1)[0] as string;
    done.set(stage, (done.get(stage) ?? 0) + Number(progress[index + 1]));
  }
  for (const name of STAGES) {
    const stage = stages[name] as unknown as Stage;
    stage.doneMs = Math.min(stage.totalMs, Math.max(stage.doneMs, done.get(name) ?? 0));
  }
  return { ...video, stages } as unknown as Video;
}
