import { Controller, HttpCode, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Tenant } from '#store';
import { CurrentTenant } from '../auth/index.ts';
import { type SearchResult, searchSchema } from '../schemas/index.ts';
import { validate } from '../validation.ts';
import { formRequest, readSearchForm } from './image.ts';
import { SearchService } from './search.service.ts';

@Controller('v1/search')
export class SearchController {
  constructor(private readonly searching: SearchService) {}

  @Post()
  @HttpCode(200)
  async search(
    @CurrentTenant() tenant: Tenant,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<SearchResult | undefined> {
    // Nobody waits for a search whose client has gone.
    const gone = new AbortController();
    reply.raw.once('close', () => gone.abort());
    try {
      if (!request.isMultipart())
        return await this.searching.search(tenant, validate(searchSchema, request.body), gone.signal);
      const { image, fields } = await readSearchForm(request);
      await using _ = image;
      return await this.searching.search(tenant, formRequest(fields, image), gone.signal, image.path);
    } catch (error) {
      if (!gone.signal.aborted) throw error;
      return undefined;
    }
  }
}
