import { Inject, Injectable } from '@nestjs/common';
import { Catalog, type FramesModel, framesModelsOf, lacksFramesOf, type Tenant, type VectorIndex } from '#store';
import { ProblemError } from '../problems.ts';
import { INDEX } from '../tokens.ts';

/** Which model's frames are searched, and changing it: the new one is indexed beside the old one, and takes its place when it has every video. */
@Injectable()
export class FramesModelsService {
  constructor(
    private readonly catalog: Catalog,
    @Inject(INDEX) private readonly index: VectorIndex,
  ) {}

  /** `next`: what the workers make frames with; undefined where none is ready. Throws `models_mixed` where they do not agree. */
  async read(): Promise<{ active?: FramesModel; next?: FramesModel }> {
    const [active, workers] = await Promise.all([this.catalog.framesModel(), this.catalog.listWorkers()]);
    const byId = new Map(workers.flatMap(({ framesModel }) => (framesModel ? [[framesModel.id, framesModel]] : [])));
    if (byId.size > 1) {
      const names = [...byId.keys()].join(' and ');
      throw new ProblemError(
        'models_mixed',
        `Workers make frames with ${names}: set one model for all, then try again.`,
      );
    }
    const [next] = byId.values();
    return { active, next };
  }

  /** Where frames that are indexed again go beside those that are searched: undefined where they take their place. */
  async beside(): Promise<FramesModel | undefined> {
    const { active, next } = await this.read();
    return active && next && next.id !== active.id ? next : undefined;
  }

  /**
   * Search changes over to the model that the workers have. Throws `reindex_incomplete` while a video of any tenant is not indexed with it; `force` leaves
   * out what lacks it, as long as that is the caller's own.
   */
  async switch(tenant: Tenant, force: boolean): Promise<{ active: FramesModel; previous?: FramesModel }> {
    const { active, next } = await this.read();
    if (!next) throw new ProblemError('models_loading', 'No worker is ready that makes frames.');
    if (active?.id === next.id) {
      // An earlier change may have been cut off before the store heard of it.
      await this.index.nameActiveFrames(next);
      return { active: next };
    }
    let own = 0;
    let others = 0;
    for await (const video of this.catalog.allVideos()) {
      if (!lacksFramesOf(video, next.id)) continue;
      if (video.tenant === tenant) own++;
      else others++;
    }
    if (others > 0 || (own > 0 && !force)) {
      const whose = others > 0 ? `${own + others} videos, ${others} of them of other tenants` : `${own} of your videos`;
      throw new ProblemError(
        'reindex_incomplete',
        `Not indexed with ${next.id} yet: ${whose}. Search stays with ${active?.id}.`,
      );
    }
    await this.catalog.activateFramesModel(next);
    await this.index.nameActiveFrames(next);
    return { active: next, previous: active };
  }

  /** Removes frames of models that are neither active nor being changed over to. Throws `reindex_incomplete` where a video has no others. */
  async prune(): Promise<{ dropped: number }> {
    const { active, next } = await this.read();
    if (!active) return { dropped: 0 };
    const keep = [active, ...(next && next.id !== active.id ? [next] : [])];
    const isKept = (id: string) => keep.some((one) => one.id === id);
    for await (const video of this.catalog.allVideos()) {
      if (video.counts.frames > 0 && framesModelsOf(video).length > 0 && !framesModelsOf(video).some(isKept))
        throw new ProblemError(
          'reindex_incomplete',
          `Videos have frames of other models only: nothing is removed before they are indexed again.`,
        );
    }
    // The records first: what they say is there, is.
    for await (const { tenant, id: videoId, run, models } of this.catalog.allVideos()) {
      const frames = models?.frames?.filter(isKept);
      if (models && frames && frames.length < (models.frames?.length ?? 0))
        await this.catalog.patchVideo({ tenant, videoId }, { models: { ...models, frames } }, { run });
    }
    return { dropped: await this.index.dropFramesExcept(keep) };
  }
}
