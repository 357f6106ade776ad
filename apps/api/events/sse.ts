import type { OutgoingHttpHeaders } from 'node:http';
import type { FastifyReply } from 'fastify';

const HEARTBEAT_MS = 15_000;

/** An event as it is sent. */
export const eventBytes = (id: string, event: string, data: unknown): Buffer =>
  Buffer.from(`id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`);

/**
 * Sends an event (`eventBytes`) for each item, until the items end, the client goes, or `shutdown` fires. `items` must stop on its signal; what they still
 * have to say then is sent.
 */
export async function sendEvents<T>(
  reply: FastifyReply,
  shutdown: AbortSignal,
  items: (signal: AbortSignal) => AsyncIterable<T>,
  event: (item: T) => Buffer,
): Promise<void> {
  const gone = new AbortController();
  const signal = AbortSignal.any([gone.signal, shutdown]);
  const { raw } = reply;
  reply.hijack();
  raw.once('close', () => gone.abort());
  raw.writeHead(200, {
    ...(reply.getHeaders() as OutgoingHttpHeaders), // those of every answer
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store, no-transform',
    'x-accel-buffering': 'no',
  });
  if (reply.request.method === 'HEAD') return void raw.end();
  raw.write('retry: 2000\n\n');
  // Each write counts as a sign of life: without them the socket's own time limit ends a client that stays but never reads.
  const heartbeat = setInterval(() => raw.writableNeedDrain || raw.write(': \n\n'), HEARTBEAT_MS);
  try {
    for await (const item of items(signal)) {
      if (gone.signal.aborted) break;
      const flowing = raw.write(event(item));
      if (!flowing) await drained(raw, signal);
    }
  } finally {
    clearInterval(heartbeat);
    gone.abort();
    raw.end();
  }
}

/** A client that does not read gets the newest state when it reads again, not a queue of old ones. */
function drained(raw: FastifyReply['raw'], signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      raw.off('drain', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    raw.once('drain', done);
    signal.addEventListener('abort', done, { once: true });
    if (signal.aborted) done();
  });
}
