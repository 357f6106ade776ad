import { Body, Controller, Delete, Get, HttpCode, Inject, Param, Post, Query, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import type { z } from 'zod';
import type { Config } from '#config';
import { Jobs } from '#jobs';
import { checkUrl } from '#net';
import { Catalog, type Delivery, MAX_WEBHOOKS, type Tenant, type Webhook } from '#store';
import { CurrentTenant } from '../auth/index.ts';
import { Links } from '../links.ts';
import { ProblemError } from '../problems.ts';
import { createWebhookSchema, deliveriesQuery } from '../schemas/index.ts';
import { CONFIG } from '../tokens.ts';
import { newWebhook } from '../videos/acceptance.ts';
import { toDate } from '../videos/public-video.ts';

/** Endpoints that hear of videos, and the log of what was sent to them (Standard Webhooks). */
@Controller('v1/webhooks')
export class WebhooksController {
  constructor(
    private readonly catalog: Catalog,
    private readonly jobs: Jobs,
    private readonly links: Links,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  @Post()
  async create(
    @CurrentTenant() tenant: Tenant,
    @Body({ schema: createWebhookSchema }) body: z.output<typeof createWebhookSchema>,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    await checkUrl(body.url, this.config.outgoing.webhooks);
    const webhook = newWebhook(tenant, body.url, undefined, undefined, [...new Set(body.events)]);
    if (!(await this.catalog.webhooks.create(webhook)))
      throw new ProblemError('too_many_webhooks', `There may be ${MAX_WEBHOOKS}: delete one first.`);
    reply.header('location', this.links.webhook(webhook.id));
    return { ...publicWebhook(webhook), secret: webhook.secret };
  }

  @Get()
  async list(@CurrentTenant() tenant: Tenant) {
    return { webhooks: (await this.catalog.webhooks.list(tenant)).map(publicWebhook) };
  }

  @Get(':id')
  async get(@CurrentTenant() tenant: Tenant, @Param('id') id: string) {
    return publicWebhook(await this.#webhook(tenant, id));
  }

  @Delete(':id')
  @HttpCode(204)
  async delete(@CurrentTenant() tenant: Tenant, @Param('id') id: string): Promise<void> {
    if (!(await this.catalog.webhooks.delete(tenant, id))) throw notFound(id);
  }

  @Get(':id/deliveries')
  async deliveries(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Query({ schema: deliveriesQuery }) { limit }: z.output<typeof deliveriesQuery>,
  ) {
    await this.#webhook(tenant, id);
    return { deliveries: (await this.catalog.webhooks.listDeliveries(tenant, id, limit)).map(publicDelivery) };
  }

  @Post(':id/deliveries/:deliveryId/redeliver')
  @HttpCode(202)
  async redeliver(@CurrentTenant() tenant: Tenant, @Param('id') id: string, @Param('deliveryId') deliveryId: string) {
    await this.#webhook(tenant, id);
    const delivery = await this.catalog.webhooks.getDelivery(tenant, deliveryId);
    if (delivery?.webhookId !== id) throw new ProblemError('delivery_not_found', 'This webhook has no such delivery.');
    // Numbered by the tries so far: pressing the button twice before the first try is done sends once.
    await this.jobs.addDelivery({ tenant, deliveryId }, Math.max(1, delivery.attempts.length));
    return publicDelivery(delivery);
  }

  async #webhook(tenant: Tenant, id: string): Promise<Webhook> {
    const webhook = await this.catalog.webhooks.get(tenant, id);
    if (!webhook) throw notFound(id);
    return webhook;
  }
}

const notFound = (id: string) => new ProblemError('webhook_not_found', `No webhook has the id ${id.slice(0, 64)}.`);

function publicWebhook({ id, url, events, videoId, createdAt }: Webhook) {
  return { id, url, events, videoId, createdAt: toDate(createdAt) };
}

function publicDelivery({ id, videoId, event, state, attempts, payload, createdAt }: Delivery) {
  return {
    id,
    videoId,
    event,
    state,
    attempts: attempts.map((attempt) => ({ ...attempt, at: toDate(attempt.at) })),
    payload,
    createdAt: toDate(createdAt),
  };
}
