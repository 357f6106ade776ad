import { randomUUID } from 'node:crypto';
import type { ScriptedRedis } from './catalog-scripts.ts';

export type IdempotencyClaim =
  | { state: 'new' }
  | { state: 'in_progress' }
  | { state: 'mismatch' }
  | { state: 'done'; videoId: string };

const DAY_MS = 24 * 3600_000;
/** A claim that Redis took longer to answer than this is not kept for its process. */
const PATIENCE_MS = 2000;

/**
 * Claims of idempotency keys, each for a day, by their keys in Redis. While this process lives it keeps a claim, until `finish` or `release`; one whose
 * process died is free again after `claimMs`.
 */
export class Claims {
  readonly #held = new Map<string, { token: string; fingerprint: string; keepUntil: number }>();
  #timer?: NodeJS.Timeout;

  constructor(
    private readonly redis: ScriptedRedis,
    private readonly claimMs: number,
  ) {}

  async claim(name: string, fingerprint: string): Promise<IdempotencyClaim> {
    const token = randomUUID();
    const askedAt = performance.now();
    const state = await this.redis.cuepointClaim(name, fingerprint, token, String(this.claimMs));
    if (state.startsWith('done:')) return { state: 'done', videoId: state.slice('done:'.length) };
    if (state === 'new') {
      // Whoever asked while Redis was away may have given up since, and would never release it: such a claim is left to run out.
      const keepUntil = performance.now() - askedAt > PATIENCE_MS ? 0 : askedAt + DAY_MS;
      this.#held.set(name, { token, fingerprint, keepUntil });
      this.#timer ??= setInterval(() => this.#keep(), this.claimMs / 3).unref();
    }
    return { state: state as 'new' | 'in_progress' | 'mismatch' };
  }
  async finish(name: string, videoId: string): Promise<void> {
    const fingerprint = this.#held.get(name)?.fingerprint ?? '';
    this.#held.delete(name);
    await this.redis.cuepointFinishClaim(name, videoId, String(DAY_MS), fingerprint);
  }
  async release(name: string): Promise<void> {
    const token = this.#held.get(name)?.token ?? '';
    this.#held.delete(name);
    await this.redis.cuepointReleaseClaim(name, token);
  }
  close(): void {
    clearInterval(this.#timer);
    this.#held.clear();
  }

  #keep(): void {
    for (const [name, { token, keepUntil }] of this.#held) {
      if (keepUntil < performance.now()) continue;
      // One that can't be kept now is tried again in a moment; one that is lost is seen in `finish`.
      this.redis.cuepointKeepClaim(name, token, String(this.claimMs)).catch(() => {});
    }
  }
}
