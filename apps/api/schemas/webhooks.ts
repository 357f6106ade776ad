import { z } from 'zod';
import 'zod-openapi';
import { dateTime, httpUrl } from './common.ts';

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
