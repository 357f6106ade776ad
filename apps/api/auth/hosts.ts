import type { FastifyRequest } from 'fastify';
import ipaddr from 'ipaddr.js';
import { ProblemError } from '../problems.ts';

/**
 * Without keys the server trusts this machine, and a browser on it opens pages of strangers. So requests must name a loopback host
 * (a name that was re-bound to 127.0.0.1 does not) and must not be sent by a page from elsewhere.
 */
export function refuseForeignPages(request: FastifyRequest, publicUrl: string | undefined): void {
  const ours = publicUrl ? new URL(publicUrl).hostname : undefined;
  const local = (name: string | undefined) => name !== undefined && (isLoopbackHost(name) || name === ours);
  if (!local(hostOf(`http://${request.headers.host ?? ''}`))) {
    throw new ProblemError(
      'host_refused',
      'Without API_KEYS this server answers only to localhost; set API_KEYS to serve other names.',
    );
  }
  const { origin } = request.headers;
  if (origin !== undefined && !local(hostOf(origin))) {
    throw new ProblemError('host_refused', 'Pages of other sites may not use this server without an API key.');
  }
  const site = request.headers['sec-fetch-site'];
  const navigation = request.method === 'GET' && request.headers['sec-fetch-mode'] === 'navigate';
  if (site === 'cross-site' && origin === undefined && !navigation) {
    throw new ProblemError('host_refused', 'Pages of other sites may not use this server without an API key.');
  }
}

function hostOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).hostname : undefined;
}

function isLoopbackHost(hostname: string): boolean {
  if (hostname === 'localhost' || hostname.endsWith('.localhost')) return true;
  const bare = hostname.replace(/^\[|\]$/g, '');
  return ipaddr.isValid(bare) && ipaddr.process(bare).range() === 'loopback';
}
