import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { validate } from 'uuid';
import { Changes } from './catalog-changes.ts';
import { Claims, type IdempotencyClaim } from './catalog-claims.ts';
import { keys, parseUnfinishedMember, RENAMED, unfinishedMember, videoKeys } from './catalog-keys.ts';
import { fieldsOf, json, OPTIONAL, parseVideo, stageFields } from './catalog-record.ts';
import { type ScriptedRedis, type VideoChange, withScripts } from './catalog-scripts.ts';
import { Uploads } from './catalog-uploads.ts';
import { Webhooks } from './catalog-webhooks.ts';
import { StoreAway, StoreError } from './errors.ts';
import { closeRedis } from './redis.ts';
import {
  type FramesModel,
  framesModelsOf,
  type Progress,
  type Reindex,
  STAGES,
  type Stage,
  type StageName,
  type Tenant,
  type Video,
  type VideoName,
  type VideoRef,
  type VideoStatus,
  type WorkerStatus,
} from './types.ts';

const WORKER_SECONDS = 15;
const PAGE = 100;

interface PatchGuards {
  run?: number;
  status?: VideoStatus[];
  begun?: string | undefined;
  left?: string | undefined;
  was?: Partial<Video>;
}

/** Videos, their webhooks, the workers and the active model in Redis. Every change of a video is one atomic step and wakes its watchers. */
export class Catalog {
  readonly #redis: ScriptedRedis;
  readonly #changes: Changes<Video>;
  readonly #claims: Claims;
  readonly #uploads: Uploads;
  readonly webhooks: Webhooks;

  /** `claimMs`: how long a claimed Idempotency-Key outlives the process that claimed it. */
  constructor(
    readonly redis: Redis,
    { claimMs = 60_000 }: { claimMs?: number } = {},
  ) {
    this.#redis = withScripts(redis);
    this.#changes = new Changes<Video>(redis);
    this.#claims = new Claims(this.#redis, claimMs);
    this.#uploads = new Uploads(this.#redis);
    this.webhooks = new Webhooks(this.#redis);
  }

  /** Writes a new video; adding one that is there is an error. `begun`: it needs its `beginUpload`; StoreAway where that has been given up. */
  async createVideo(video: Video, { begun = false } = {}): Promise<void> {
    const set = {
      ...fieldsOf(video),
      id: json(video.id),
      tenant: json(video.tenant),
      createdAt: json(video.createdAt),
    };
    for (const stage of STAGES) Object.assign(set, stageFields(stage, video.stages[stage]).set);
    const created = await this.#change(video.tenant, video.id, {
      create: true,
      begun: begun ? unfinishedMember(video.tenant, video.id) : undefined,
      set,
      now: json(video.updatedAt),
    });
    if (!created && begun) throw new StoreAway('The upload stood still for too long and was given up.');
    if (!created) throw new Error(`Video ${video.id} is in the catalog already`);
    this.#uploads.accepted(video.tenant, video.id);
  }
  /** Those of which there is neither a record nor an upload under way. */
  async unknownOf<T extends { tenant: Tenant; videoId: string }>(videos: T[]): Promise<T[]> {
    if (videos.length === 0) return [];
    const [records, uploads] = await Promise.all([
      Promise.all(videos.map(({ tenant, videoId }) => this.#redis.exists(keys.video(tenant, videoId)))),
      this.#redis.zmscore(keys.uploads, ...videos.map(({ tenant, videoId }) => unfinishedMember(tenant, videoId))),
    ]);
    return videos.filter((_, i) => records[i] === 0 && uploads[i] === null);
  }
  /**
   * Before anything of an upload is stored; kept while this process lives, until the record is written (`createVideo`) or the upload has ended.
   * What is added to a video is named by its folder (`<id>/captions-…`) and accepted by `patchVideo`.
   */
  beginUpload(tenant: Tenant, videoId: string): Promise<void> {
    return this.#uploads.begin(tenant, videoId);
  }
  /** There will be no record. `isRemoved`: nothing is left of it; else a worker removes that. */
  async endUpload(tenant: Tenant, videoId: string, isRemoved: boolean): Promise<void> {
    await (isRemoved ? this.#uploads.end(tenant, videoId) : this.#uploads.abandon(tenant, videoId));
  }
  /** Uploads that a crash cut off before their record was written, of all tenants: their blobs can go, and then `endUpload` is called. */
  abandonedUploads(silentSeconds?: number): Promise<{ tenant: Tenant; videoId: string }[]> {
    return this.#uploads.abandoned(silentSeconds);
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
   * An optional field that is given as `undefined` is removed. `begun`: the upload that is accepted with this; not done where that has been given up.
   * `left`: what is to be removed after this, by a worker where its `endUpload` is not called. `was`: fields that nobody may have changed since.
   */
  async patchVideo(
    { tenant, videoId }: { tenant: Tenant; videoId: string },
    patch: Partial<Omit<Video, 'id' | 'tenant' | 'stages' | 'createdAt'>>,
    { run, status, begun, left, was }: PatchGuards = {},
  ): Promise<Video | undefined> {
    const video = await this.#change(tenant, videoId, {
      run: run === undefined ? undefined : json(run),
      from: status?.map(json),
      begun: begun === undefined ? undefined : unfinishedMember(tenant, begun),
      left: left === undefined ? undefined : unfinishedMember(tenant, left),
      was:
        was &&
        Object.fromEntries(
          Object.entries(was).map(([field, value]) => [field, value === undefined ? '' : json(value)]),
        ),
      set: fieldsOf(patch),
      unset: OPTIONAL.filter((field) => field in patch && patch[field as keyof typeof patch] === undefined),
    });
    if (video && begun !== undefined) this.#uploads.accepted(tenant, begun);
    return video;
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
    await this.webhooks.forgetVideo(tenant, id);
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
    return this.#changes.follow(keys.changes(tenant, id), () => this.getVideo(tenant, id), signal);
  }

  /** For a day; `Claims` says when it is free again before that. */
  claimIdempotencyKey(tenant: Tenant, key: string, fingerprint: string): Promise<IdempotencyClaim> {
    return this.#claims.claim(keys.idempotency(tenant, key), fingerprint);
  }
  finishIdempotencyKey(tenant: Tenant, key: string, videoId: string): Promise<void> {
    return this.#claims.finish(keys.idempotency(tenant, key), videoId);
  }
  releaseIdempotencyKey(tenant: Tenant, key: string): Promise<void> {
    return this.#claims.release(keys.idempotency(tenant, key));
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
  /** Ends all watching, and closes the connection it was given and the one it opened. */
  async close(): Promise<void> {
    this.#claims.close();
    this.#uploads.close();
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
  async #readVideos(tenant: Tenant, ids: string[]): Promise<(Video | undefined)[]> {
    if (!ids.length) return [];
    const names = ids.flatMap((id) => [keys.video(tenant, id), keys.progress(tenant, id)]);
    return (await this.#redis.cuepointReadVideos(names.length, ...names)).map(parseVideo);
  }
}

const toCursor = (id: string): string => Buffer.from(id).toString('base64url');
function parseCursor(cursor: string): string {
  const id = Buffer.from(cursor, 'base64url').toString();
  if (!validate(id) || toCursor(id) !== cursor) throw new StoreError('cursor_invalid', 'The cursor is not one of ours');
  return id;
}
