import { z } from 'zod';
import {
  createDocument,
  type ZodOpenApiContentObject,
  type ZodOpenApiOperationObject,
  type ZodOpenApiPathsObject,
  type ZodOpenApiResponseObject,
  type ZodOpenApiResponsesObject,
} from 'zod-openapi';
import { VERSION } from '#config';
import { PROBLEMS, type ProblemCode, ProblemError, problemBody } from '../problems.ts';
import * as schemas from '../schemas/index.ts';

type Answer = { status: number; description: string; schema?: z.ZodType; content?: ZodOpenApiContentObject };
type Operation = Omit<ZodOpenApiOperationObject, 'responses'> & {
  answers: Answer[];
  problems?: ProblemCode[];
  access?: 'key' | 'signed' | 'open';
};

const KEY_PROBLEMS: ProblemCode[] = ['key_missing', 'key_invalid', 'host_refused'];
const SIGNED_PROBLEMS: ProblemCode[] = [...KEY_PROBLEMS, 'signature_invalid', 'signature_expired'];
const KEYS: Record<string, string[]>[] = [{ bearer: [] }, { apiKey: [] }];

/** One operation: its answers, and every problem it can give, grouped by status. */
function operation({ answers, problems = [], access = 'key', ...rest }: Operation): ZodOpenApiOperationObject {
  const responses: Record<`${1 | 2 | 3 | 4 | 5}${string}`, ZodOpenApiResponseObject> & ZodOpenApiResponsesObject = {};
  for (const { status, description, schema, content } of answers) {
    const body = content ?? (schema && { 'application/json': { schema } });
    responses[`${status}` as '200'] = body ? { description, content: body } : { description };
  }
  const gate = access === 'open' ? [] : access === 'signed' ? SIGNED_PROBLEMS : KEY_PROBLEMS;
  const always: ProblemCode[] = access === 'open' ? ['internal'] : ['internal', 'store_unavailable', 'shutting_down'];
  const codes = [...new Set([...gate, ...problems, ...always])];
  for (const [status, group] of Map.groupBy(codes, (code) => PROBLEMS[code][0])) {
    const key = `${status}` as '200';
    if (responses[key]) continue;
    responses[key] = {
      description: group.map((code) => `\`${code}\`: ${PROBLEMS[code][1]}.`).join(' '),
      content: { 'application/problem+json': { schema: schemas.problemSchema, example: problemExample(group[0]) } },
    };
  }
  const security = access === 'open' ? [] : access === 'signed' ? [...KEYS, { signature: [] }] : KEYS;
  return { ...rest, security, responses };
}

/** As the client would get it. */
function problemExample(code: ProblemCode = 'internal') {
  const detail = 'What exactly is wrong, in a sentence.';
  const requestId = '0a6f7c52-6c1e-4c0e-9a52-7a3f0f1f0b1e';
  return problemBody(new ProblemError(code, detail), `/v1/videos/${schemas.EXAMPLE_VIDEO_ID}`, requestId);
}

const json = (schema: z.ZodType) => ({ required: true, content: { 'application/json': { schema } } });
const video = (status: number, description: string): Answer => ({ status, description, schema: schemas.videoSchema });
const binary = { schema: { type: 'string', format: 'binary' } } as const;
const text = { schema: { type: 'string' } } as const;
const videoId = { path: schemas.videoIdParams };
const signedVideoId = { path: schemas.videoIdParams, query: schemas.signedQuery };

const videos: ZodOpenApiPathsObject = {
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
      answers: [{ status: 202, description: 'Stored; it will be indexed', schema: schemas.acceptedVideoSchema }],
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
        'An event `video` with the whole video at once, and after each change. Ends when the video is ready, failed or cancelled.',
      access: 'signed',
      requestParams: { path: schemas.videoIdParams, query: schemas.eventsQuery.extend(schemas.signedQuery.shape) },
      answers: [{ status: 200, description: 'Events', content: { 'text/event-stream': text } }],
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

const source = (operationId: string, summary: string, content: ZodOpenApiContentObject | undefined) =>
  operation({
    tags: ['Media'],
    operationId,
    summary,
    access: 'signed',
    requestParams: { ...signedVideoId, header: z.object({ Range: z.string().optional() }) },
    answers: [
      { status: 200, description: 'The whole file', content },
      { status: 206, description: 'The range asked for', content },
      { status: 304, description: 'Not changed' },
    ],
    problems: ['video_not_found', 'source_not_found', 'range_not_satisfiable'],
  });
const media: ZodOpenApiPathsObject = {
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

const search: ZodOpenApiPathsObject = {
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
        'body_too_large',
        'content_type_unsupported',
        'models_loading',
        'models_unavailable',
      ],
    }),
  },
};

const ask: ZodOpenApiPathsObject = {
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

const labels: ZodOpenApiPathsObject = {
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

const webhooks: ZodOpenApiPathsObject = {
  '/v1/webhooks': {
    post: operation({
      tags: ['Webhooks'],
      operationId: 'createWebhook',
      summary: 'Hear of every video that is ready or failed',
      description: 'Requests follow the Standard Webhooks specification.',
      requestBody: json(schemas.createWebhookSchema),
      answers: [{ status: 201, description: 'Created, with its secret', schema: schemas.createdWebhookSchema }],
      problems: [
        'request_invalid',
        'json_invalid',
        'url_invalid',
        'address_refused',
        'body_too_large',
        'content_type_unsupported',
      ],
    }),
    get: operation({
      tags: ['Webhooks'],
      operationId: 'listWebhooks',
      summary: 'All webhooks',
      answers: [{ status: 200, description: 'The webhooks', schema: schemas.webhookListSchema }],
    }),
  },
  '/v1/webhooks/{id}': {
    get: operation({
      tags: ['Webhooks'],
      operationId: 'getWebhook',
      summary: 'One webhook',
      requestParams: { path: schemas.webhookIdParams },
      answers: [{ status: 200, description: 'The webhook', schema: schemas.webhookSchema }],
      problems: ['webhook_not_found'],
    }),
    delete: operation({
      tags: ['Webhooks'],
      operationId: 'deleteWebhook',
      summary: 'Delete a webhook',
      requestParams: { path: schemas.webhookIdParams },
      answers: [{ status: 204, description: 'Deleted' }],
      problems: ['webhook_not_found'],
    }),
  },
  '/v1/webhooks/{id}/deliveries': {
    get: operation({
      tags: ['Webhooks'],
      operationId: 'listDeliveries',
      summary: 'What was sent, newest first, with every try',
      requestParams: { path: schemas.webhookIdParams, query: schemas.deliveriesQuery },
      answers: [{ status: 200, description: 'The deliveries', schema: schemas.deliveryListSchema }],
      problems: ['request_invalid', 'webhook_not_found'],
    }),
  },
  '/v1/webhooks/{id}/deliveries/{deliveryId}/redeliver': {
    post: operation({
      tags: ['Webhooks'],
      operationId: 'redeliver',
      summary: 'Send one again',
      requestParams: { path: schemas.deliveryIdParams },
      answers: [{ status: 202, description: 'It will be sent again', schema: schemas.deliverySchema }],
      problems: ['webhook_not_found', 'delivery_not_found'],
    }),
  },
};

const open = (operationId: string, summary: string, answers: Answer[]) =>
  operation({ tags: ['System'], operationId, summary, answers, access: 'open' });
const html = { 'text/html': text };
const BODY_PROBLEMS: ProblemCode[] = ['request_invalid', 'json_invalid', 'body_too_large', 'content_type_unsupported'];
const system: ZodOpenApiPathsObject = {
  '/v1/models': {
    get: operation({
      tags: ['System'],
      operationId: 'readModels',
      summary: 'Whose frames are searched, and which model is to take over',
      answers: [{ status: 200, description: 'The models', schema: schemas.modelsSchema }],
      problems: ['models_mixed'],
    }),
  },
  '/v1/models/switch': {
    post: operation({
      tags: ['System'],
      operationId: 'switchModel',
      summary: 'Search with the model that the workers have, once every video is indexed with it',
      requestBody: { content: { 'application/json': { schema: schemas.switchModelSchema } } },
      answers: [{ status: 200, description: 'From now on, all at once', schema: schemas.switchedSchema }],
      problems: ['models_mixed', 'reindex_incomplete', 'models_loading', ...BODY_PROBLEMS],
    }),
  },
  '/v1/models/prune': {
    post: operation({
      tags: ['System'],
      operationId: 'pruneModels',
      summary: 'Remove frames of models that are not in use any more',
      description: 'Until then a change of models can be taken back without indexing anything again.',
      answers: [{ status: 200, description: 'They are gone', schema: schemas.prunedSchema }],
      problems: ['models_mixed', 'reindex_incomplete'],
    }),
  },
  '/v1/system': {
    get: operation({
      tags: ['System'],
      operationId: 'system',
      summary: 'Version, models, workers and limits',
      answers: [{ status: 200, description: 'What this installation is', schema: schemas.systemSchema }],
    }),
  },
  '/health/live': {
    get: open('live', 'Is the process there?', [{ status: 200, description: 'Yes', schema: schemas.liveSchema }]),
  },
  '/health/ready': {
    get: open('ready', 'Can it do its work?', [
      { status: 200, description: 'Yes', schema: schemas.healthSchema },
      { status: 503, description: 'No; `reasons` says why', schema: schemas.healthSchema },
    ]),
  },
  '/metrics': {
    get: operation({
      tags: ['System'],
      operationId: 'metrics',
      summary: 'Metrics for Prometheus',
      answers: [{ status: 200, description: 'Prometheus text format', content: { 'text/plain': text } }],
    }),
  },
  '/openapi.json': {
    get: open('openapi', 'This description', [
      { status: 200, description: 'OpenAPI 3.1', content: { 'application/json': { schema: { type: 'object' } } } },
    ]),
  },
  '/docs': {
    get: open('docs', 'This description, for people', [{ status: 200, description: 'A page', content: html }]),
  },
  '/': { get: open('home', 'Leads to /docs', [{ status: 302, description: 'To /docs' }]) },
};

/** OpenAPI 3.1 of all routes, from the schemas that validate them. */
export function apiDocument() {
  return createDocument({
    openapi: '3.1.0',
    info: {
      title: 'Cuepoint',
      version: VERSION,
      description:
        'Ask long videos anything; get the second it happens. Times are seconds. Errors are RFC 9457 problems with a stable `code`.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    security: KEYS,
    tags: ['Videos', 'Media', 'Search', 'Ask', 'Webhooks', 'System'].map((name) => ({ name })),
    paths: { ...videos, ...media, ...search, ...labels, ...ask, ...webhooks, ...system },
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'Not needed where no keys are configured' },
        apiKey: { type: 'apiKey', in: 'header', name: 'X-Api-Key' },
        signature: { type: 'apiKey', in: 'query', name: 'signature', description: 'Links in answers carry it' },
      },
    },
  });
}
