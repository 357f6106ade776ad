/** The product's inference thread, with a stopwatch around every run of a session. */
import { workerData } from 'node:worker_threads';
import { InferenceSession, type Tensor } from 'onnxruntime-node';
import { FIGURES } from './profile.ts';

const { figures } = workerData as { figures: Float64Array };
const add = (name: (typeof FIGURES)[number], value: number) => {
  const at = FIGURES.indexOf(name);
  figures[at] = (figures[at] as number) + value;
};
const sessions = (InferenceSession as unknown as { prototype: InferenceSession }).prototype;
const original = sessions.run as (...args: unknown[]) => Promise<InferenceSession.ReturnType>;
sessions.run = async function (this: InferenceSession, ...args: unknown[]) {
  const from = performance.now();
  const outputs = await original.apply(this, args);
  const ms = performance.now() - from;
  const feeds = args[0] as Record<string, Tensor>;
  if (feeds.input_features) {
    add('encoderMs', ms);
    add('encoderWindows', feeds.input_features.dims[0] as number);
  } else if (feeds.input_ids) {
    add('decoderMs', ms);
    add('decoderSteps', 1);
    add('decoderRows', feeds.input_ids.dims[0] as number);
  }
  return outputs;
} as InferenceSession['run'];

await import('../../dist/libs/models/worker.js' as string);
