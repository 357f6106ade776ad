import { Worker } from 'node:worker_threads';
import type {
  ArgsOf,
  Engine,
  EngineSpec,
  FromThread,
  MethodsOf,
  ResultOf,
  ThreadData,
  ToThread,
  WireError,
} from './engine.ts';
import { ModelError } from './errors.ts';
import { newGate, shutGate } from './gate.ts';

/**
 * onnxruntime (1.29 and later) would tell Microsoft of the models it opens (file names, hashes, hardware, times) and keep a device id in the user's cache.
 * Nothing of that leaves here. It reads this once, in the process that starts its threads.
 */
// biome-ignore lint/style/noProcessEnv: the only way to tell it
process.env.ORT_DISABLE_TELEMETRY = '1';

interface Pending {
  resolve(value: never): void;
  reject(reason: unknown): void;
}

/** A model that is open in a thread of its own, as one opener sees it. */
export interface EngineHandle<E extends Engine> {
  readonly info: E['info'];
  /** `transfer`: buffers that move to the thread. Aborting rejects at once; the thread stops at its next step. */
  call<K extends MethodsOf<E>>(
    method: K,
    args: ArgsOf<E, K>,
    options?: { transfer?: ArrayBuffer[]; signal?: AbortSignal },
  ): Promise<ResultOf<E, K>>;
  /** Lets calls under way finish. The thread ends with its last handle. */
  close(): Promise<void>;
}

/** Owns one worker thread: starts it, matches answers to calls, and starts it anew after it died. */
class InferenceThread {
  users = 0;
  readonly #spec: EngineSpec;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #ending = false;
  #worker: Worker | undefined;
  #opened: Promise<unknown> | undefined;

  constructor(spec: EngineSpec) {
    this.#spec = spec;
  }

  /** Facts of the opened model. Starts the thread if it isn't there. */
  open(): Promise<unknown> {
    this.#opened ??= this.#start();
    return this.#opened;
  }

  async call(method: string, args: unknown, transfer: ArrayBuffer[], signal?: AbortSignal): Promise<unknown> {
    signal?.throwIfAborted();
    await this.open();
    signal?.throwIfAborted();
    const worker = this.#worker;
    if (!worker) throw threadDied(this.#spec, 'it ended before the call');
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const send = (message: ToThread, moved: ArrayBuffer[] = []) => worker.postMessage(message, moved);
    const onAbort = () => {
      this.#pending.delete(id);
      send({ type: 'abort', id });
      reject(signal?.reason);
    };
    this.#pending.set(id, { resolve, reject });
    worker.ref();
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      send({ type: 'call', id, method, args }, transfer);
      return await promise;
    } finally {
      signal?.removeEventListener('abort', onAbort);
      this.#pending.delete(id);
      // While it is being closed, whoever closes it is waiting for it.
      if (this.#pending.size === 0 && !this.#ending) worker.unref();
    }
  }

  async end(): Promise<void> {
    const worker = this.#worker;
    if (!worker) return;
    const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
    this.#ending = true;
    worker.ref();
    worker.postMessage({ type: 'close' } satisfies ToThread);
    await exited;
  }

  #start(): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const gate = newGate();
    // The entry lies beside this file, built (.js) or run from source (.ts).
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    const worker = new Worker(new URL(`./worker.${extension}`, import.meta.url), {
      workerData: { spec: this.#spec, gate } satisfies ThreadData,
      name: `cuepoint-${this.#spec.kind}`,
      execArgv: [], // flags like --input-type are for the main script and would stop this one
    });
    let cause = 'it ended by itself';
    worker.on('error', (error) => {
      cause = error instanceof Error ? error.message : String(error);
    });
    const onProcessExit = () => shutGate(gate);
    process.once('exit', onProcessExit);
    worker.on('exit', () => {
      process.off('exit', onProcessExit);
      const error = threadDied(this.#spec, cause);
      this.#worker = undefined;
      this.#opened = undefined;
      reject(error);
      for (const call of this.#pending.values()) call.reject(error);
      this.#pending.clear();
    });
    worker.on('message', (message: FromThread) => {
      if (message.type === 'open') {
        worker.unref(); // an idle model does not keep the process alive
        resolve(message.info);
      } else if (message.type === 'refused') {
        reject(fromWire(message.error));
      } else if (message.type === 'result') {
        this.#pending.get(message.id)?.resolve(message.value as never);
      } else {
        this.#pending.get(message.id)?.reject(fromWire(message.error));
      }
    });
    this.#worker = worker;
    return promise;
  }
}

function fromWire(error: WireError): ModelError {
  return new ModelError(error.code, error.message, error.retryable);
}
function threadDied(spec: EngineSpec, cause: string): ModelError {
  return new ModelError('inference_failed', `the ${spec.kind} thread died: ${cause}`, true);
}

const threads = new Map<string, InferenceThread>();

/** Opens a model in a thread, or joins the thread that already holds it: one copy of a model a process. Throws ModelError. */
export async function openEngine<E extends Engine>(spec: EngineSpec): Promise<EngineHandle<E>> {
  const key = JSON.stringify(spec);
  let thread = threads.get(key);
  if (!thread) {
    thread = new InferenceThread(spec);
    threads.set(key, thread);
  }
  const shared = thread;
  shared.users++;
  const leave = async () => {
    shared.users--;
    if (shared.users > 0) return;
    if (threads.get(key) === shared) threads.delete(key);
    await shared.end();
  };
  let info: unknown;
  try {
    info = await shared.open();
  } catch (error) {
    await leave();
    throw error;
  }
  let closed: Promise<void> | undefined;
  return {
    info,
    async call(method, args, options = {}) {
      if (closed) throw new ModelError('inference_failed', `this ${spec.kind} is closed`);
      const result = await shared.call(method, args, options.transfer ?? [], options.signal);
      return result as ResultOf<E, typeof method>;
    },
    close() {
      closed ??= leave();
      return closed;
    },
  };
}
