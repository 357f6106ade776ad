/** Entry of the inference thread: opens one engine, then answers calls one at a time, in order. */
import { constants, getPriority, setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { ClipEngine } from './clip/engine.ts';
import type { Engine, EngineSpec, FromThread, Reply, ThreadData, ToThread, WireError } from './engine.ts';
import { ModelError } from './errors.ts';
import { TextEngine } from './text/engine.ts';
import { WhisperEngine } from './whisper/engine.ts';

type Method = (args: unknown, signal: AbortSignal) => Promise<Reply<unknown>>;

function toWire(error: unknown): WireError {
  if (error instanceof ModelError) return { code: error.code, message: error.message, retryable: error.retryable };
  const message = error instanceof Error ? error.message : String(error);
  return { code: 'inference_failed', message: `inference failed: ${message}`, retryable: false };
}

async function open(spec: EngineSpec): Promise<Engine> {
  if (spec.kind === 'clip') return ClipEngine.open(spec);
  if (spec.kind === 'text') return TextEngine.open(spec);
  return WhisperEngine.open(spec);
}

/**
 * Inference takes every core there is; the thread that renews locks and answers requests goes first, then what a request waits for. On Linux a priority is
 * a thread's own (setpriority(2), "C library/kernel differences"), and onnxruntime's threads inherit it.
 */
const NICER_BY = { ofRequests: 3, ofIndexing: 10 };
/** More than the process has: to be less nice than it was started takes a privilege. */
function yieldBy(more: number): void {
  if (process.platform === 'linux') setPriority(Math.min(constants.priority.PRIORITY_LOW, getPriority() + more));
}

async function serve(): Promise<void> {
  const { spec } = workerData as ThreadData;
  yieldBy(spec.runtime.interactive ? NICER_BY.ofRequests : NICER_BY.ofIndexing);
  const port = parentPort;
  if (!port) throw new Error('worker.ts runs in a worker thread only');
  const post = (message: FromThread, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer);

  let engine: Engine;
  try {
    engine = await open(spec);
  } catch (error) {
    post({ type: 'refused', error: toWire(error) });
    return;
  }
  post({ type: 'open', info: engine.info });

  const running = new Map<number, AbortController>();
  let queue = Promise.resolve();
  port.on('message', (message: ToThread) => {
    if (message.type === 'abort') {
      running.get(message.id)?.abort();
    } else if (message.type === 'close') {
      queue = queue.then(async () => {
        await engine.close();
        port.close();
      });
    } else {
      const { id, method, args } = message;
      const abort = new AbortController();
      running.set(id, abort);
      queue = queue.then(async () => {
        try {
          abort.signal.throwIfAborted();
          const call = (engine as unknown as Record<string, Method>)[method];
          if (!call) throw new Error(`no method ${method}`);
          const { value, transfer } = await call.call(engine, args, abort.signal);
          post({ type: 'result', id, value }, transfer);
        } catch (error) {
          post({ type: 'error', id, error: toWire(error) });
        } finally {
          running.delete(id);
        }
      });
    }
  });
}

await serve();
