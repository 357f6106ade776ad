import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Query, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { Tenant, Video } from '#store';
import { CurrentTenant } from '../auth/index.ts';
import { Links } from '../links.ts';
import { ProblemError } from '../problems.ts';
import { listVideosQuery, type PublicVideo, patchVideoSchema, reindexSchema } from '../schemas/index.ts';
import { IntakeService } from './intake.ts';
import { publicVideo } from './public-video.ts';
import { VideosService } from './videos.service.ts';

@Controller('v1/videos')
export class VideosController {
  constructor(
    private readonly videos: VideosService,
    private readonly intake: IntakeService,
    private readonly links: Links,
  ) {}

  @Post()
  @HttpCode(202)
  async add(
    @CurrentTenant() tenant: Tenant,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    if (!request.isMultipart() && request.body === undefined) {
      throw new ProblemError('content_type_unsupported', 'Send multipart/form-data with a file, or JSON with a url.');
    }
    const taken = request.isMultipart()
      ? await this.intake.fromUpload(tenant, request)
      : await this.intake.fromUrl(tenant, request);
    reply.header('location', this.links.video(taken.video.id));
    if (taken.replayed) reply.header('idempotency-replayed', 'true');
    return {
      ...this.#public(taken.video),
      ...(taken.webhook ? { webhook: { id: taken.webhook.id, secret: taken.webhook.secret } } : {}),
    };
  }

  @Get()
  async list(
    @CurrentTenant() tenant: Tenant,
    @Query({ schema: listVideosQuery }) query: z.output<typeof listVideosQuery>,
  ) {
    const { videos, nextCursor } = await this.videos.list(tenant, query);
    return { videos: videos.map((video) => this.#public(video)), nextCursor };
  }

  @Get(':id')
  async get(@CurrentTenant() tenant: Tenant, @Param('id') id: string) {
    return this.#public(await this.videos.get(tenant, id));
  }

  @Patch(':id')
  async patch(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Body({ schema: patchVideoSchema }) patch: z.output<typeof patchVideoSchema>,
  ) {
    return this.#public(await this.videos.patch(tenant, id, patch));
  }

  @Delete(':id')
  @HttpCode(204)
  async delete(@CurrentTenant() tenant: Tenant, @Param('id') id: string): Promise<void> {
    await this.videos.delete(tenant, id);
  }

  @Post(':id/cancel')
  @HttpCode(202)
  async cancel(@CurrentTenant() tenant: Tenant, @Param('id') id: string) {
    return this.#public(await this.videos.cancel(tenant, id));
  }

  @Post(':id/retry')
  @HttpCode(202)
  async retry(@CurrentTenant() tenant: Tenant, @Param('id') id: string) {
    return this.#public(await this.videos.retry(tenant, id));
  }

  @Post(':id/reindex')
  @HttpCode(202)
  async reindex(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Body({ schema: reindexSchema }) request: z.output<typeof reindexSchema>,
  ) {
    return this.#public(await this.videos.reindex(tenant, id, request?.only));
  }

  #public(video: Video): PublicVideo {
    return publicVideo(video, this.links);
  }
}
