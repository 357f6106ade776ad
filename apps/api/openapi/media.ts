import { z } from 'zod';
import type { ZodOpenApiContentObject, ZodOpenApiPathsObject } from 'zod-openapi';
import * as schemas from '../schemas/index.ts';
import { binary, operation, signedVideoId } from './operation.ts';

const wholeHeaders = z.object({ ETag: z.string(), 'Accept-Ranges': z.literal('bytes') });
const notChanged = { status: 304, description: 'Not changed' };
const ifNoneMatch = { 'If-None-Match': z.string().optional() };
const source = { tags: ['Media'], access: 'signed' as const };
const files: ZodOpenApiContentObject = {
  'video/*': binary,
  'audio/*': binary,
  'application/octet-stream': binary, // until it is known what it is
};

export const media: ZodOpenApiPathsObject = {
  '/v1/videos/{id}/source': {
    get: operation({
      ...source,
      operationId: 'videoSource',
      summary: 'The original file, whole or a range of it',
      requestParams: {
        ...signedVideoId,
        header: z.object({ Range: z.string().optional(), 'If-Range': z.string().optional(), ...ifNoneMatch }),
      },
      answers: [
        { status: 200, description: 'The whole file', content: files, headers: wholeHeaders },
        {
          status: 206,
          description: 'The range asked for; of several, the whole file is answered',
          content: files,
          headers: wholeHeaders.extend({ 'Content-Range': z.string() }),
        },
        notChanged,
      ],
      problems: ['video_not_found', 'source_not_found', 'range_not_satisfiable'],
    }),
    head: operation({
      ...source,
      operationId: 'videoSourceHead',
      summary: 'Size and type of the original file',
      requestParams: { ...signedVideoId, header: z.object(ifNoneMatch) },
      answers: [{ status: 200, description: 'Of the whole file', headers: wholeHeaders }, notChanged],
      problems: ['video_not_found', 'source_not_found'],
    }),
  },
  '/v1/videos/{id}/thumbnails/{ms}': {
    get: operation({
      tags: ['Media'],
      operationId: 'videoThumbnail',
      summary: 'The picture of a frame',
      access: 'signed',
      requestParams: {
        path: schemas.videoIdParams.extend({
          ms: z.string().meta({ description: 'Milliseconds, as in `thumbnailUrl`' }),
        }),
        query: schemas.signedQuery,
      },
      answers: [{ status: 200, description: 'The picture', content: { 'image/jpeg': binary } }, notChanged],
      problems: ['video_not_found', 'thumbnail_not_found'],
    }),
  },
};
