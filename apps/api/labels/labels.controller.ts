import { Controller, Get, Param, Query, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import type { z } from 'zod';
import type { Tenant } from '#store';
import { CurrentTenant } from '../auth/index.ts';
import { Links } from '../links.ts';
import { labelsQuery, type VideoLabels } from '../schemas/index.ts';
import { toSeconds } from '../videos/public-video.ts';
import { VideosService } from '../videos/videos.service.ts';
import { LabelsService } from './labels.service.ts';

@Controller('v1/videos')
export class LabelsController {
  constructor(
    private readonly videos: VideosService,
    private readonly looking: LabelsService,
    private readonly links: Links,
  ) {}

  @Get(':id/labels')
  async labels(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Query({ schema: labelsQuery }) { labels: names }: z.output<typeof labelsQuery>,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<VideoLabels> {
    const video = await this.videos.get(tenant, id);
    const labels = await this.looking.ofVideo(video, names);
    reply.header('cache-control', 'private, no-cache');
    return {
      videoId: video.id,
      complete: video.status === 'ready',
      labels: labels.map(({ totalMs, firstMs, spans, ...rest }) => ({
        ...rest,
        total: toSeconds(totalMs),
        first: toSeconds(firstMs),
        spans: spans.map(({ startMs, endMs, confidence, frameAtMs }) => ({
          start: toSeconds(startMs),
          end: toSeconds(endMs),
          confidence,
          thumbnailUrl: this.links.media(tenant, id, `thumbnails/${Math.round(frameAtMs)}`),
        })),
      })),
    };
  }
}
