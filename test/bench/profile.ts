/** Where the inference thread's time goes: runs the product's thread with a stopwatch around onnxruntime's `run`. */
import { Worker } from 'node:worker_threads';
import type { FromThread } from '../../libs/models/engine.ts';

/** What the stopwatch adds up (stopwatch.ts). */
export const FIGURES = ['encoderMs', 'encoderWindows', 'decoderMs', 'decoderSteps', 'decoderRows'] as const;

/** Transcribes with a thread of its own; milliseconds inside the encoder and the decoder, windows, steps and the whole. */
export async function profileWhisper(
  folder: string,
  threads: number,
  pcm: Float32Array,
): Promise<Record<string, number>> {
  const figures = new Float64Array(new SharedArrayBuffer(FIGURES.length * 8));
  const spec = { kind: 'whisper', folder, runtime: { device: 'cpu', threads } };
  const worker = new Worker(new URL('./stopwatch.ts', import.meta.url), {
    workerData: { spec, gate: new Int32Array(new SharedArrayBuffer(8)), figures },
  });
  const call = (message: unknown) =>
    new Promise<unknown>((resolve, reject) => {
      worker.once('error', reject);
      worker.once('message', (answer: FromThread) => {
        worker.off('error', reject);
        if (answer.type === 'open' || answer.type === 'result') resolve(answer);
        else reject(new Error(answer.error.message));
      });
      if (message) worker.postMessage(message);
    });
  try {
    await call(undefined);
    let id = 1;
    const method = (name: string, args: unknown) => call({ type: 'call', id: id++, method: name, args });
    await method('begin', { stream: 1, language: 'en', task: 'transcribe' });
    figures.fill(0); // what warming up took does not count
    const from = performance.now();
    for (let at = 0; at < pcm.length; at += 16_000)
      await method('push', { stream: 1, pcm: pcm.slice(at, at + 16_000) });
    await method('finish', { stream: 1 });
    const wholeMs = performance.now() - from;
    return { wholeMs, ...Object.fromEntries(FIGURES.map((name, i) => [name, figures[i] as number])) };
  } finally {
    await worker.terminate();
  }
}
