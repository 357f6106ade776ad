import { type LookupAddress, type LookupOptions, lookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import type { Agent } from 'undici';
import { addressAllowed, BAD_PORTS, literalAddress, parseUrl, type Reach, refuse } from './address.ts';
import { NetError } from './errors.ts';

const CONNECT_TIMEOUT_MS = 10_000;
const DEFAULT_TIMEOUT_MS = 30_000;
/** A body that stays silent for so long is given up; a long body that flows is not. */
const BODY_SILENCE_MS = 60_000;

/** Loaded with the first request: an api that only checks addresses starts without it. */
const undici = () => import('undici');

/**
 * Each dns.lookup holds one of libuv's four threads until it is answered, and files are written by the same threads: names of a
 * server that keeps silent must not take them all.
 */
const LOOKUPS_AT_ONCE = 2;
let lookups = 0;
const waiting: (() => void)[] = [];
const lookupOneOfFew: typeof lookupAll = (hostname, options, callback) => {
  const start = () => {
    lookups++;
    lookupAll(hostname, options, (error, found) => {
      lookups--;
      waiting.shift()?.();
      callback(error, found);
    });
  };
  if (lookups < LOOKUPS_AT_ONCE) start();
  else waiting.push(start);
};
function lookupAll(
  hostname: string,
  options: LookupOptions,
  callback: (error: NodeJS.ErrnoException | null, found: LookupAddress[]) => void,
): void {
  lookup(hostname, { ...options, all: true }, (error, found = []) => callback(error, found));
}

/** dns.lookup that refuses a name when any of its addresses is refused. Runs when a socket is opened, so a second DNS answer can't slip past an earlier check. */
function guardedLookup(reach: Reach): LookupFunction {
  return (hostname, options, callback) => {
    lookupOneOfFew(hostname, options, (error, found) => {
      const bad = found.find(({ address }) => !addressAllowed(address, reach));
      const first = found[0];
      if (error || bad || !first) {
        const reason = error ?? (bad ? refuse(hostname) : new Error(`${hostname} has no address`));
        return callback(reason, []);
      }
      return options.all ? callback(null, found) : callback(null, first.address, first.family);
    });
  };
}

/** One agent a reach: its open sockets have been checked under that reach. Proxies of the environment are not used: they would resolve names themselves. */
async function guardedAgent(reach: Reach): Promise<Agent> {
  const { Agent, buildConnector } = await undici();
  const connect = buildConnector({ lookup: guardedLookup(reach), timeout: CONNECT_TIMEOUT_MS, allowH2: false });
  return new Agent({
    bodyTimeout: BODY_SILENCE_MS,
    headersTimeout: 0, // guardedFetch has its own clock
    allowH2: false,
    connect: (options, callback) => {
      // net.connect does not look up what is an address already, so that case is checked here.
      const literal = literalAddress(options.hostname);
      if (literal && !addressAllowed(literal, reach)) return callback(refuse(literal), null);
      return connect(options, callback);
    },
  });
}
const agents = new Map<Reach, Promise<Agent>>();
function agentOf(reach: Reach): Promise<Agent> {
  const agent = agents.get(reach) ?? guardedAgent(reach);
  agents.set(reach, agent);
  return agent;
}

const badPort = ({ port }: URL) => new NetError('url_invalid', `Port ${port} belongs to another protocol than HTTP`);

function toNetError(error: unknown, url: URL): NetError {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof NetError) return cause;
    if (cause.name.includes('Timeout')) {
      return new NetError('request_timeout', `${url.host} did not answer in time`, true);
    }
    if (cause.message === 'bad port') {
      return badPort(url);
    }
    if ((cause as NodeJS.ErrnoException).code === 'ENOTFOUND')
      return new NetError('request_failed', `There is no host ${url.hostname}`, true);
    if (!cause.cause) return new NetError('request_failed', `${url.host}: ${cause.message}`, true);
  }
  return new NetError('request_failed', `${url.host}: ${String(error)}`, true);
}

/** Checks scheme, host, resolved addresses and port now, so that a caller gets an early answer; the request checks again when it connects. */
export async function checkUrl(text: string, reach: Reach): Promise<void> {
  const url = parseUrl(text);
  const literal = literalAddress(url.hostname);
  if (literal) {
    if (!addressAllowed(literal, reach)) throw refuse(literal);
  } else {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    guardedLookup(reach)(url.hostname, { all: true }, (error) => (error ? reject(error) : resolve()));
    await promise.catch((error: unknown) => {
      throw toNetError(error, url);
    });
  }
  if (BAD_PORTS.has(url.port)) throw badPort(url);
}

export interface GuardedOptions {
  reach: Reach;
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  /** Default 0: a redirect is given back as it came. */
  maxRedirects?: number;
  /** Until the headers of the last answer are there, redirects included (default 30 s). The body has its own limit on silence. */
  timeoutMs?: number;
  signal?: AbortSignal;
}

/**
 * fetch (undici) that connects only to addresses `reach` allows, checked after DNS resolution at connect time; redirects are
 * followed only where asked, each checked anew. The body streams; read it or cancel it. Throws NetError, or the signal's reason.
 */
export async function guardedFetch(text: string, options: GuardedOptions): Promise<Response> {
  const { reach, headers, signal, maxRedirects = 0, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  let { method = 'GET', body } = options;
  let url = parseUrl(text);
  const { fetch } = await undici();
  const dispatcher = await agentOf(reach);
  const clock = new AbortController();
  const timer = setTimeout(
    () => clock.abort(new NetError('request_timeout', `${url.host} did not answer within ${timeoutMs / 1000} s`, true)),
    timeoutMs,
  );
  try {
    for (let redirects = 0; ; redirects++) {
      const response = await fetch(url, {
        method,
        headers,
        body,
        redirect: 'manual',
        dispatcher,
        signal: signal ? AbortSignal.any([signal, clock.signal]) : clock.signal,
      }).catch((error: unknown) => {
        if (signal?.aborted) throw signal.reason;
        throw toNetError(clock.signal.aborted ? clock.signal.reason : error, url);
      });
      const location = response.headers.get('location');
      if (maxRedirects === 0 || !location || ![301, 302, 303, 307, 308].includes(response.status)) {
        return response as unknown as Response; // undici's class has the same face as the global one
      }
      await response.body?.cancel();
      if (redirects === maxRedirects) {
        throw new NetError('request_failed', `${url.host} redirects more than ${maxRedirects} times`);
      }
      const next = parseUrl(URL.parse(location, url.href)?.href ?? location);
      // As browsers do (fetch standard, HTTP-redirect fetch): 303, and 301/302 after POST, go on as GET.
      if (response.status === 303 || (response.status < 303 && method === 'POST')) [method, body] = ['GET', undefined];
      url = next;
    }
  } finally {
    clearTimeout(timer);
  }
}
