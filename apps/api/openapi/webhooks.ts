import { z } from 'zod';
import type { ZodOpenApiPathsObject } from 'zod-openapi';
import * as schemas from '../schemas/index.ts';
import { json, operation } from './operation.ts';

/** What endpoints hear. */
export const events: ZodOpenApiPathsObject = Object.fromEntries(
  schemas.webhookEvents.map((event) => [
    event,
    {
      post: {
        tags: ['Webhooks'],
        operationId: event.replace('.', '_'),
        summary: event === 'video.ready' ? 'A video can be asked of' : 'A video could not be indexed',
        description:
          'Sent at least once, as Standard Webhooks has it. Any 2xx within 15 seconds takes it; 410 ends the tries; after anything else there are eight more, ' +
          'after 5 s, 30 s, 5 min, 30 min, 2 h, 5 h, 7 h and 10 h. Events may come in another order than they happened.',
        security: [],
        requestParams: { header: schemas.webhookHeaders },
        requestBody: json(schemas.webhookPayloadSchema),
        responses: { '2XX': { description: 'Taken' } },
      },
    },
  ]),
);

export const webhooks: ZodOpenApiPathsObject = {
  '/v1/webhooks': {
    post: operation({
      tags: ['Webhooks'],
      operationId: 'createWebhook',
      summary: 'Hear of every video that is ready or failed',
      description:
        'Requests follow the Standard Webhooks specification; `webhooks` of this document says what they hold. There may be 100, beside those of uploads (`webhookUrl`).',
      requestBody: json(schemas.createWebhookSchema),
      answers: [
        {
          status: 201,
          description: 'Created, with its secret',
          schema: schemas.createdWebhookSchema,
          headers: z.object({ Location: z.string().meta({ description: 'Address of the webhook' }) }),
        },
      ],
      problems: [
        'request_invalid',
        'json_invalid',
        'url_invalid',
        'address_refused',
        'too_many_webhooks',
        'body_too_large',
        'content_type_unsupported',
      ],
    }),
    get: operation({
      tags: ['Webhooks'],
      operationId: 'listWebhooks',
      summary: 'All webhooks',
      description: 'But those that came with one upload (`webhookUrl`), which have the id in its answer.',
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
