import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  openClip,
  openPassageEncoder,
  openWhisper,
  type Part,
  type ProfileName,
  type RuntimeInfo,
  resolveProfile,
} from '#models';
import { configureFfmpeg, decodeAudio, SAMPLE_RATE } from '#video';
import type { Context } from './command.ts';
import { configWith } from './environment.ts';
import { bytes } from './format.ts';

/** Speech to transcribe: the sample video's. */
const SAMPLE = fileURLToPath(new URL('../../../test/fixtures/sample/sample.mp4', import.meta.url));
const SPEECH_MS = 60_000;
const BATCH = 32;
/** As long as sentences are. */
const PASSAGES = Array.from(
  { length: BATCH },
  (_, i) => `The ${i + 1}. thing that is said here takes about as long as most sentences do.`,
);
/** Each model is measured for so long at least; one round of a slow one takes longer. */
const MEASURE_MS = 4_000;

/** Loads each model of a profile once and measures it with nothing else running in this process. */
export async function bench(profile: ProfileName | undefined, { terminal, signal }: Context): Promise<void> {
  const config = configWith({ MODEL_PROFILE: profile });
  configureFfmpeg(config.ffmpeg);
  const { device, threads } = config.models;
  const { clip, whisper, vad, text, ...resolved } = await resolveProfile({
    ...config.models,
    offline: true,
    allowFallback: false,
    signal,
  });
  const report = (
    part: Part,
    id: string,
    { value: { runtime }, tookMs, memoryBytes }: Opened<{ runtime: RuntimeInfo }>,
    speed: string,
    figures: Record<string, unknown>,
  ) => {
    const loaded = { loadMs: tookMs, memoryBytes };
    terminal.record({ type: 'bench', profile: resolved.profile, part, id, ...runtime, ...loaded, ...figures });
    const loadWords = `loaded in ${(tookMs / 1000).toFixed(1)} s, ${bytes(memoryBytes)} of memory`;
    terminal.result(`${part.padEnd(8)} ${id}\n         ${speed}, ${loadWords}, on ${runtime.device}`);
  };

  {
    const opened = await timed(() => openClip(clip.folder, { id: clip.id, towers: 'image', device, threads }));
    await using model = opened.value;
    const picture = model.imageSize ** 2 * 3;
    const pictures = () => Uint8Array.from({ length: BATCH * picture }, (_, i) => (i * 2_654_435_761) >>> 24);
    const { rounds, tookMs } = await repeated(() => model.encodeImages(pictures(), BATCH, signal), signal);
    const imagesPerSecond = round((rounds * BATCH * 1000) / tookMs);
    report('clip', clip.id, opened, `${imagesPerSecond} images/s`, { imagesPerSecond });
  }
  {
    const vadFile = vad && join(vad.folder, vad.files[0] as string);
    const opened = await timed(() => openWhisper(whisper.folder, { id: whisper.id, device, threads, vadFile }));
    await using model = opened.value;
    const speech: Float32Array[] = [];
    for await (const piece of decodeAudio(SAMPLE, { startMs: 0, endMs: SPEECH_MS }, signal)) speech.push(piece);
    const seconds = speech.reduce((sum, { length }) => sum + length, 0) / SAMPLE_RATE;
    const transcribe = async () => {
      for await (const _ of model.transcribe(pieces(speech), {}, signal));
    };
    const { rounds, tookMs } = await repeated(transcribe, signal);
    const realTimeFactor = round((rounds * seconds * 1000) / tookMs);
    report('whisper', whisper.id, opened, `${realTimeFactor}× real time`, { realTimeFactor, vad: vad?.id });
  }
  if (text) {
    const opened = await timed(() => openPassageEncoder(text.folder, { id: text.id, device, threads }));
    await using model = opened.value;
    const { rounds, tookMs } = await repeated(() => model.encodePassages(PASSAGES, signal), signal);
    const passagesPerSecond = round((rounds * PASSAGES.length * 1000) / tookMs);
    report('text', text.id, opened, `${passagesPerSecond} passages/s`, { passagesPerSecond });
  }
  const peakBytes = process.resourceUsage().maxRSS * 1024;
  terminal.record({ type: 'summary', profile: resolved.profile, peakMemoryBytes: peakBytes });
  terminal.result(`peak memory of this process: ${bytes(peakBytes)}`);
}

interface Opened<T> {
  value: T;
  tookMs: number;
  memoryBytes: number;
}
async function timed<T>(open: () => Promise<T>): Promise<Opened<T>> {
  const [begin, before] = [performance.now(), process.memoryUsage.rss()];
  const value = await open();
  return {
    value,
    tookMs: Math.round(performance.now() - begin),
    memoryBytes: Math.max(0, process.memoryUsage.rss() - before),
  };
}

async function repeated(
  work: () => Promise<unknown>,
  signal: AbortSignal,
): Promise<{ rounds: number; tookMs: number }> {
  const begin = performance.now();
  let rounds = 0;
  do {
    signal.throwIfAborted();
    await work();
    rounds++;
  } while (performance.now() - begin < MEASURE_MS);
  return { rounds, tookMs: performance.now() - begin };
}

async function* pieces(speech: Float32Array[]): AsyncGenerator<Float32Array> {
  for (const piece of speech) yield piece.slice();
}
const round = (value: number) => Math.round(value * 10) / 10;
