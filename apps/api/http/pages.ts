import type { FastifyReply, FastifyRequest } from 'fastify';

/** What a page may read of an answer beside its body. */
const READABLE = 'x-request-id, location, retry-after, idempotency-replayed, transcript-complete, content-range, etag';
/** Browsers keep the answer to a preflight no longer than this. */
const PREFLIGHT_SECONDS = 7200;

/**
 * Lets pages of other origins read answers (CORS, fetch standard). A browser sends no key by itself, so a page gets what whoever wrote it has a key or a
 * signed link for; without keys the gate refuses pages that are not of this machine.
 */
export function answerPages({ headers: { origin } }: FastifyRequest, reply: FastifyReply): void {
  // Always: a picture that a page has shown is in the cache as it came to `<img>`, which names no origin.
  reply.header('vary', 'origin');
  if (origin !== undefined)
    reply.headers({ 'access-control-allow-origin': origin, 'access-control-expose-headers': READABLE });
}

/** Whether a browser asks what a page may send. */
export const isPreflight = ({ method, headers }: FastifyRequest): boolean =>
  method === 'OPTIONS' && headers.origin !== undefined && headers['access-control-request-method'] !== undefined;

export function answerPreflight({ headers }: FastifyRequest, reply: FastifyReply, methods: string[]): FastifyReply {
  return reply
    .code(204)
    .headers({
      'access-control-allow-methods': methods.join(', '),
      'access-control-allow-headers': headers['access-control-request-headers'] ?? '',
      'access-control-max-age': PREFLIGHT_SECONDS,
    })
    .send();
}
