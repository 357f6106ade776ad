import { isMarkedAsUntransferable } from 'node:worker_threads';

/**
 * A view whose memory may move to another thread: the given one where it owns all of its buffer, else a copy. Node's small Buffers share
 * one pool, which must stay.
 */
export function movable<T extends Uint8Array | Float32Array>(view: T): { view: T; transfer: ArrayBuffer[] } {
  const { buffer } = view;
  const whole =
    buffer instanceof ArrayBuffer && view.byteLength === buffer.byteLength && !isMarkedAsUntransferable(buffer);
  // Not slice(): a Buffer's slice is another view of the same memory.
  const own = whole ? view : ((view instanceof Uint8Array ? new Uint8Array(view) : new Float32Array(view)) as T);
  return { view: own, transfer: [own.buffer as ArrayBuffer] };
}
