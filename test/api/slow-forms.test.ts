import { EventEmitter } from 'node:events';
import { afterEach, expect, it, vi } from 'vitest';
import { importBuilt } from '../fixtures/api.ts';

const { endWhenSlow } = await importBuilt<typeof import('../../apps/api/http/slow-forms.ts')>('http/slow-forms.js');
afterEach(() => void vi.useRealTimers());

it.each<[string, { bytesASecond: number; paused?: boolean }, boolean]>([
  ['that brings a byte a second is ended', { bytesASecond: 1 }, true],
  ['that brings 2 KB a second goes on', { bytesASecond: 2048 }, false],
  ['that waits for us goes on', { bytesASecond: 0, paused: true }, false],
])('A form %s', (_, { bytesASecond, paused = false }, isEnded) => {
  vi.useFakeTimers();
  const socket = { bytesRead: 0, setTimeout: () => {} };
  const destroy = vi.fn();
  const raw = Object.assign(new EventEmitter(), { socket, destroy, isPaused: () => paused });
  endWhenSlow(raw as never);
  for (let second = 0; second < 300; second++) {
    socket.bytesRead += bytesASecond;
    vi.advanceTimersByTime(1000);
  }
  expect(destroy.mock.calls.length > 0).toBe(isEnded);
  raw.emit('end');
  expect(vi.getTimerCount()).toBe(0);
});
