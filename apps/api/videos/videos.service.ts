import { Injectable } from '@nestjs/common';
import { validate as isUuid } from 'uuid';
import { Jobs } from '#jobs';
import { Catalog, type Reindex, type SpeechTask, type Tenant, type Video, type VideoStatus } from '#store';
import { FramesModelsService } from '../models/frames-models.service.ts';
import { type ProblemCode, ProblemError } from '../problems.ts';

/** What is between asking for a clean-up and the change that it cleans up after takes no longer. */
const CANCEL_PATIENCE_MS = 30_000;

/** null removes. */
type Patch = {
  title?: string;
  metadata?: Record<string, string>;
  language?: string | null;
  task?: SpeechTask | null;
  prompt?: string | null;
};

/** Reading videos and changing their course. */
@Injectable()
export class VideosService {
  constructor(
    private readonly catalog: Catalog,
    private readonly jobs: Jobs,
    private readonly models: FramesModelsService,
  ) {}

  /** Throws `video_not_found`, for ids of other tenants and for what is no id as well. */
  async get(tenant: Tenant, id: string): Promise<Video> {
    const video = isUuid(id) ? await this.catalog.getVideo(tenant, id) : undefined;
    if (!video) throw notFound(id);
    return video;
  }

  list(tenant: Tenant, page: { cursor?: string; limit: number; status?: VideoStatus }) {
    return this.catalog.listVideos(tenant, page);
  }

  async patch(tenant: Tenant, id: string, patch: Patch): Promise<Video> {
    await this.get(tenant, id);
    // A field that is undefined is removed.
    const fields = Object.fromEntries(Object.entries(patch).map(([name, value]) => [name, value ?? undefined]));
    const video = await this.catalog.patchVideo({ tenant, videoId: id }, fields as Partial<Video>);
    if (!video) throw notFound(id);
    return video;
  }

  async delete(tenant: Tenant, id: string): Promise<void> {
    const video = await this.get(tenant, id);
    if (!(await this.catalog.markDeleting(tenant, id))) throw notFound(id);
    await this.jobs.removeWaiting({ tenant, videoId: id, run: video.run });
    await this.jobs.addCleanup({ tenant, videoId: id });
    await this.jobs.hastenCleanup({ tenant, videoId: id });
  }

  async cancel(tenant: Tenant, id: string): Promise<Video> {
    const video = await this.get(tenant, id);
    // Before the change, after which nobody would ask for it again if this process ended. It does nothing to a video that is not cancelled.
    await this.jobs.addCleanup({ tenant, videoId: id }, CANCEL_PATIENCE_MS);
    const cancelled = await this.catalog.patchVideo(
      { tenant, videoId: id },
      { status: 'cancelled', finishedAt: Date.now() },
      { status: ['queued', 'indexing'] },
    );
    if (!cancelled) return this.#refuse(tenant, id, 'not_cancellable');
    await this.jobs.removeWaiting({ tenant, videoId: id, run: video.run });
    await this.jobs.hastenCleanup({ tenant, videoId: id }); // of what was indexed so far; the original stays
    return cancelled;
  }

  retry(tenant: Tenant, id: string): Promise<Video> {
    return this.#startRun(tenant, id, ['failed', 'cancelled'], 'not_retryable');
  }

  /** With the models and settings of now. Frames of another model than the active one are made beside those that are searched. Throws `models_mixed`. */
  async reindex(tenant: Tenant, id: string, only?: 'frames'): Promise<Video> {
    await this.get(tenant, id);
    const beside = await this.models.beside();
    // Frames alone: of what has passages to keep.
    const from: VideoStatus[] = only ? ['ready'] : ['ready', 'failed', 'cancelled'];
    return this.#startRun(tenant, id, from, 'not_reindexable', { ...(only && { only }), ...(beside && { beside }) });
  }

  async #startRun(tenant: Tenant, id: string, from: VideoStatus[], otherwise: ProblemCode, reindex?: Reindex) {
    await this.get(tenant, id);
    const video = await this.catalog.startRun({ tenant, videoId: id }, from, reindex);
    if (!video) return this.#refuse(tenant, id, otherwise);
    await this.jobs.addPlan({ tenant, videoId: id, run: video.run });
    return video;
  }

  async #refuse(tenant: Tenant, id: string, code: ProblemCode): Promise<never> {
    const { status } = await this.get(tenant, id);
    throw new ProblemError(code, `The video is ${status}.`);
  }
}

function notFound(id: string): ProblemError {
  return new ProblemError('video_not_found', `No video has the id ${id.slice(0, 64)}.`);
}
