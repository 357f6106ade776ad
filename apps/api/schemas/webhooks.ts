import { z } from 'zod';
import 'zod-openapi';
import { dateTime, EXAMPLE_VIDEO_ID, httpUrl, seconds } from './common.ts';
import { publicStatus, videoSchema } from './videos.ts';

export const webhookEvents = ['video.ready', 'video.failed'] as const;
const events = z.array(z.enum(webhookEvents)).min(1).max(webhookEvents.length);

export const createWebhookSchema = z
  .strictObject({
    url: httpUrl.meta({ example: 'https://example.com/hooks/cuepoint' }),
    events: events.default([...webhookEvents]),
  })
  .meta({ id: 'WebhookRequest' });
export const webhookSchema = z
  .object({
    id: z.string(),
    url: z.string(),
    events,
    videoId: z.string().optional().meta({ description: 'Set when it came with one upload' }),
    createdAt: dateTime,
  })
  .meta({ id: 'Webhook' });
export const createdWebhookSchema = webhookSchema
  .extend({ secret: z.string().meta({ description: 'Standard Webhooks secret; shown here only' }) })
  .meta({ id: 'CreatedWebhook' });
export const webhookListSchema = z.object({ webhooks: z.array(webhookSchema) }).meta({ id: 'WebhookList' });

/** What endpoints get. Made by the worker (`apps/worker/events.ts`), which a test holds to this. */
export const webhookPayloadSchema = z
  .object({
    type: z.enum(webhookEvents),
    timestamp: dateTime.meta({ description: 'When the video was ready or failed' }),
    data: z.object({
      videoId: z.uuid(),
      run: z.number().int().min(1).meta({ description: 'Counts how often the video has been indexed' }),
      title: z.string(),
      status: publicStatus.extract(['ready', 'failed']),
      metadata: videoSchema.shape.metadata,
      durationSeconds: seconds.nullable(),
      counts: videoSchema.shape.counts,
      warnings: videoSchema.shape.warnings,
      error: videoSchema.shape.error.unwrap().nullable().meta({ description: 'Why it failed' }),
    }),
  })
  .meta({
    id: 'WebhookPayload',
    example: {
      type: 'video.ready',
      timestamp: '2025-11-23T16:08:00.000Z',
      data: {
        videoId: EXAMPLE_VIDEO_ID,
        run: 1,
        title: 'Lecture 4',
        status: 'ready',
        metadata: { course: 'biology-101' },
        durationSeconds: 5400,
        counts: { frames: 5211, passages: 812, captions: 0 },
        warnings: [],
        error: null,
      },
    },
  });
export const webhookHeaders = z.object({
  'webhook-id': z.string().meta({ description: 'The same at every try: keep it, and pass over what has come before' }),
  'webhook-timestamp': z.string().meta({ description: 'Unix time of this try' }),
  'webhook-signature': z.string().meta({
    description:
      '`v1,` and the base64 of HMAC-SHA256 over `{webhook-id}.{webhook-timestamp}.{body}`; its key is the base64 after `whsec_`',
  }),
});

export const deliveriesQuery = z.object({ limit: z.coerce.number().int().min(1).max(100).default(50) });
export const deliverySchema = z
  .object({
    id: z.string(),
    videoId: z.string(),
    event: z.enum(webhookEvents),
    state: z.enum(['pending', 'delivered', 'failed']),
    attempts: z.array(
      z.object({
        at: dateTime,
        status: z.number().int().optional(),
        error: z.string().optional(),
        durationMs: z.number(),
      }),
    ),
    payload: z.string().meta({ description: 'The body as it is signed and sent' }),
    createdAt: dateTime,
  })
  .meta({ id: 'Delivery' });
export const deliveryListSchema = z.object({ deliveries: z.array(deliverySchema) }).meta({ id: 'DeliveryList' });
