import { Controller, Get, Head, Inject, Param, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Config } from '#config';
import { type BlobStore, StoreError, type Tenant, thumbnailKey } from '#store';
import { CurrentTenant, Signed } from '../auth/index.ts';
import { ProblemError } from '../problems.ts';
import { BLOBS, CONFIG } from '../tokens.ts';
import { VideosService } from '../videos/videos.service.ts';
import { servedType } from './content-type.ts';
import { parseRange } from './range.ts';

/** The original and its thumbnails. */
@Controller('v1/videos')
export class MediaController {
  readonly #safe: Record<string, string>;

  constructor(
    private readonly videos: VideosService,
    @Inject(BLOBS) private readonly blobs: BlobStore,
    @Inject(CONFIG) config: Config,
  ) {
    // A signed link is for whoever holds it, whatever page shows it.
    const resourcePolicy = config.http.apiKeys.length > 0 ? 'cross-origin' : 'same-site';
    this.#safe = { ...SAFE_MEDIA, 'cross-origin-resource-policy': resourcePolicy };
  }

  @Head(':id/source')
  @Signed()
  headSource(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ) {
    return this.source(tenant, id, request, reply);
  }

  @Get(':id/source')
  @Signed()
  async source(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const video = await this.videos.get(tenant, id);
    const key = video.source.blobKey;
    const size = key ? (await this.blobs.stat(key))?.sizeBytes : undefined;
    if (!key || size === undefined) throw new ProblemError('source_not_found', 'It has not been fetched, or is gone.');
    const etag = `"${video.source.sha256 ?? `${id}-${size}`}"`;
    reply.headers({
      etag,
      'accept-ranges': 'bytes',
      'content-type': servedType(video),
      'content-disposition': inline(video.filename),
      'cache-control': 'private, max-age=3600',
      ...this.#safe,
    });
    if (matches(request.headers['if-none-match'], etag)) return void reply.code(304).send();
    const ifRange = request.headers['if-range'];
    // Of HEAD a range means nothing (RFC 9110, 14.2).
    const isAsked = request.method === 'GET' && (ifRange === undefined || ifRange === etag);
    const range = parseRange(isAsked ? request.headers.range : undefined, size);
    if (range === 'unsatisfiable') {
      throw new ProblemError('range_not_satisfiable', `The file has ${size} bytes.`, {
        headers: { 'content-range': `bytes */${size}`, 'content-disposition': '' },
      });
    }
    const { start, end } = range === 'all' ? { start: 0, end: size - 1 } : range;
    reply.header('content-length', end - start + 1);
    if (range !== 'all') reply.code(206).header('content-range', `bytes ${start}-${end}/${size}`);
    if (request.method === 'HEAD') return void reply.send();
    // Fastify ends the stream when the client goes.
    await reply.send(await this.blobs.get(key, range === 'all' ? undefined : range));
  }

  @Get(':id/thumbnails/:ms')
  @Signed()
  async thumbnail(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Param('ms') ms: string,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    await this.videos.get(tenant, id);
    const missing = new ProblemError('thumbnail_not_found', 'Take the address from a moment.');
    if (!/^\d{1,12}$/.test(ms)) throw missing;
    const key = thumbnailKey({ tenant, videoId: id }, Number(ms));
    const stat = await this.blobs.stat(key);
    if (!stat) throw missing;
    const etag = `"${id}-${Number(ms)}-${stat.sizeBytes}"`;
    reply.headers({ etag, 'content-type': 'image/jpeg', 'cache-control': 'private, max-age=86400', ...this.#safe });
    if (matches(request.headers['if-none-match'], etag)) return void reply.code(304).send();
    const body = await this.blobs.get(key).catch((error) => {
      throw error instanceof StoreError && error.code === 'blob_not_found' ? missing : error;
    });
    await reply.header('content-length', stat.sizeBytes).send(body);
  }
}

/** Whatever a file holds, it must not run as a page of ours. */
const SAFE_MEDIA = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; sandbox",
};

const matches = (header: string | undefined, etag: string): boolean =>
  header?.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag || tag.trim() === '*') ?? false;

/** RFC 6266: an ASCII name for old readers, the true one beside it. */
function inline(filename: string): string {
  const ascii = filename.replace(/[^\x20-\x7e]|["\\%]/g, '_');
  const encoded = encodeURIComponent(filename.toWellFormed()).replace(
    /['()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `inline; filename="${ascii}"; filename*=UTF-8''${encoded}`;
}
