/** Outgoing requests that a user can aim (ingest by url, webhooks). Imports no other library of ours. */
/** Private addresses a request may reach: none, this machine only, or all. */
export type Reach = 'none' | 'loopback' | 'all';
export class NetError extends Error {
  override readonly name = 'NetError';
  constructor(
    readonly code: 'url_invalid' | 'address_refused' | 'request_failed' | 'request_timeout',
    message: string,
    readonly retryable = false,
  ) {
    super(message);
  }
}
/** Checks scheme, host and resolved addresses now, so that a caller gets an early answer; the request checks again when it connects. */
export async function checkUrl(_url: string, _reach: Reach): Promise<void> {
  throw new Error('unfinished');
}
/** fetch (undici) that connects only to addresses `reach` allows, checked after DNS resolution at connect time; redirects are followed only where asked, each checked anew. */
export async function guardedFetch(
  _url: string,
  _options: {
    reach: Reach;
    method?: string;
    headers?: Record<string, string>;
    body?: string;
    maxRedirects?: number;
    timeoutMs?: number;
    signal?: AbortSignal;
  },
): Promise<Response> {
  throw new Error('unfinished');
}
