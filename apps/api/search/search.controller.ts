import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import type { z } from 'zod';
import type { Tenant } from '#store';
import { CurrentTenant } from '../auth/index.ts';
import { searchSchema } from '../schemas/index.ts';
import { SearchService } from './search.service.ts';

@Controller('v1/search')
export class SearchController {
  constructor(private readonly searching: SearchService) {}

  @Post()
  @HttpCode(200)
  async search(
    @CurrentTenant() tenant: Tenant,
    @Body({ schema: searchSchema }) request: z.output<typeof searchSchema>,
  ) {
    const startedAt = performance.now();
    const moments = await this.searching.search(tenant, request);
    return { moments, tookMs: Math.round((performance.now() - startedAt) * 10) / 10 };
  }
}
