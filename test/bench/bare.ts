/** onnxruntime-node alone, with its own defaults, over tensors that are ready: what the machine can do. */
import { setPriority } from 'node:os';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { compete, NICENESS } from './contestant.ts';

setPriority(NICENESS);
await compete(async ({ folder, threads, files }) => {
  const session = await InferenceSession.create(join(folder, files[0] as string), { intraOpNumThreads: threads });
  const [input] = session.inputMetadata;
  if (!input?.isTensor) throw new Error('the model takes no tensor');
  const { name } = input;
  const sizes = input.shape.slice(1).map((size, i) => (typeof size === 'number' ? size : ([80, 3000][i] as number)));
  const tensor = (batch: number) => {
    const shape = [batch, ...sizes];
    const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
    for (let i = 0; i < data.length; i++) data[i] = Math.sin(i);
    return new Tensor('float32', data, shape);
  };
  await session.run({ [name]: tensor(1) });
  return async ({ batch, count }) => {
    const feeds = { [name]: tensor(batch as number) };
    const from = performance.now();
    for (let done = 0; done < (count as number); done += batch as number) await session.run(feeds);
    return { ms: performance.now() - from };
  };
});
