/** Outgoing requests that a user can aim (ingest by url, webhooks). Imports no other library of ours. */
export type { Reach } from './address.ts';
export { NetError, type NetErrorCode } from './errors.ts';
export { checkUrl, type GuardedOptions, guardedFetch } from './guarded-fetch.ts';
