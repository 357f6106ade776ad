/** Every shape that enters or leaves the api, once: validates, types and documents. */
export * from './ask.ts';
export * from './common.ts';
export * from './labels.ts';
export * from './models.ts';
export * from './problem.ts';
export * from './search.ts';
export * from './system.ts';
export * from './videos.ts';
export * from './webhooks.ts';
