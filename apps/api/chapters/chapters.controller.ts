import { Controller, Get, Param, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import type { z } from 'zod';
import type { Tenant } from '#store';
import { CurrentTenant } from '../auth/index.ts';
import { Links } from '../links.ts';
import type { chaptersSchema } from '../schemas/index.ts';
import { toSeconds } from '../videos/public-video.ts';
import { VideosService } from '../videos/videos.service.ts';
import { ChaptersService } from './chapters.service.ts';

@Controller('v1/videos')
export class ChaptersController {
  constructor(
    private readonly videos: VideosService,
    private readonly making: ChaptersService,
    private readonly links: Links,
  ) {}

  @Get(':id/chapters')
  async chapters(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<z.output<typeof chaptersSchema>> {
    const video = await this.videos.get(tenant, id);
    const { chapters, titledBy } = await this.making.chapters(video);
    reply.header('cache-control', 'private, no-cache');
    return {
      videoId: video.id,
      complete: video.status === 'ready',
      titledBy,
      chapters: chapters.map(({ startMs, endMs, title, frameAtMs }) => ({
        start: toSeconds(startMs),
        end: toSeconds(endMs),
        title,
        thumbnailUrl:
          frameAtMs === undefined ? undefined : this.links.media(tenant, id, `thumbnails/${Math.round(frameAtMs)}`),
      })),
    };
  }
}
