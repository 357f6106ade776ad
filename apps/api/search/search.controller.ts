import { Controller, HttpCode, Post, Req } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import type { Tenant } from '#store';
import { CurrentTenant } from '../auth/index.ts';
import { searchSchema } from '../schemas/index.ts';
import { validate } from '../validation.ts';
import { formRequest, readSearchForm } from './image.ts';
import { SearchService } from './search.service.ts';

@Controller('v1/search')
export class SearchController {
  constructor(private readonly searching: SearchService) {}

  @Post()
  @HttpCode(200)
  async search(@CurrentTenant() tenant: Tenant, @Req() request: FastifyRequest) {
    if (!request.isMultipart()) return this.searching.search(tenant, validate(searchSchema, request.body));
    const { image, fields } = await readSearchForm(request);
    return this.searching.search(tenant, formRequest(fields), image);
  }
}
