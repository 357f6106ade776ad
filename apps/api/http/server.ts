import { type Server, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { MAX_CAPTION_BYTES } from '#video';
import type { Metrics } from '../health/metrics.ts';
import { ProblemError, problemBody, toProblem } from '../problems.ts';
import { hasTooManyValues, tooManyValues } from './json.ts';
import { answerPages, answerPreflight, isPreflight } from './pages.ts';
import { endWhenSlow } from './slow-forms.ts';

/** Body of a request that is not an upload. */
const MAX_JSON_BYTES = 1024 * 1024;
/** Time for address and headers to arrive; looked at every half a minute. */
const HEADERS_MS = 30_000;
/** Time for such a body to arrive. */
const JSON_BODY_MS = 30_000;
/** Address and headers together: 200 labels of 100 letters stand in an address, some of them escaped. */
const MAX_HEADER_BYTES = 64 * 1024;
/** Routes that take a form; they set their own limits. */
const FORM_ROUTES = ['/v1/videos', '/v1/search'];
/** How long a client may go on sending what nobody reads after it got its answer. */
const LINGER_MS = 5_000;

/** Fastify with our limits; forms have their own clock (slow-forms.ts). */
export function createAdapter(): FastifyAdapter {
  return new FastifyAdapter({
    logger: false,
    bodyLimit: MAX_JSON_BYTES,
    routerOptions: { maxParamLength: 200 },
    requestIdHeader: false,
    genReqId: () => crypto.randomUUID(),
    // Uploads may take hours, so there is no limit on a whole request; silence and slow headers have theirs.
    requestTimeout: 0,
    connectionTimeout: 120_000,
    keepAliveTimeout: 65_000,
    // Node would answer a request without a Host by itself; ours is a problem (addHooks).
    http: { headersTimeout: HEADERS_MS, maxHeaderSize: MAX_HEADER_BYTES, requireHostHeader: false },
    forceCloseConnections: 'idle',
    return503OnClosing: false, // ours is a problem (addHooks)
    clientErrorHandler: answerBrokenHttp,
    // What the router refuses before any handler: malformed addresses, over-long parameters.
    frameworkErrors: (error: Error, request: FastifyRequest, reply: FastifyReply) => {
      sendProblem(toProblem(error), request, reply);
    },
    multipart: { throwFileSizeLimit: false },
  });
}

export function sendProblem(problem: ProblemError, request: FastifyRequest, reply: FastifyReply): void {
  void reply
    .code(problem.status)
    .headers({ 'cache-control': 'no-store', ...problem.extra.headers })
    .type('application/problem+json; charset=utf-8')
    .send(JSON.stringify(problemBody(problem, request.url.split('?')[0] ?? '/', request.id)));
}

/** What is not HTTP, or not in time, has no request to answer; the socket gets a problem and is closed. */
export function answerBrokenHttp(error: Error & { code?: string }, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') return void socket.destroy();
  const problem = brokenHttp(error);
  const body = JSON.stringify(problemBody(problem, '/', crypto.randomUUID()));
  const status = `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`;
  const head = [status, 'content-type: application/problem+json; charset=utf-8', 'connection: close'];
  socket.end(`${[...head, `content-length: ${Buffer.byteLength(body)}`].join('\r\n')}\r\n\r\n${body}`);
}

function brokenHttp({ code, message }: Error & { code?: string }): ProblemError {
  if (code === 'HPE_HEADER_OVERFLOW')
    return new ProblemError('headers_too_large', `They have more than ${MAX_HEADER_BYTES} bytes.`);
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return new ProblemError('request_timeout', `Address and headers are waited for ${HEADERS_MS / 1000} s.`);
  return new ProblemError('request_invalid', `The request is not valid HTTP (${code ?? message}).`);
}

/** Node answers these by itself, without a body. */
function refuseByHeaders({ headers, raw: { httpVersion } }: FastifyRequest): void {
  if (httpVersion === '1.1' && headers.host === undefined)
    throw new ProblemError('request_invalid', 'A request of HTTP/1.1 has a Host.', {
      headers: { connection: 'close' },
    });
  if (headers.expect !== undefined && headers.expect.toLowerCase() !== '100-continue')
    throw new ProblemError('expectation_failed', 'Of Expect, 100-continue alone is known.');
}

/** What every request goes through before and after its handler. */
export function addHooks(
  server: FastifyInstance,
  parts: { gate: (request: FastifyRequest) => Promise<void>; metrics: Metrics; log: Logger; shutdown: AbortSignal },
): void {
  const { gate, metrics, log, shutdown } = parts;
  parseJson(server);
  parseCaptionBodies(server);
  const methodsOf = routeMethods(server);
  const http: Server = server.server;
  http.on('checkExpectation', (request, response) => http.emit('request', request, response));
  server.addHook('onRequest', async (request, reply) => {
    reply.headers({
      'x-request-id': request.id,
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
    });
    // Ids are UUIDs, which some clients write in capitals.
    const params = (request.params ?? {}) as { id?: string };
    if (params.id !== undefined) params.id = params.id.toLowerCase();
    if (request.routeOptions.config.access !== 'probe') answerPages(request, reply);
    shutdown.throwIfAborted();
    refuseByHeaders(request);
    await gate(request);
    // `curl -X POST -d ''` names a type for a body of nothing.
    if (request.headers['content-length'] === '0' && !isMultipart(request)) delete request.headers['content-type'];
    if (!request.is404) return;
    const methods = methodsOf(request.url.split('?')[0] ?? '/');
    if (methods.length > 0 && isPreflight(request)) return answerPreflight(request, reply, methods);
    throw noSuchRoute(methods);
  });
  server.addHook('preParsing', async (request) => {
    refuseOtherTypes(request);
    const { raw } = request;
    if (raw.complete) return;
    if (isMultipart(request)) return endWhenSlow(raw);
    const timer = setTimeout(() => raw.complete || raw.destroy(), JSON_BODY_MS);
    raw.once('close', () => clearTimeout(timer)).once('end', () => clearTimeout(timer));
  });
  server.addHook('onResponse', async (request, reply) => {
    drain(request);
    const route = request.is404 ? 'unknown' : (request.routeOptions.url ?? 'unknown');
    metrics.observe(request.method, route, reply.statusCode, reply.elapsedTime / 1000);
    const level = route.startsWith('/health') || route === '/metrics' ? 'debug' : 'info';
    log[level](
      {
        reqId: request.id,
        method: request.method,
        route,
        status: reply.statusCode,
        ms: Math.round(reply.elapsedTime),
        tenant: request.tenant,
        ...videoIn(request),
      },
      'request',
    );
  });
}

const isMultipart = ({ headers }: FastifyRequest): boolean =>
  headers['content-type']?.toLowerCase().startsWith('multipart/') ?? false;

const mediaType = ({ headers }: FastifyRequest): string =>
  headers['content-type']?.split(';')[0]?.trim().toLowerCase() ?? '';

/** Which methods an address takes; none where there is nothing. */
function routeMethods(server: FastifyInstance): (path: string) => string[] {
  const routes: { path: RegExp; methods: string[] }[] = [];
  server.addHook('onRoute', ({ method, url }) => {
    const path = new RegExp(`^${url.replaceAll('.', '\\.').replaceAll('*', '.*').replace(/:\w+/g, '[^/]+')}$`);
    routes.push({ path, methods: [method].flat() });
  });
  return (path) => [...new Set(routes.filter((route) => route.path.test(path)).flatMap(({ methods }) => methods))];
}

function noSuchRoute(methods: string[]): ProblemError {
  if (methods.length === 0) return new ProblemError('route_not_found', 'See /docs for what there is.');
  const allow = methods.sort().join(', ');
  return new ProblemError('method_not_allowed', `It takes ${allow}.`, { headers: { allow } });
}

/** Only the ids we match routes by: never the address itself, which may carry a signature. */
function videoIn(request: FastifyRequest): { videoId?: string } {
  const { id } = (request.params ?? {}) as { id?: string };
  return id && request.routeOptions.url?.startsWith('/v1/videos/') ? { videoId: id.slice(0, 64) } : {};
}

/**
 * An answer that came before the end of its request (too large, no key): what still arrives is thrown away for a moment, since
 * closing at once would reset the connection and the client might never see the answer.
 */
function drain({ raw }: FastifyRequest): void {
  if (raw.complete || raw.destroyed) return;
  raw.unpipe();
  raw.resume();
  const timer = setTimeout(() => raw.destroy(), LINGER_MS);
  raw.once('close', () => clearTimeout(timer)).once('end', () => clearTimeout(timer));
}

/** JSON only; an empty body is no body (clients often send the header with none). */
function parseJson(server: FastifyInstance): void {
  const parse = server.getDefaultJsonParser('error', 'error');
  server.removeContentTypeParser(['application/json', 'text/plain']);
  server.addContentTypeParser(JSON_TYPE, { parseAs: 'string' }, (request, body, done) => {
    const text = body as string;
    if (text === '') return done(null, undefined);
    if (hasTooManyValues(text)) return done(tooManyValues());
    parse(request, text, (error, value) => {
      if (error) done(new ProblemError('json_invalid', error.message, { cause: error }));
      else done(null, value);
    });
  });
}

const CAPTIONS_ROUTE = '/v1/videos/:id/captions';
const CAPTION_TYPES = ['text/vtt', 'application/x-subrip', 'text/plain', 'application/octet-stream'];
const JSON_TYPE = 'application/json';
const FORM_TYPE = 'multipart/form-data';

/** A body of a type that its address does not take is told which it does. */
function refuseOtherTypes(request: FastifyRequest): void {
  const { method, headers, routeOptions } = request;
  const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
  if (!hasBody || method === 'GET' || method === 'HEAD') return;
  const route = routeOptions.url ?? '';
  const json = FORM_ROUTES.includes(route) ? [FORM_TYPE, JSON_TYPE] : [JSON_TYPE];
  const taken = route === CAPTIONS_ROUTE && method === 'PUT' ? CAPTION_TYPES : json;
  const type = mediaType(request);
  const coding = headers['content-encoding']?.toLowerCase() ?? 'identity';
  if (coding !== 'identity')
    throw new ProblemError('content_type_unsupported', 'Bodies are taken without a Content-Encoding.');
  if (taken.includes(type)) return;
  const detail = `This address takes ${taken.join(', ')}; the Content-Type is ${type ? type.slice(0, 100) : 'missing'}.`;
  throw new ProblemError('content_type_unsupported', detail);
}

/** Caption files come as they are, as `curl -T` sends them. */
function parseCaptionBodies(server: FastifyInstance): void {
  const limits = { parseAs: 'buffer', bodyLimit: MAX_CAPTION_BYTES } as const;
  server.addContentTypeParser(CAPTION_TYPES, limits, (_request, body, done) => done(null, body));
}
