import { createHash } from 'node:crypto';
import type { Tenant, VideoStatus } from './types.ts';

/** Statuses a tenant's list can be filtered by; each has its own sorted set, so that a filtered page costs what its rows cost. */
export const LISTED: readonly VideoStatus[] = ['queued', 'indexing', 'ready', 'failed', 'cancelled'];

/** Changes of names that are remembered: who has missed more reads all. */
export const RENAMED = 1000;

// The braces keep all keys in one slot of a Redis Cluster, so that a script may touch several of them.
const key = (kind: string, ...parts: string[]): string =>
  ['{cuepoint}', kind, ...parts.map(encodeURIComponent)].join(':');

export const keys = {
  /** Hash: a video, one field per top-level field (JSON), stages as `stage.<name>.<field>`. */
  video: (tenant: Tenant, id: string) => key('video', tenant, id),
  /** Hash: `<stage>:<shard>` → milliseconds done. */
  progress: (tenant: Tenant, id: string) => key('progress', tenant, id),
  /** Sorted set of a tenant's video ids (all scores 0: in the order of the ids, which is that of creation). */
  videos: (tenant: Tenant, status?: VideoStatus) => (status ? key('videos', tenant, status) : key('videos', tenant)),
  /** Sorted set of `tenant:videoId`: queued, indexing and deleting videos of all tenants. */
  unfinished: key('unfinished'),
  /** Sorted set of `tenant:videoId`, or of a folder in it: uploads that no record names yet, by when they were last heard of (seconds); +inf: none will, and they can go. */
  uploads: key('uploads'),
  /** Sorted set of the video ids of a tenant whose names changed last, by a number that goes up with each change. Gone with the last video. */
  renamed: (tenant: Tenant) => key('renamed', tenant),
  /** Channel that has a message for each change of a video. */
  changes: (tenant: Tenant, id: string) => key('changes', tenant, id),
  /** Hash: fingerprint and token of a claim, and the video it led to. The client's words are hashed: they may be long. */
  idempotency: (tenant: Tenant, clientKey: string) =>
    key('idempotency', tenant, createHash('sha256').update(clientKey).digest('hex')),
  webhook: (tenant: Tenant, id: string) => key('webhook', tenant, id),
  /** Set of webhook ids: the tenant's own, or those of one upload. */
  webhooks: (tenant: Tenant, videoId?: string) =>
    videoId ? key('webhooks', tenant, videoId) : key('webhooks', tenant),
  /** Hash: `delivery` (JSON without its log), `state`, `attempts` (JSON objects joined by commas). */
  delivery: (tenant: Tenant, id: string) => key('delivery', tenant, id),
  /** Sorted set of delivery ids of a webhook by time of creation. */
  deliveries: (tenant: Tenant, webhookId: string) => key('deliveries', tenant, webhookId),
  /** Set of `webhookId:deliveryId` about a video. */
  videoDeliveries: (tenant: Tenant, videoId: string) => key('video-deliveries', tenant, videoId),
  /** String: the model whose frames are searched (JSON). */
  framesModel: key('frames-model'),
  /** Pattern of all videos' keys, of all tenants. */
  everyVideo: `${key('video')}:*`,
  worker: (id: string) => key('worker', id),
  workers: key('workers'),
  /** Written to see whether the server takes writes. */
  probe: key('probe'),
};

/** Keys that a change of a video may touch, in the order `changeVideo` expects. */
export const videoKeys = (tenant: Tenant, id: string): string[] => [
  keys.video(tenant, id),
  keys.progress(tenant, id),
  keys.unfinished,
  keys.videos(tenant),
  ...LISTED.map((status) => keys.videos(tenant, status)),
  keys.renamed(tenant),
  keys.uploads,
];

export const unfinishedMember = (tenant: Tenant, id: string): string => `${encodeURIComponent(tenant)}:${id}`;
export function parseUnfinishedMember(member: string): { tenant: Tenant; videoId: string } {
  const colon = member.indexOf(':');
  return { tenant: decodeURIComponent(member.slice(0, colon)), videoId: member.slice(colon + 1) };
}
