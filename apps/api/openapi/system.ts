import type { ZodOpenApiPathsObject } from 'zod-openapi';
import type { ProblemCode } from '../problems.ts';
import * as schemas from '../schemas/index.ts';
import { type Answer, operation, text } from './operation.ts';

const open = (operationId: string, summary: string, answers: Answer[]) =>
  operation({ tags: ['System'], operationId, summary, answers, access: 'open' });
const html = { 'text/html': text };
const BODY_PROBLEMS: ProblemCode[] = ['request_invalid', 'json_invalid', 'body_too_large', 'content_type_unsupported'];
export const system: ZodOpenApiPathsObject = {
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
