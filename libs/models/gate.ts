/**
 * Keeps a process that exits from pulling an inference thread out from under onnxruntime: its native call would come back to a dying thread
 * and abort the whole process (`terminate called after throwing an instance of 'Napi::Error'`, exit code 134, seen with 1.30). The exiting
 * thread waits for the call under way; a thread that would start another sleeps until it is ended.
 */
const calls = 0;
const closed = 1;
/** Longer than one run of a large model takes. */
const longestWaitMs = 15_000;

/** The state of a gate, to be given to the inference thread. */
export const newGate = () => new Int32Array(new SharedArrayBuffer(8));

/** In the inference thread: does one native call. */
export async function throughGate<T>(gate: Int32Array, call: () => Promise<T>): Promise<T> {
  Atomics.store(gate, calls, 1);
  try {
    if (Atomics.load(gate, closed) === 0) return await call();
  } finally {
    Atomics.store(gate, calls, 0);
    Atomics.notify(gate, calls);
  }
  Atomics.wait(gate, closed, 1);
  throw new Error('the process is exiting');
}

/** In the exiting thread: blocks until no native call is under way, and lets no other start. */
export function shutGate(gate: Int32Array): void {
  Atomics.store(gate, closed, 1);
  Atomics.wait(gate, calls, 1, longestWaitMs);
}
