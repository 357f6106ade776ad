/** transformers.js, through its own pipelines, on the same files. */
import { readFile } from 'node:fs/promises';
import { setPriority } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { env, pipeline, RawImage } from '@huggingface/transformers';
import { compete, floats, NICENESS, pictures } from '../contestant.ts';

setPriority(NICENESS);
await compete(async ({ model, folder, threads, files }) => {
  env.allowRemoteModels = false;
  env.localModelPath = dirname(folder);
  const dtype = (part) => (files.some((file) => file.includes(`${part}_quantized`)) ? 'q8' : 'fp32');
  const options = { device: 'cpu', session_options: { intraOpNumThreads: threads, interOpNumThreads: 1 } };
  if (model === 'clip') {
    const { vision_config } = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8'));
    const side = vision_config.image_size ?? 224;
    const extract = await pipeline('image-feature-extraction', basename(folder), {
      ...options,
      dtype: 'fp32',
    });
    const picture = (rgb) => new RawImage(rgb, side, side, 3);
    await extract([picture(pictures(1, side))]);
    return async ({ batch, count }) => {
      const all = pictures(batch, side);
      const size = side ** 2 * 3;
      const from = performance.now();
      for (let done = 0; done < count; done += batch) {
        const images = Array.from({ length: batch }, (_, i) => picture(all.slice(i * size, (i + 1) * size)));
        await extract(images);
      }
      return { ms: performance.now() - from };
    };
  }
  const transcribe = await pipeline('automatic-speech-recognition', basename(folder), {
    ...options,
    dtype: { encoder_model: dtype('encoder_model'), decoder_model_merged: dtype('decoder_model_merged') },
  });
  const settings = {
    language: 'en',
    task: 'transcribe',
    return_timestamps: true,
    chunk_length_s: 30,
    stride_length_s: 0,
  };
  // Unless told otherwise its windows overlap by a third, so that no word is lost where they meet.
  const overlapping = { ...settings, stride_length_s: undefined };
  await transcribe(new Float32Array(16_000), settings);
  return async ({ audio, overlap }) => {
    const pcm = floats(await readFile(audio));
    const { text } = await transcribe(pcm, overlap ? overlapping : settings);
    return { words: text.trim().split(/\s+/).length };
  };
});
