import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { RouteConfig } from '@nestjs/platform-fastify';
import type { FastifyRequest } from 'fastify';
import type { Config } from '#config';
import type { Tenant } from '#store';
import { ProblemError } from '../problems.ts';
import { refuseForeignPages } from './hosts.ts';
import { KeyRing, presentedKey } from './keys.ts';
import type { Signer } from './signing.ts';

declare module 'fastify' {
  interface FastifyRequest {
    tenant: Tenant;
  }
  interface FastifyContextConfig {
    access?: 'public' | 'signed' | 'probe';
  }
}

/** Open to all: documentation. Every route that says nothing needs a key. */
export const Public = () => RouteConfig({ access: 'public' });
/** Open to all, under any host name: what load balancers ask. */
export const Probe = () => RouteConfig({ access: 'probe' });
/** Needs a key or a signed link. */
export const Signed = () => RouteConfig({ access: 'signed' });
/** Whose request it is. */
export const CurrentTenant = createParamDecorator(
  (_: unknown, context: ExecutionContext): Tenant => context.switchToHttp().getRequest<FastifyRequest>().tenant,
);

/**
 * Lets a request in or refuses it. A hook and not a Nest guard, since guards run after the body has been read: a stranger's upload
 * is refused at its headers.
 */
export function createGate(config: Config, signer: Signer): (request: FastifyRequest) => Promise<void> {
  const ring = new KeyRing(config.http.apiKeys);
  return async (request) => {
    const access = request.routeOptions.config.access;
    if (access === 'probe') return;
    if (ring.empty) {
      refuseForeignPages(request, config.http.publicUrl);
      request.tenant = 'default';
      return;
    }
    if (access === 'public' || request.is404) return;
    request.tenant = admit(request, ring, signer, access === 'signed');
  };
}

function admit(request: FastifyRequest, ring: KeyRing, signer: Signer, signedAllowed: boolean): Tenant {
  const key = presentedKey(request);
  if (key !== undefined) {
    const tenant = ring.tenantOf(key);
    if (tenant) return tenant;
    throw new ProblemError('key_invalid', 'This API key is not known.', challenge('error="invalid_token"'));
  }
  const { expires, signature } = (request.query ?? {}) as Record<string, unknown>;
  if (signedAllowed && typeof expires === 'string' && typeof signature === 'string') {
    const path = request.url.split('?')[0] ?? '';
    const verdict = signer.verify(ring.tenants, path, expires, signature);
    if (verdict.state === 'valid') return verdict.tenant;
    if (verdict.state === 'expired') throw new ProblemError('signature_expired', 'Ask the api for a new link.');
    throw new ProblemError('signature_invalid', 'The link was changed or belongs to another server.');
  }
  throw new ProblemError('key_missing', 'Send `Authorization: Bearer <key>` or `X-Api-Key: <key>`.', challenge());
}

const challenge = (error = '') => ({
  headers: { 'www-authenticate': ['Bearer realm="cuepoint"', error].filter(Boolean).join(', ') },
});
