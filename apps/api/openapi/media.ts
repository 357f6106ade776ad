import { z } from 'zod';
import type { ZodOpenApiContentObject, ZodOpenApiPathsObject } from 'zod-openapi';
import * as schemas from '../schemas/index.ts';
import { binary, operation, signedVideoId } from './operation.ts';

const wholeHeaders = z.object({ ETag: z.string(), 'Accept-Ranges': z.literal('bytes') });
const source = (operationId: string, summary: string, content: ZodOpenApiContentObject | undefined) =>
  operation({
    tags: ['Media'],
    operationId,
    summary,
    access: 'signed',
    requestParams: {
      ...signedVideoId,
      header: z.object({
        Range: z.string().optional(),
        'If-Range': z.string().optional(),
        'If-None-Match': z.string().optional(),
      }),
    },
    answers: [
      { status: 200, description: 'The whole file', content, headers: wholeHeaders },
      {
        status: 206,
        description: 'The range asked for; of several, the whole file is answered',
        content,
        headers: wholeHeaders.extend({ 'Content-Range': z.string() }),
      },
      { status: 304, description: 'Not changed' },
    ],
    problems: ['video_not_found', 'source_not_found', 'range_not_satisfiable'],
  });
export const media: ZodOpenApiPathsObject = {
  '/v1/videos/{id}/source': {
    get: source('videoSource', 'The original file, whole or a range of it', {
      'video/*': binary,
      'audio/*': binary,
      'application/octet-stream': binary, // until it is known what it is
    }),
    head: source('videoSourceHead', 'Size and type of the original file', undefined),
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
      answers: [
        { status: 200, description: 'The picture', content: { 'image/jpeg': binary } },
        { status: 304, description: 'Not changed' },
      ],
      problems: ['video_not_found', 'thumbnail_not_found'],
    }),
  },
};
