import { Injectable } from '@nestjs/common';
import { Redis } from 'ioredis';
import type { Turn } from '#retrieval';
import type { Tenant } from '#store';
import { ProblemError } from '../problems.ts';
import type { SearchRequest } from '../schemas/index.ts';
import { Availability, within } from '../store-guard.ts';

/** A conversation is forgotten so long after its last question, and keeps its last turns only. */
const KEEP_SECONDS = 2 * 3600;
const MAX_TURNS = 10;
const MAX_ANSWER_CHARS = 1_000;
const TIMEOUT_MS = 4_500;

/** A turn, and what of the videos it was asked of. */
export type KeptTurn = Turn & { filter?: SearchRequest['filter'] };

/** What was asked and answered, in Redis: a list of turns for each conversation, under its tenant. */
@Injectable()
export class Conversations {
  constructor(
    private readonly redis: Redis,
    private readonly availability: Availability,
  ) {}

  /** Turns, oldest first. Throws `conversation_not_found`, for those of other tenants as well. */
  async read(tenant: Tenant, id: string): Promise<KeptTurn[]> {
    const turns = await this.#run(() => this.redis.lrange(keyOf(tenant, id), 0, -1));
    if (turns.length === 0) throw new ProblemError('conversation_not_found', 'It is unknown or has been forgotten.');
    return turns.map((turn) => JSON.parse(turn) as KeptTurn);
  }

  async append(tenant: Tenant, id: string, turn: KeptTurn): Promise<void> {
    const key = keyOf(tenant, id);
    const kept = JSON.stringify({ ...turn, answer: turn.answer.slice(0, MAX_ANSWER_CHARS).toWellFormed() });
    await this.#run(() =>
      this.redis.multi().rpush(key, kept).ltrim(key, -MAX_TURNS, -1).expire(key, KEEP_SECONDS).exec(),
    );
  }

  async #run<T>(command: () => Promise<T>): Promise<T> {
    await this.availability.within(TIMEOUT_MS);
    return within(command(), TIMEOUT_MS);
  }
}

/** In the catalog's key space and slot. */
const keyOf = (tenant: Tenant, id: string): string => `{cuepoint}:conversation:${encodeURIComponent(tenant)}:${id}`;
