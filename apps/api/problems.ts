/** Errors at the edge: one class, one list of codes, and the one place that turns what was thrown into an RFC 9457 problem. */
import { HttpException } from '@nestjs/common';
import { NetError } from '#net';
import { awayIfRefused, StoreError } from '#store';

/** Every code a client can meet, with its status and title. Codes are stable: clients match on them. */
export const PROBLEMS = {
  request_invalid: [400, 'The request is not valid'],
  json_invalid: [400, 'The body is not valid JSON'],
  multipart_invalid: [400, 'The multipart body is broken or was cut off'],
  cursor_invalid: [400, 'The cursor is not one this list gave out'],
  file_missing: [400, 'The upload has no file'],
  media_empty: [400, 'The file is empty'],
  image_invalid: [400, 'The picture cannot be read'],
  labels_missing: [400, 'There is no label to look for'],
  url_invalid: [400, 'The address cannot be used'],
  address_refused: [400, 'The address is one that must not be reached'],
  key_missing: [401, 'An API key is needed'],
  key_invalid: [401, 'The API key is not valid'],
  signature_invalid: [403, 'The signed link is not valid'],
  signature_expired: [403, 'The signed link has expired'],
  host_refused: [403, 'The request comes from a place that must not use this server'],
  route_not_found: [404, 'There is nothing at this address'],
  video_not_found: [404, 'There is no such video'],
  source_not_found: [404, 'The original of this video is not stored'],
  thumbnail_not_found: [404, 'There is no thumbnail at this time'],
  captions_not_found: [404, 'The uploader has given no captions for this video'],
  frame_not_found: [404, 'There is no picture of this video'],
  conversation_not_found: [404, 'There is no such conversation'],
  webhook_not_found: [404, 'There is no such webhook'],
  delivery_not_found: [404, 'There is no such delivery'],
  method_not_allowed: [405, 'This address does not take this method'],
  request_timeout: [408, 'The request did not come in time'],
  video_not_ready: [409, 'The video is not far enough indexed'],
  not_cancellable: [409, 'The video cannot be cancelled in its state'],
  not_retryable: [409, 'The video cannot be tried again in its state'],
  not_reindexable: [409, 'The video cannot be indexed again in its state'],
  too_many_webhooks: [409, 'There are as many webhooks as there may be'],
  models_mixed: [409, 'Workers have different models'],
  reindex_incomplete: [409, 'Not all videos are indexed with the new model'],
  idempotency_in_progress: [409, 'The first request with this Idempotency-Key is still running'],
  body_too_large: [413, 'The body is too large'],
  image_too_large: [413, 'The picture is too large'],
  upload_too_large: [413, 'The upload is too large'],
  content_type_unsupported: [415, 'The content type is not supported'],
  range_not_satisfiable: [416, 'The range lies outside the file'],
  expectation_failed: [417, 'What the request expects is not done here'],
  captions_invalid: [422, 'The captions cannot be read'],
  idempotency_mismatch: [422, 'This Idempotency-Key was used for a different request'],
  headers_too_large: [431, 'Address and headers are too large'],
  internal: [500, 'Something went wrong on the server'],
  store_unavailable: [503, 'The store does not answer'],
  models_loading: [503, 'The models are still loading'],
  models_unavailable: [503, 'The models cannot be used'],
  shutting_down: [503, 'The server is shutting down'],
  disk_full: [507, 'The disk is nearly full'],
} as const satisfies Record<string, readonly [number, string]>;
export type ProblemCode = keyof typeof PROBLEMS;

/** One thing that is wrong with a request, and where. */
export interface FieldError {
  path: string;
  message: string;
}

/** What a handler throws when it knows what to tell the client. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError';
  constructor(
    readonly code: ProblemCode,
    detail: string,
    readonly extra: { errors?: FieldError[]; headers?: Record<string, string>; cause?: unknown } = {},
  ) {
    super(detail, { cause: extra.cause });
  }
  get status(): number {
    return PROBLEMS[this.code][0];
  }
}

const FASTIFY_CODES: Record<string, ProblemCode> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'content_type_unsupported',
  FST_ERR_CTP_INVALID_JSON_BODY: 'json_invalid',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'json_invalid',
  FST_ERR_CTP_BODY_TOO_LARGE: 'body_too_large',
  FST_ERR_MAX_PARAM_LENGTH: 'route_not_found',
  FST_MP_PREMATURE_CLOSE: 'multipart_invalid',
};
const STATUS_CODES: Record<number, ProblemCode> = {
  404: 'route_not_found',
  405: 'method_not_allowed',
  413: 'body_too_large',
  415: 'content_type_unsupported',
};

/** Any thrown value as a problem. What is not known is `internal`, and says nothing of the inside. */
export function toProblem(thrown: unknown): ProblemError {
  const error = awayIfRefused(thrown);
  if (error instanceof ProblemError) return error;
  if (error instanceof NetError) {
    // A host that cannot be resolved is, to the client, an address that cannot be used.
    const code = error.code === 'address_refused' ? error.code : 'url_invalid';
    return new ProblemError(code, error.message, { cause: error });
  }
  if (error instanceof StoreError) return fromStore(error);
  const cause = error instanceof HttpException ? error.cause : error;
  const fastifyCode = (cause as { code?: unknown } | undefined)?.code;
  const status = error instanceof HttpException ? error.getStatus() : (error as { statusCode?: unknown })?.statusCode;
  const code =
    (typeof fastifyCode === 'string' ? FASTIFY_CODES[fastifyCode] : undefined) ??
    (typeof status === 'number' ? STATUS_CODES[status] : undefined);
  if (code === 'route_not_found') return new ProblemError(code, 'See /docs for what there is.');
  if (code) return new ProblemError(code, (error as Error).message, { cause: error });
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return new ProblemError('request_invalid', (error as Error).message, { cause: error });
  }
  return new ProblemError('internal', 'The server log has more under the request id.', { cause: error });
}

function fromStore(error: StoreError): ProblemError {
  switch (error.code) {
    case 'blob_too_large':
      return new ProblemError('upload_too_large', error.message, { cause: error });
    case 'disk_full':
      return new ProblemError('disk_full', error.message, { cause: error });
    case 'cursor_invalid':
      return new ProblemError('cursor_invalid', error.message, { cause: error });
    case 'store_unavailable':
      return new ProblemError('store_unavailable', error.message, { headers: { 'retry-after': '5' }, cause: error });
    default:
      return new ProblemError('internal', 'The server log has more under the request id.', { cause: error });
  }
}

/** The body of a problem response (RFC 9457; `code`, `requestId` and `errors` are extension members). */
export function problemBody(problem: ProblemError, instance: string, requestId: string) {
  const [status, title] = PROBLEMS[problem.code];
  return {
    type: `urn:cuepoint:problem:${problem.code}`,
    title,
    status,
    detail: problem.message,
    code: problem.code,
    instance,
    requestId,
    ...(problem.extra.errors ? { errors: problem.extra.errors } : {}),
  };
}
