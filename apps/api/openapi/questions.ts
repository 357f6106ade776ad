import type { ZodOpenApiPathsObject } from 'zod-openapi';
import * as schemas from '../schemas/index.ts';
import { json, operation, text, videoId } from './operation.ts';

export const search: ZodOpenApiPathsObject = {
  '/v1/search': {
    post: operation({
      tags: ['Search'],
      operationId: 'search',
      summary: 'Find moments by what is seen or said',
      description:
        'By words, by a picture, by what is like a moment, or by things that follow each other. `confidence` tells what is there from what merely comes nearest.',
      requestBody: {
        required: true,
        content: {
          'application/json': { schema: schemas.searchSchema },
          'multipart/form-data': { schema: schemas.searchFormSchema },
        },
      },
      answers: [{ status: 200, description: 'Moments, best first', schema: schemas.searchResultSchema }],
      problems: [
        'request_invalid',
        'json_invalid',
        'multipart_invalid',
        'file_missing',
        'image_invalid',
        'image_too_large',
        'cursor_invalid',
        'video_not_found',
        'frame_not_found',
        'disk_full',
        'body_too_large',
        'content_type_unsupported',
        'models_loading',
        'models_unavailable',
      ],
    }),
  },
};

export const ask: ZodOpenApiPathsObject = {
  '/v1/ask': {
    post: operation({
      tags: ['Ask'],
      operationId: 'ask',
      summary: 'Answer a question from what the videos say and show',
      description:
        'With `stream: true` the answer comes as server-sent events: `moments` (what was retrieved), `token` (a piece of the answer, whole sentences that were checked) …, `citations`, and `done` with the whole answer; what fails after the first is an event `error` with the problem.',
      requestBody: json(schemas.askSchema),
      answers: [
        {
          status: 200,
          description: 'The answer; `found` is false when the videos do not contain it',
          content: { 'application/json': { schema: schemas.answerSchema }, 'text/event-stream': text },
        },
      ],
      problems: [
        'request_invalid',
        'json_invalid',
        'video_not_found',
        'conversation_not_found',
        'body_too_large',
        'content_type_unsupported',
        'models_loading',
      ],
    }),
  },
  '/v1/videos/{id}/chapters': {
    get: operation({
      tags: ['Ask'],
      operationId: 'videoChapters',
      summary: 'Chapters of a video, from changes of picture and topic',
      requestParams: videoId,
      answers: [{ status: 200, description: 'The chapters', schema: schemas.chaptersSchema }],
      problems: ['video_not_found', 'video_not_ready', 'models_loading'],
    }),
  },
};

export const labels: ZodOpenApiPathsObject = {
  '/v1/videos/{id}/labels': {
    get: operation({
      tags: ['Search'],
      operationId: 'videoLabels',
      summary: 'What is in a video: which of some labels its pictures show, how long and where',
      description: 'A label that is nowhere in the video is left out. What is said is not looked at.',
      requestParams: { path: schemas.videoIdParams, query: schemas.labelsQuery },
      answers: [{ status: 200, description: 'Labels, longest in view first', schema: schemas.videoLabelsSchema }],
      problems: [
        'request_invalid',
        'labels_missing',
        'video_not_found',
        'video_not_ready',
        'models_loading',
        'models_unavailable',
      ],
    }),
  },
};
