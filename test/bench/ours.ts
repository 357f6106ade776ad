/** Cuepoint's own encoders, as its worker uses them. */
import { readFile } from 'node:fs/promises';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { openClip, openWhisper } from '#models';
import { compete, floats, pictures, type Setup } from './contestant.ts';
import { profileWhisper } from './profile.ts';

const LOOP_RESOLUTION_MS = 5;

await compete((setup) => (setup.model === 'clip' ? clip(setup) : whisper(setup)));

async function clip({ folder, threads }: Setup) {
  const model = await openClip(folder, { id: 'bench', towers: 'image', device: 'cpu', threads });
  const size = model.imageSize ** 2 * 3;
  return async ({ batch, count }: Record<string, unknown>) => {
    const all = pictures(batch as number, model.imageSize);
    const loop = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
    loop.enable();
    // As the frames stage does: while a batch is encoded, the next one is gathered.
    let working: Promise<unknown> | undefined;
    for (let done = 0; done < (count as number); done += batch as number) {
      const rgb = new Uint8Array((batch as number) * size);
      rgb.set(all);
      const next = model.encodeImages(rgb, batch as number);
      await working;
      working = next;
    }
    await working;
    loop.disable();
    return { loopP99Ms: Math.max(0, loop.percentile(99) / 1e6 - LOOP_RESOLUTION_MS) };
  };
}

async function whisper({ folder, threads }: Setup) {
  const model = await openWhisper(folder, { id: 'bench', device: 'cpu', threads });
  return async ({ audio, profile }: Record<string, unknown>) => {
    const pcm = floats(await readFile(audio as string));
    if (profile) return profileWhisper(folder, threads, pcm);
    const loop = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
    loop.enable();
    let words = 0;
    async function* pieces() {
      for (let at = 0; at < pcm.length; at += 16_000) yield pcm.slice(at, at + 16_000);
    }
    for await (const segment of model.transcribe(pieces(), { language: model.languages[0] })) {
      words += segment.text.trim().split(/\s+/).length;
    }
    loop.disable();
    return { words, loopP99Ms: Math.max(0, loop.percentile(99) / 1e6 - LOOP_RESOLUTION_MS) };
  };
}
