import { Body, Controller, Get, HttpCode, Post } from '@nestjs/common';
import type { z } from 'zod';
import type { FramesModel, Tenant } from '#store';
import { CurrentTenant } from '../auth/index.ts';
import { switchModelSchema } from '../schemas/index.ts';
import { FramesModelsService } from './frames-models.service.ts';

@Controller('v1/models')
export class ModelsController {
  constructor(private readonly models: FramesModelsService) {}

  @Get()
  async read() {
    const { active, next } = await this.models.read();
    return { active: named(active), next: named(next) };
  }

  @Post('switch')
  @HttpCode(200)
  async switch(
    @CurrentTenant() tenant: Tenant,
    @Body({ schema: switchModelSchema }) request: z.output<typeof switchModelSchema>,
  ) {
    const { active, previous } = await this.models.switch(tenant, request?.force ?? false);
    return { active: named(active), previous: named(previous) };
  }

  @Post('prune')
  @HttpCode(200)
  prune() {
    return this.models.prune();
  }
}

/** Where a model lies on a machine is nobody else's business. */
const named = (model: FramesModel | undefined) => model && { id: model.id, dimension: model.dimension };
