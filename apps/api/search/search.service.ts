import { Inject, Injectable } from '@nestjs/common';
import type { z } from 'zod';
import { type Moment, search } from '#retrieval';
import { Catalog, type Tenant, type VectorIndex, type Video } from '#store';
import { Links } from '../links.ts';
import type { PublicMoment, searchSchema } from '../schemas/index.ts';
import { INDEX } from '../tokens.ts';
import { toSeconds } from '../videos/public-video.ts';
import { ModelsService } from './models.service.ts';

/** A query in words to moments. */
@Injectable()
export class SearchService {
  constructor(
    @Inject(INDEX) private readonly index: VectorIndex,
    private readonly catalog: Catalog,
    private readonly models: ModelsService,
    private readonly links: Links,
  ) {}

  async search(tenant: Tenant, request: z.output<typeof searchSchema>): Promise<PublicMoment[]> {
    const picturesToo = request.modalities?.includes('frames') ?? true;
    const encoder = picturesToo ? await this.models.encoder() : NO_ENCODER;
    const moments = await search({ index: this.index, encoder }, { tenant, ...request });
    const videos = await this.#videos(tenant, moments);
    return moments.flatMap((moment) => {
      const video = videos.get(moment.videoId);
      return video ? [this.#public(moment, video)] : []; // A video that is being deleted is not found any more.
    });
  }

  async #videos(tenant: Tenant, moments: Moment[]): Promise<Map<string, Video | undefined>> {
    const ids = [...new Set(moments.map((moment) => moment.videoId))];
    return new Map(await Promise.all(ids.map(async (id) => [id, await this.catalog.getVideo(tenant, id)] as const)));
  }

  #public(moment: Moment, video: Video): PublicMoment {
    return {
      videoId: moment.videoId,
      videoTitle: video.title,
      start: toSeconds(moment.startMs),
      end: toSeconds(moment.endMs),
      score: moment.score,
      confidence: moment.confidence,
      evidence: moment.evidence.map((found) => ({
        kind: found.kind,
        at: toSeconds(found.atMs),
        end: toSeconds(found.endMs),
        text: found.text,
        thumbnailUrl:
          found.kind === 'frame'
            ? this.links.media(video.tenant, video.id, `thumbnails/${Math.round(found.atMs)}`)
            : undefined,
        score: found.score,
      })),
    };
  }
}

/** For searches among passages only, which need no model. */
const NO_ENCODER: Parameters<typeof search>[0]['encoder'] = {
  id: 'none',
  dimension: 0,
  logitScale: 1,
  encodeTexts: () => Promise.reject(new Error('a search among passages encodes no text')),
};
