/** Outgoing requests that a user can aim (ingest by url, webhooks). Imports no other library of ours. */
export { NetError } from './errors.ts';
export { checkUrl, guardedFetch } from './guarded-fetch.ts';
