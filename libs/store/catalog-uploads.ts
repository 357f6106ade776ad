import { keys, parseUnfinishedMember, unfinishedMember } from './catalog-keys.ts';
import type { ScriptedRedis } from './catalog-scripts.ts';
import type { Tenant } from './types.ts';

/** A process that lives says so this often, for each upload it has in hand; */
const KEEP_MS = 60_000;
/** one that has said nothing for so long is dead: an outage of Redis or a machine asleep is shorter. */
const ABANDONED_SECONDS = 24 * 3600;

/**
 * Uploads under way, in Redis: a mark is written before the first byte of a blob and goes in the step that writes the record. What a crash cuts off
 * between the two is known by its mark alone, so blobs are removed that this Redis has seen begin, and never one for want of a record: a Redis
 * that is empty, or another one, removes nothing. Captions that are given later have a mark of their own.
 */
export class Uploads {
  readonly #held = new Set<string>();
  #timer?: NodeJS.Timeout;

  constructor(private readonly redis: ScriptedRedis) {}

  async begin(tenant: Tenant, videoId: string): Promise<void> {
    const member = unfinishedMember(tenant, videoId);
    this.#held.add(member);
    this.#timer ??= setInterval(() => this.#keep(), KEEP_MS).unref();
    await this.redis.cuepointMarkUpload(keys.uploads, member, 'new');
  }
  /** The record is written: the mark went with that. */
  accepted(tenant: Tenant, videoId: string): void {
    this.#held.delete(unfinishedMember(tenant, videoId));
  }
  /** Nothing of it is left. */
  async end(tenant: Tenant, videoId: string): Promise<void> {
    this.accepted(tenant, videoId);
    await this.redis.zrem(keys.uploads, unfinishedMember(tenant, videoId));
  }
  /** There will be no record, and something may be left. */
  async abandon(tenant: Tenant, videoId: string): Promise<void> {
    this.accepted(tenant, videoId);
    await this.redis.zadd(keys.uploads, 'XX', '+inf', unfinishedMember(tenant, videoId));
  }
  /** Those of which a record can no longer be written. Each is given again until `end` is called for it. */
  async abandoned(silentSeconds = ABANDONED_SECONDS): Promise<{ tenant: Tenant; videoId: string }[]> {
    const members = await this.redis.cuepointAbandonedUploads(keys.uploads, String(silentSeconds));
    return members.map(parseUnfinishedMember);
  }
  close(): void {
    clearInterval(this.#timer);
    this.#held.clear();
  }

  #keep(): void {
    if (this.redis.status !== 'ready') return;
    for (const member of this.#held) this.redis.cuepointMarkUpload(keys.uploads, member, 'kept').catch(() => {});
  }
}
