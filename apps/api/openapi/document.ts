import { createDocument } from 'zod-openapi';
import { VERSION } from '#config';
import { media } from './media.ts';
import { KEYS } from './operation.ts';
import { ask, labels, search } from './questions.ts';
import { system } from './system.ts';
import { videos } from './videos.ts';
import { events, webhooks } from './webhooks.ts';

/** OpenAPI 3.1 of all routes, from the schemas that validate them. */
export function apiDocument() {
  return createDocument({
    openapi: '3.1.0',
    info: {
      title: 'Cuepoint',
      version: VERSION,
      description:
        'Ask long videos anything; get the second it happens.\n\nTimes are in seconds, dates are RFC 3339. Lists go on with `nextCursor` for as long as there is one. There are no rate limits: searches and questions wait for their turn. Web pages of any origin may call it with a key or a signed link (CORS); without keys, only pages of the same machine.\n\nErrors are RFC 9457 problems with a stable `code`. Beside the codes named at a call, there are `route_not_found` and `method_not_allowed` for what is no call, `request_invalid` (400), `request_timeout` (408), `expectation_failed` (417) and `headers_too_large` (431) for what is not valid HTTP, and `json_invalid`, `body_too_large` and `content_type_unsupported` for a body where none belongs.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    security: KEYS,
    tags: ['Videos', 'Media', 'Search', 'Ask', 'Webhooks', 'System'].map((name) => ({ name })),
    paths: { ...videos, ...media, ...search, ...labels, ...ask, ...webhooks, ...system },
    webhooks: events,
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'Not needed where no keys are configured' },
        apiKey: { type: 'apiKey', in: 'header', name: 'X-Api-Key' },
        signature: { type: 'apiKey', in: 'query', name: 'signature', description: 'Links in answers carry it' },
      },
    },
  });
}
