import { keys } from './catalog-keys.ts';
import { json } from './catalog-record.ts';
import type { ScriptedRedis } from './catalog-scripts.ts';
import { type Delivery, MAX_WEBHOOKS, type Tenant, type Webhook } from './types.ts';

const DELIVERY_DAYS = 30;
const PAGE = 100;

/** Endpoints that are told of videos, and what was sent to them, in Redis. */
export class Webhooks {
  constructor(private readonly redis: ScriptedRedis) {}

  /** False, and nothing is written, when the tenant has `MAX_WEBHOOKS` already; those of uploads count for themselves. */
  async create(webhook: Webhook): Promise<boolean> {
    const { tenant, id, videoId } = webhook;
    const names = [keys.webhook(tenant, id), keys.webhooks(tenant, videoId)];
    return (await this.redis.cuepointCreateWebhook(...names, json(webhook), id, String(MAX_WEBHOOKS))) === 1;
  }
  /** Endpoints of the tenant, oldest first; with `videoId` those of that upload, too. */
  async list(tenant: Tenant, videoId?: string): Promise<Webhook[]> {
    const sets = [keys.webhooks(tenant), ...(videoId ? [keys.webhooks(tenant, videoId)] : [])];
    const ids = await this.redis.sunion(sets);
    if (!ids.length) return [];
    const texts = await this.redis.mget(ids.map((id) => keys.webhook(tenant, id)));
    const webhooks: Webhook[] = texts.filter((text) => text !== null).map((text) => JSON.parse(text));
    return webhooks.sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
  }
  async get(tenant: Tenant, id: string): Promise<Webhook | undefined> {
    const text = await this.redis.get(keys.webhook(tenant, id));
    return text === null ? undefined : JSON.parse(text);
  }
  /** Removes an endpoint and its deliveries. */
  async delete(tenant: Tenant, id: string): Promise<boolean> {
    const webhook = await this.get(tenant, id);
    if (!webhook) return false;
    await this.#forget(tenant, id, webhook.videoId);
    return true;
  }
  /** Writes a delivery unless one of that id is there (a job that runs twice makes one) or its webhook is gone. */
  async createDelivery(delivery: Delivery): Promise<void> {
    const { state, attempts, ...rest } = delivery;
    const { tenant, id, webhookId, videoId, createdAt } = delivery;
    const keepSeconds = DELIVERY_DAYS * 86_400;
    await this.redis.cuepointCreateDelivery(
      keys.webhook(tenant, webhookId),
      keys.delivery(tenant, id),
      keys.deliveries(tenant, webhookId),
      keys.videoDeliveries(tenant, videoId),
      json(rest),
      state,
      attempts.map(json).join(','),
      String(createdAt),
      String(Date.now() - keepSeconds * 1000),
      String(keepSeconds),
      id,
      webhookId,
    );
  }
  async getDelivery(tenant: Tenant, id: string): Promise<Delivery | undefined> {
    const fields = await this.redis.hgetall(keys.delivery(tenant, id));
    if (!fields.delivery) return undefined;
    return { ...JSON.parse(fields.delivery), state: fields.state, attempts: JSON.parse(`[${fields.attempts}]`) };
  }
  /** Newest first, at most `limit`. Kept for 30 days. */
  async listDeliveries(tenant: Tenant, webhookId: string, limit: number): Promise<Delivery[]> {
    const log = keys.deliveries(tenant, webhookId);
    const ids = await this.redis.zrange(log, 0, String(limit - 1), 'REV');
    const deliveries = await Promise.all(ids.map((id) => this.getDelivery(tenant, id)));
    return deliveries.filter((delivery) => delivery !== undefined);
  }
  /** Adds one try to the log. Nothing when the delivery is gone. */
  async recordAttempt(
    tenant: Tenant,
    deliveryId: string,
    attempt: Delivery['attempts'][number],
    state: Delivery['state'],
  ): Promise<void> {
    await this.redis.cuepointRecordAttempt(keys.delivery(tenant, deliveryId), json(attempt), state);
  }
  /** The webhooks of a video's own upload, and all deliveries about it. What a crash cut off can be done again. */
  async forgetVideo(tenant: Tenant, id: string): Promise<void> {
    for (const webhookId of await this.redis.smembers(keys.webhooks(tenant, id))) {
      await this.#forget(tenant, webhookId, id);
    }
    const deliveries = keys.videoDeliveries(tenant, id);
    for (const entry of await this.redis.smembers(deliveries)) {
      const colon = entry.indexOf(':');
      const [webhookId, deliveryId] = [entry.slice(0, colon), entry.slice(colon + 1)];
      await this.redis.del(keys.delivery(tenant, deliveryId));
      await this.redis.zrem(keys.deliveries(tenant, webhookId), deliveryId);
      await this.redis.srem(deliveries, entry);
    }
  }

  async #forget(tenant: Tenant, id: string, videoId?: string): Promise<void> {
    const log = keys.deliveries(tenant, id);
    // The webhook first: without it no delivery is added to the log any more.
    await this.redis.del(keys.webhook(tenant, id));
    for (;;) {
      const ids = await this.redis.zrange(log, 0, String(PAGE - 1));
      if (!ids.length) break;
      await this.redis.del(ids.map((delivery) => keys.delivery(tenant, delivery)));
      await this.redis.zrem(log, ids);
    }
    await this.redis.srem(keys.webhooks(tenant, videoId), id);
  }
}
