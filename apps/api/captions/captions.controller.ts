import { Controller, Delete, HttpCode, Param, Put, Query, Req } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { Tenant } from '#store';
import { CurrentTenant } from '../auth/index.ts';
import { Links } from '../links.ts';
import { captionsQuery } from '../schemas/index.ts';
import { publicVideo } from '../videos/public-video.ts';
import { CaptionsService } from './captions.service.ts';

@Controller('v1/videos')
export class CaptionsController {
  constructor(
    private readonly captions: CaptionsService,
    private readonly links: Links,
  ) {}

  @Put(':id/captions')
  @HttpCode(202)
  async put(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Query({ schema: captionsQuery }) { language }: z.output<typeof captionsQuery>,
    @Req() request: FastifyRequest,
  ) {
    const { body } = request;
    const bytes = Buffer.isBuffer(body) ? body : Buffer.alloc(0); // a body of nothing comes as none
    return publicVideo(await this.captions.put(tenant, id, bytes, language), this.links);
  }

  @Delete(':id/captions')
  @HttpCode(202)
  async delete(@CurrentTenant() tenant: Tenant, @Param('id') id: string) {
    return publicVideo(await this.captions.delete(tenant, id), this.links);
  }
}
