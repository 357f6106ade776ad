import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import { v7 } from 'uuid';
import type { Jobs } from '#jobs';
import {
  type BlobStore,
  type Catalog,
  type SpeechTask,
  type Stage,
  type Tenant,
  type Transcribe,
  type Video,
  videoFolder,
  type Webhook,
} from '#store';
import { type Availability, within } from '../store-guard.ts';

/** A client waits no longer than this for the catalog; what was begun goes on. */
const CREATE_TIMEOUT_MS = 4_500;
const PLAN_TIMEOUT_MS = 1_500;

/** What a new video is made of. */
export interface Draft {
  videoId: string;
  tenant: Tenant;
  filename: string;
  title: string;
  metadata: Record<string, string>;
  language?: string;
  transcribe?: Transcribe;
  task?: SpeechTask;
  prompt?: string;
  captionsFile?: Video['captionsFile'];
  source: Video['source'];
  webhook?: { url: string; secret?: string };
}

/**
 * The step after which a video is ours: its record is written (the blob is durable already), then its first job is added.
 * Uses the catalog without the time limit of other requests, since "no answer yet" must not be taken for "not written".
 */
export class Acceptance {
  constructor(
    private readonly catalog: Catalog,
    private readonly jobs: Jobs,
    private readonly blobs: BlobStore,
    private readonly availability: Availability,
    private readonly log: Logger,
  ) {}

  /** Throws `store_unavailable` when nothing can be accepted now: asked before the bytes of an upload are taken. */
  async ready(): Promise<void> {
    await this.availability.within(CREATE_TIMEOUT_MS);
  }

  /** Throws `store_unavailable` when the record could not be written in time; nothing stays behind if it never is. */
  async accept(
    draft: Draft,
    claim: { finish(videoId: string): Promise<void>; release(): Promise<void> },
  ): Promise<{ video: Video; webhook?: Webhook }> {
    const video = newVideo(draft);
    const webhook = draft.webhook && newWebhook(draft.tenant, draft.webhook.url, draft.webhook.secret, video.id);
    const written = this.#write(video, webhook).catch(async (error) => {
      await Promise.allSettled([this.undo(draft.tenant, video.id, webhook), claim.release()]);
      throw error;
    });
    // From here on the video is found by workers that start, whether or not its job could be added.
    const planned = written.then(() =>
      Promise.all([
        claim.finish(video.id),
        this.jobs.addPlan({ tenant: draft.tenant, videoId: video.id, run: video.run }),
      ]),
    );
    planned.catch(() => {});
    await within(written, CREATE_TIMEOUT_MS);
    await within(planned, PLAN_TIMEOUT_MS).catch((error) =>
      this.log.warn({ err: error, videoId: video.id }, 'the first job was not added; a worker will find the video'),
    );
    return { video, webhook };
  }

  /** Removes what an upload that was not accepted left behind. */
  async undo(tenant: Tenant, videoId: string, webhook?: Webhook): Promise<void> {
    if (webhook) await this.catalog.webhooks.delete(tenant, webhook.id).catch(() => {});
    const isRemoved = await this.blobs.deletePrefix(videoFolder({ tenant, videoId })).then(
      () => true,
      (error) => {
        this.log.warn({ err: error, videoId }, 'an upload that was not accepted could not be removed; a worker will');
        return false;
      },
    );
    // Nobody waits for a Redis that is away: what it does not hear now it finds out in a day.
    this.catalog.endUpload(tenant, videoId, isRemoved).catch(() => {});
  }

  async #write(video: Video, webhook: Webhook | undefined): Promise<void> {
    // The webhook first: a video that is ready in a moment must find it.
    if (webhook) await this.catalog.webhooks.create(webhook);
    await this.catalog.createVideo(video, { begun: video.source.kind === 'upload' });
  }
}

export function newWebhook(
  tenant: Tenant,
  url: string,
  secret = `whsec_${randomBytes(32).toString('base64')}`,
  videoId?: string,
  events: Webhook['events'] = ['video.ready', 'video.failed'],
): Webhook {
  return { id: v7(), tenant, url, secret, events, videoId, createdAt: Date.now() };
}

function newVideo(draft: Draft): Video {
  const waiting = (): Stage => ({ state: 'waiting', doneMs: 0, totalMs: 0 });
  const now = Date.now();
  return {
    id: draft.videoId,
    tenant: draft.tenant,
    run: 1,
    status: 'queued',
    title: draft.title,
    filename: draft.filename,
    metadata: draft.metadata,
    language: draft.language,
    transcribe: draft.transcribe,
    task: draft.task,
    prompt: draft.prompt,
    captionsFile: draft.captionsFile,
    source: draft.source,
    stages: { probe: waiting(), frames: waiting(), speech: waiting(), finalize: waiting() },
    warnings: [],
    counts: { frames: 0, passages: 0 },
    createdAt: now,
    updatedAt: now,
  };
}
