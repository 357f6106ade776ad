/** CLIP and Whisper against bare onnxruntime and transformers.js, in turns, so that what else the machine does hits all sides alike. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Contestant, type Done, floats, type Setup, THREADS } from './contestant.ts';
import { type BenchModels, installPeers } from './models.ts';
import { median, progress, ROOT, type Row } from './report.ts';

const BATCHES = [1, 2, 4, 8, 16, 32];
const PEER = './peers/transformers.mjs';
const SAMPLE = join(ROOT, 'test/fixtures/sample/sample.mp4');

export async function encoders(models: BenchModels, { rounds, images, windows }: Effort): Promise<Row[]> {
  const peers = await installPeers();
  return [...(await clip(models.clip, peers, rounds, images)), ...(await whisper(models.whisper, peers, windows))];
}
export interface Effort {
  /** Times that the sides take turns. */
  rounds: number;
  /** Pictures of one turn. */
  images: number;
  /** Windows of speech, 30 s each. */
  windows: number;
}

async function clip(folder: string, peers: boolean, rounds: number, images: number): Promise<Row[]> {
  const setup = { model: 'clip', folder, threads: THREADS, files: ['onnx/vision_model.onnx'] } as const;
  progress('CLIP: loading');
  const ours = await Contestant.start('./ours.ts', setup);
  const bare = await Contestant.start('./bare.ts', setup);
  const peer = peers ? await startPeer(setup) : undefined;

  const speeds = (): Record<number, number[]> => Object.fromEntries(BATCHES.map((batch) => [batch, []]));
  const [ourSpeeds, bareSpeeds, peerSpeeds] = [speeds(), speeds(), speeds()];
  const ratios = speeds();
  const loopP99Ms: number[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const batch of BATCHES) {
      progress(`CLIP: round ${round + 1} of ${rounds}, batches of ${batch}`);
      const work = { batch, count: Math.max(images, batch) };
      const mine = await ours.run(work);
      const its = await bare.run(work);
      ourSpeeds[batch]?.push(perSecond(work.count, mine));
      bareSpeeds[batch]?.push(perSecond(work.count, its));
      ratios[batch]?.push(its.ms / mine.ms);
      loopP99Ms.push(mine.loopP99Ms as number);
      if (peer && (batch === 1 || batch === 8)) peerSpeeds[batch]?.push(perSecond(work.count, await peer.run(work)));
    }
  }
  progress('CLIP: two workers at once');
  const second = await Contestant.start('./ours.ts', setup);
  const shared: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const work = { batch: 8, count: Math.max(images, 8) };
    const alone = await ours.run(work);
    const both = await Promise.all([ours.run(work), second.run(work)]);
    shared.push((2 * alone.ms) / Math.max(...both.map(({ ms }) => ms)));
  }
  await second.stop();
  const speed = (all: Record<number, number[]>, batch: number) => median(all[batch] ?? []);
  const rows: Row[] = BATCHES.flatMap((batch): Row[] => [
    line(
      'CLIP',
      `images/s, batch ${batch}`,
      speed(ourSpeeds, batch),
      'images/s',
      `bare ${speed(bareSpeeds, batch).toFixed(1)}`,
    ),
    line('CLIP', `of bare onnxruntime, batch ${batch}`, median(ratios[batch] ?? []), 'x', '', { atLeast: 0.95 }),
  ]);
  const single = speed(ourSpeeds, 1);
  const worst = Math.min(...BATCHES.map((batch) => speed(ourSpeeds, batch) / single));
  rows.push(line('CLIP', 'two workers at once over one', median(shared), 'x', 'images/s of both', { atLeast: 0.9 }));
  rows.push(line('CLIP', 'slowest batch size over batch 1', worst, 'x', 'per image', { atLeast: 1 }));
  if (peer) {
    // The peer's better one of both ways counts.
    const [best, batch] =
      Math.max(speed(peerSpeeds, 1), speed(peerSpeeds, 8)) === speed(peerSpeeds, 1)
        ? [speed(peerSpeeds, 1), 1]
        : [speed(peerSpeeds, 8), 8];
    const note = `transformers.js ${best.toFixed(1)} images/s in batches of ${batch}`;
    rows.push(line('CLIP', 'of transformers.js', speed(ourSpeeds, 8) / best, 'x', note, { atLeast: 1.5 }));
  }
  rows.push(
    line('CLIP', 'main thread, event-loop delay p99', Math.max(...loopP99Ms), 'ms', 'while encoding', { atMost: 20 }),
  );
  rows.push(...(await lifeOf('CLIP', { ours, bare, peer })));
  return rows;
}

async function whisper(folder: string, peers: boolean, windows: number): Promise<Row[]> {
  progress('Whisper: loading');
  const scratch = await mkdtemp(join(tmpdir(), 'cuepoint-bench-audio-'));
  try {
    const audio = join(scratch, 'speech.f32');
    await writeFile(audio, await speech(windows));
    const encoder = { model: 'whisper', folder, threads: THREADS, files: ['onnx/encoder_model.onnx'] } as const;
    const ours = await Contestant.start('./ours.ts', encoder);
    const bare = await Contestant.start('./bare.ts', encoder);
    // The file that Cuepoint opens on the processor (libs/models/variants.ts).
    const [quantised, plain] = ['onnx/decoder_model_merged_quantized.onnx', 'onnx/decoder_model_merged.onnx'];
    const decoder = existsSync(join(folder, quantised)) ? quantised : plain;
    const files = ['onnx/encoder_model.onnx', decoder];
    const peer = peers ? await startPeer({ ...encoder, files }) : undefined;

    progress(`Whisper: ${windows} windows, ours`);
    const mine = await ours.run({ audio });
    const rows = [
      line(
        'Whisper',
        'times real time',
        (windows * 30_000) / mine.ms,
        'x',
        `${windows} windows of 30 s, ${mine.words} words`,
      ),
      line('Whisper', 'main thread, event-loop delay p99', mine.loopP99Ms as number, 'ms', 'while transcribing', {
        atMost: 20,
      }),
    ];
    if (peer) {
      progress(`Whisper: ${windows} windows, transformers.js`);
      const its = await peer.run({ audio });
      const again = await ours.run({ audio });
      const ms = (mine.ms + again.ms) / 2;
      const note = `words: ${mine.words} in ${(ms / 1000).toFixed(1)} s, ${its.words} in ${(its.ms / 1000).toFixed(1)} s`;
      rows.push(line('Whisper', 'of transformers.js', its.ms / ms, 'x', note, { atLeast: 3 }));
      progress(`Whisper: ${windows} windows, transformers.js as it comes`);
      const asItComes = await peer.run({ audio, overlap: true });
      rows.push(
        line('Whisper', 'of transformers.js as it comes', asItComes.ms / ms, 'x', 'its windows overlap by a third'),
      );
    }
    progress('Whisper: encoder and decoder by themselves');
    const before = await bare.run({ batch: 1, count: windows });
    const eight = await bare.run({ batch: 8, count: 8 });
    const own = await ours.run({ audio, profile: true });
    const after = await bare.run({ batch: 1, count: windows });
    const perWindow = (before.ms + after.ms) / 2 / windows;
    const { encoderMs, encoderWindows, decoderMs, decoderSteps, decoderRows, wholeMs } = own as Record<string, number>;
    const ratio = perWindow / ((encoderMs as number) / (encoderWindows as number));
    rows.push(
      line(
        'Whisper',
        'encoder, of bare onnxruntime',
        ratio,
        'x',
        `${perWindow.toFixed(0)} ms a window, bare; ${(eight.ms / 8).toFixed(0)} in a batch of 8`,
        { atLeast: 0.95 },
      ),
    );
    const rest = (wholeMs as number) - (encoderMs as number) - (decoderMs as number);
    const note = `${decoderSteps} steps for ${decoderRows} rows`;
    rows.push(
      line(
        'Whisper',
        'time in the encoder',
        (100 * (encoderMs as number)) / (wholeMs as number),
        '%',
        `${encoderWindows} windows`,
      ),
    );
    rows.push(line('Whisper', 'time in the decoder', (100 * (decoderMs as number)) / (wholeMs as number), '%', note));
    rows.push(
      line('Whisper', 'time elsewhere', (100 * rest) / (wholeMs as number), '%', 'speech detection, features, rules'),
    );
    rows.push(...(await lifeOf('Whisper', { ours, bare, peer })));
    return rows;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** transformers.js on the same files; where it cannot open them, that is said and its lines are left out. */
async function startPeer(setup: Setup): Promise<Contestant | undefined> {
  try {
    return await Contestant.start(PEER, setup);
  } catch (error) {
    console.log(`transformers.js cannot open ${setup.folder}: ${(error as Error).message.split('\n')[0]}`);
    return undefined;
  }
}

/** The sample's voice without its pauses, in stretches of 28 s with 2 s of silence between: everyone cuts it into the same windows. */
async function speech(windows: number): Promise<Uint8Array> {
  const args = ['-v', 'error', '-i', SAMPLE, '-vn', '-ac', '1', '-ar', '16000', '-f', 'f32le', 'pipe:1'];
  const { stdout } = await promisify(execFile)('ffmpeg', args, { encoding: 'buffer', maxBuffer: 2 ** 30 });
  const pcm = floats(stdout);
  const step = 800;
  const loud: Float32Array[] = [];
  for (let at = 0; at + step <= pcm.length; at += step) {
    const piece = pcm.subarray(at, at + step);
    if (Math.sqrt(piece.reduce((sum, x) => sum + x * x, 0) / step) > 0.02) loud.push(piece);
  }
  if (loud.length === 0) throw new Error('the sample is silent');
  const out = new Float32Array(windows * 30 * 16_000);
  for (let n = 0, from = 0; n < windows; n++) {
    for (let at = 0; at < 28 * 16_000; at += step)
      out.set(loud[from++ % loud.length] as Float32Array, n * 30 * 16_000 + at);
  }
  return new Uint8Array(out.buffer);
}

const perSecond = (count: number, { ms }: Done) => (count / ms) * 1000;

function line(part: string, measure: string, value: number, unit: string, note?: string, bar?: Row['bar']): Row {
  return { part, measure, value, unit, note, bar };
}

async function lifeOf(part: string, sides: { ours: Contestant; bare: Contestant; peer?: Contestant }): Promise<Row[]> {
  const rows: Row[] = [];
  const names = { ours: '', bare: ', bare onnxruntime', peer: ', transformers.js' };
  for (const [side, contestant] of Object.entries(sides) as [keyof typeof names, Contestant | undefined][]) {
    if (!contestant) continue;
    rows.push(line(part, `load and first run${names[side]}`, contestant.started.loadMs / 1000, 's'));
    rows.push(line(part, `peak memory${names[side]}`, await contestant.stop(), 'MB'));
  }
  return rows;
}
