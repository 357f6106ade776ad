import { createHash } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import type { Catalog, Tenant } from '#store';
import { ProblemError } from '../problems.ts';

/** The `Idempotency-Key` of a request. Throws `request_invalid` for one that is too long or not printable. */
export function idempotencyKey(request: FastifyRequest): string | undefined {
  const key = request.headers['idempotency-key'];
  if (key === undefined) return undefined;
  if (typeof key === 'string' && /^[\x21-\x7e]([\x20-\x7e]{0,253}[\x21-\x7e])?$/.test(key)) return key;
  const message = 'must be 1 to 255 printable ASCII characters';
  throw new ProblemError('request_invalid', `Idempotency-Key: ${message}.`, {
    errors: [{ path: 'Idempotency-Key', message }],
  });
}

/** What makes two requests the same one. */
export const fingerprint = (parts: unknown): string => createHash('sha256').update(JSON.stringify(parts)).digest('hex');

/**
 * Claims a key. Gives the id of the video that the first request made, or a claim that must be finished or released.
 * Throws `idempotency_in_progress` and `idempotency_mismatch`.
 */
export async function claim(
  catalog: Catalog,
  tenant: Tenant,
  key: string | undefined,
  print: string,
): Promise<{ replayOf: string } | { finish(videoId: string): Promise<void>; release(): Promise<void> }> {
  if (key === undefined) return { finish: async () => {}, release: async () => {} };
  const claimed = await catalog.claimIdempotencyKey(tenant, key, print);
  switch (claimed.state) {
    case 'done':
      return { replayOf: claimed.videoId };
    case 'in_progress':
      throw new ProblemError('idempotency_in_progress', 'Wait for the first request to end, then ask again.', {
        headers: { 'retry-after': '5' },
      });
    case 'mismatch':
      throw new ProblemError('idempotency_mismatch', 'Use a new key for a new upload.');
    case 'new':
      return {
        finish: (videoId) => catalog.finishIdempotencyKey(tenant, key, videoId),
        release: () => catalog.releaseIdempotencyKey(tenant, key),
      };
  }
}
