import { EventEmitter } from 'node:events';
import { afterEach, expect, it, vi } from 'vitest';
import { importBuilt } from '../fixtures/api.ts';

const { sendEvents } = await importBuilt<typeof import('../../apps/api/events/sse.ts')>('events/sse.js');
afterEach(() => void vi.useRealTimers());

it('An event stream shows no sign of life to a client that does not read, so that its connection can time out', async () => {
  vi.useFakeTimers();
  const written: string[] = [];
  const raw = Object.assign(new EventEmitter(), {
    writableNeedDrain: false,
    writeHead: () => {},
    write: (text: string) => written.push(text),
    end: () => {},
  });
  const reply = { raw, hijack: () => {}, getHeaders: () => ({}), request: { method: 'GET' } };
  const never = async function* (signal: AbortSignal) {
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    yield* [];
  };
  const sending = sendEvents(reply as never, new AbortController().signal, never, () => Buffer.alloc(0));
  vi.advanceTimersByTime(60_000);
  const beats = written.length;
  expect(beats).toBeGreaterThan(3);
  raw.writableNeedDrain = true;
  vi.advanceTimersByTime(60_000);
  expect(written.length).toBe(beats);
  raw.emit('close');
  await sending;
});
