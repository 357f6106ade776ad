import { v5 } from 'uuid';
import type { Video, WebhookEvent } from '#store';
import type { Stores } from './stores.ts';

/**
 * Tells every endpoint that listens. Done again, it changes nothing: delivery ids are made from video, run, event and endpoint, and a
 * delivery's body is fixed when it is first written.
 */
export async function announce(
  { catalog, jobs }: Pick<Stores, 'catalog' | 'jobs'>,
  video: Video,
  event: WebhookEvent,
): Promise<void> {
  const webhooks = [
    ...(await catalog.webhooks.list(video.tenant)),
    ...(await catalog.webhooks.list(video.tenant, video.id)),
  ];
  const payload = JSON.stringify({
    type: event,
    timestamp: new Date(video.finishedAt ?? Date.now()).toISOString(),
    data: summary(video),
  });
  const told = new Set<string>();
  for (const { id: webhookId, events } of webhooks) {
    if (!events.includes(event) || told.has(webhookId)) continue;
    told.add(webhookId);
    const deliveryId = `msg_${v5(`${video.run}/${event}/${webhookId}`, video.id)}`;
    await catalog.webhooks.createDelivery({
      id: deliveryId,
      tenant: video.tenant,
      webhookId,
      videoId: video.id,
      event,
      payload,
      state: 'pending',
      attempts: [],
      createdAt: Date.now(),
    });
    await jobs.addDelivery({ tenant: video.tenant, deliveryId });
  }
}

/** `data` of an event: enough to act on without asking back. Seconds, as in the API. */
function summary(video: Video) {
  return {
    videoId: video.id,
    run: video.run,
    title: video.title,
    status: video.status,
    metadata: video.metadata,
    durationSeconds: video.media ? video.media.durationMs / 1000 : null,
    counts: { ...video.counts, captions: video.captions?.cues ?? 0 },
    warnings: video.warnings,
    error: video.error ?? null,
  };
}
