/**
 * Entry of a worker thread: one window at a time through encoder and decoder alone, or through Silero VAD, so that tests see tokens and
 * probabilities, which do not leave the product's own thread. Runs the build, as the product does.
 */
import { parentPort, workerData } from 'node:worker_threads';

const built = new URL('../../dist/libs/models/', import.meta.url);
const load = (file: string) => import(new URL(file, built).href);
const { openSessions } = await load('sessions.js');
const runtime = { device: 'cpu', threads: 1, precision: 'fp32' };

async function whisper(folder: string) {
  const { readWhisperConfig, WHISPER_FILES } = await load('whisper/config.js');
  const { Encoder } = await load('whisper/encoder.js');
  const { Decoder } = await load('whisper/decoder.js');
  const { promptTokens } = await load('whisper/prompt.js');
  const config = await readWhisperConfig(folder);
  const { sessions } = await openSessions(
    folder,
    [{ file: WHISPER_FILES.encoder }, { file: WHISPER_FILES.decoder }],
    runtime,
  );
  const encoder = new Encoder(sessions[0], config.features);
  const decoder = new Decoder(sessions[1], config.decoder);
  return async ({ windows, options }: { windows: Float32Array[]; options: object }) => {
    const encoded = await encoder.encode(windows);
    const languages: string[] = [];
    if (config.decoder.languages.size > 1) {
      for (const window of windows) languages.push(await decoder.detectLanguage(await encoder.encode([window])));
    }
    return { decoded: await decoder.decode(encoded, promptTokens(config, { prompt: [], ...options })), languages };
  };
}

async function silero(file: string) {
  const { SileroDetector, SileroProbabilities } = await load('vad/silero.js');
  const { sessions } = await openSessions(
    new URL('.', `file://${file}`).pathname,
    [{ file: file.split('/').at(-1) }],
    runtime,
  );
  return async ({ pcm, pieces }: { pcm: Float32Array; pieces: number }) => {
    const probabilities = new SileroProbabilities(sessions[0]);
    const detector = new SileroDetector(sessions[0]);
    const out = { probabilities: [] as number[], active: [] as boolean[] };
    const take = (frames: { active: boolean }[]) => out.active.push(...frames.map(({ active }) => active));
    for (let from = 0; from < pcm.length; from += pieces) {
      const piece = pcm.subarray(from, from + pieces);
      out.probabilities.push(...(await probabilities.push(piece)));
      take(await detector.push(piece));
    }
    out.probabilities.push(...(await probabilities.flush()));
    take(await detector.flush());
    return out;
  };
}

const { folder, vadFile } = workerData as { folder?: string; vadFile?: string };
const answer = vadFile ? await silero(vadFile) : await whisper(folder as string);
parentPort?.on('message', async (question) => parentPort?.postMessage(await answer(question)));
