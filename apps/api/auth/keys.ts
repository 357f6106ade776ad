import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import type { Tenant } from '#store';

const digest = (text: string) => createHash('sha256').update(text).digest();

/** Finds the tenant of a key. Keys are compared as hashes, each with each, so that time tells nothing. */
export class KeyRing {
  readonly #keys: { tenant: Tenant; hash: Buffer }[];
  constructor(keys: { tenant: Tenant; key: string }[]) {
    this.#keys = keys.map(({ tenant, key }) => ({ tenant, hash: digest(key) }));
  }
  get empty(): boolean {
    return this.#keys.length === 0;
  }
  get tenants(): Tenant[] {
    return [...new Set(this.#keys.map(({ tenant }) => tenant))];
  }
  tenantOf(key: string): Tenant | undefined {
    const hash = digest(key);
    let found: Tenant | undefined;
    for (const known of this.#keys) if (timingSafeEqual(known.hash, hash)) found = known.tenant;
    return found;
  }
}

/** The key of a request: `Authorization: Bearer …` or `X-Api-Key`. */
export function presentedKey(request: FastifyRequest): string | undefined {
  const bearer = /^bearer +(\S+) *$/i.exec(request.headers.authorization ?? '')?.[1];
  const header = request.headers['x-api-key'];
  return bearer ?? (typeof header === 'string' ? header.trim() || undefined : undefined);
}
