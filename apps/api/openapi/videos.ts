import { z } from 'zod';
import type { ZodOpenApiPathsObject } from 'zod-openapi';
import * as schemas from '../schemas/index.ts';
import { binary, json, operation, text, video, videoId } from './operation.ts';

export const videos: ZodOpenApiPathsObject = {
  '/v1/videos': {
    post: operation({
      tags: ['Videos'],
      operationId: 'addVideo',
      summary: 'Upload a video, or have the server fetch one',
      description:
        'Answers 202 once the file is safely stored. With an `Idempotency-Key`, a request that is sent again gives the video of the first one (`Idempotency-Replayed: true`). Two uploads are taken for the same when file name, `Content-Length` and the fields before the file are the same; two JSON requests when their bodies are.',
      requestParams: {
        header: z.object({ 'Idempotency-Key': z.string().min(1).max(255).optional() }),
      },
      requestBody: {
        required: true,
        content: {
          'multipart/form-data': { schema: schemas.uploadFormSchema },
          'application/json': { schema: schemas.ingestSchema },
        },
      },
      answers: [
        {
          status: 202,
          description: 'Stored; it will be indexed',
          schema: schemas.acceptedVideoSchema,
          headers: z.object({
            Location: z.string().meta({ description: 'Address of the video' }),
            'Idempotency-Replayed': z.literal('true').optional(),
          }),
        },
      ],
      problems: [
        'request_invalid',
        'json_invalid',
        'multipart_invalid',
        'file_missing',
        'media_empty',
        'url_invalid',
        'address_refused',
        'video_not_found',
        'idempotency_in_progress',
        'upload_too_large',
        'body_too_large',
        'content_type_unsupported',
        'idempotency_mismatch',
        'captions_invalid',
        'disk_full',
      ],
    }),
    get: operation({
      tags: ['Videos'],
      operationId: 'listVideos',
      summary: 'Videos, newest first',
      requestParams: { query: schemas.listVideosQuery },
      answers: [{ status: 200, description: 'One page', schema: schemas.videoListSchema }],
      problems: ['request_invalid', 'cursor_invalid'],
    }),
  },
  '/v1/videos/{id}': {
    get: operation({
      tags: ['Videos'],
      operationId: 'getVideo',
      summary: 'One video',
      requestParams: videoId,
      answers: [video(200, 'The video')],
      problems: ['video_not_found'],
    }),
    patch: operation({
      tags: ['Videos'],
      operationId: 'patchVideo',
      summary: 'Change title, metadata, or how speech is written down',
      description:
        '`metadata` replaces what was there. `language`, `task` and `prompt` count when the video is indexed again; null removes them.',
      requestParams: videoId,
      requestBody: json(schemas.patchVideoSchema),
      answers: [video(200, 'The video as it is now')],
      problems: ['request_invalid', 'json_invalid', 'video_not_found', 'body_too_large', 'content_type_unsupported'],
    }),
    delete: operation({
      tags: ['Videos'],
      operationId: 'deleteVideo',
      summary: 'Delete a video and everything of it',
      requestParams: videoId,
      answers: [{ status: 204, description: 'It is no longer found; its data are being removed' }],
      problems: ['video_not_found'],
    }),
  },
  '/v1/videos/{id}/cancel': {
    post: operation({
      tags: ['Videos'],
      operationId: 'cancelVideo',
      summary: 'Stop indexing',
      requestParams: videoId,
      answers: [video(202, 'Cancelled')],
      problems: ['video_not_found', 'not_cancellable'],
    }),
  },
  '/v1/videos/{id}/retry': {
    post: operation({
      tags: ['Videos'],
      operationId: 'retryVideo',
      summary: 'Index a failed or cancelled video again',
      requestParams: videoId,
      answers: [video(202, 'Queued')],
      problems: ['video_not_found', 'not_retryable'],
    }),
  },
  '/v1/videos/{id}/reindex': {
    post: operation({
      tags: ['Videos'],
      operationId: 'reindexVideo',
      summary: 'Index a video again, with the models that are set now',
      description:
        'Where the CLIP that is set is not the active one, its frames are made beside those that are searched, which stay: see `/v1/models`.',
      requestParams: videoId,
      requestBody: { content: { 'application/json': { schema: schemas.reindexSchema } } },
      answers: [video(202, 'Queued')],
      problems: [
        'request_invalid',
        'json_invalid',
        'video_not_found',
        'not_reindexable',
        'models_mixed',
        'body_too_large',
        'content_type_unsupported',
      ],
    }),
  },
  '/v1/videos/{id}/events': {
    get: operation({
      tags: ['Videos'],
      operationId: 'videoEvents',
      summary: 'Follow a video (server-sent events)',
      description:
        'An event `video` with the whole video at once, and after each change. Ends when the video is ready, failed or cancelled; an `EventSource` that has heard so and comes back is answered 204, which ends it.',
      access: 'signed',
      requestParams: { path: schemas.videoIdParams, query: schemas.eventsQuery.extend(schemas.signedQuery.shape) },
      answers: [
        { status: 200, description: 'Events', content: { 'text/event-stream': text } },
        { status: 204, description: 'Nothing more will come: the event of `Last-Event-ID` was the last' },
      ],
      problems: ['request_invalid', 'video_not_found'],
    }),
  },
  '/v1/videos/{id}/captions': {
    put: operation({
      tags: ['Videos'],
      operationId: 'putCaptions',
      summary: 'Give a video captions, in place of those it has',
      description:
        'SubRip or WebVTT in UTF-8, UTF-16 or Windows-1252. They are found by search within seconds; those of a video that is being indexed, once its length is known. A failed or cancelled video takes none until it is tried again.',
      requestParams: { ...videoId, query: schemas.captionsQuery },
      requestBody: {
        required: true,
        content: {
          'text/vtt': text,
          'application/x-subrip': text,
          'text/plain': text,
          'application/octet-stream': binary,
        },
      },
      answers: [video(202, 'Stored; they will be indexed')],
      problems: [
        'request_invalid',
        'video_not_found',
        'video_not_ready',
        'captions_invalid',
        'body_too_large',
        'content_type_unsupported',
        'disk_full',
      ],
    }),
    delete: operation({
      tags: ['Videos'],
      operationId: 'deleteCaptions',
      summary: 'Remove captions that were given',
      description: 'Captions that are in the media file then take their place.',
      requestParams: videoId,
      answers: [video(202, 'They will be removed')],
      problems: ['video_not_found', 'captions_not_found'],
    }),
  },
  '/v1/videos/{id}/transcript': {
    get: operation({
      tags: ['Videos'],
      operationId: 'videoTranscript',
      summary: 'What is said, as far as it is transcribed',
      access: 'signed',
      requestParams: { path: schemas.videoIdParams, query: schemas.transcriptQuery.extend(schemas.signedQuery.shape) },
      answers: [
        {
          status: 200,
          description: 'The transcript; the header `Transcript-Complete` says whether that is all',
          headers: z.object({ 'Transcript-Complete': z.enum(['true', 'false']) }),
          content: {
            'application/json': { schema: schemas.transcriptSchema },
            'text/vtt': text,
            'application/x-subrip': text,
            'text/plain': text,
          },
        },
      ],
      problems: ['request_invalid', 'video_not_found'],
    }),
  },
};
