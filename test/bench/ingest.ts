/** The frames stage of a long 1080p film in a real worker, against what the machine needs for its parts: decoding alone, encoding alone. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { openClip } from '#models';
import { probe, sampleFrames } from '#video';
import { startSystem } from '../worker/harness.ts';
import { pictures, THREADS } from './contestant.ts';
import type { BenchModels } from './models.ts';
import { median, progress, ROOT, type Row } from './report.ts';

const SAMPLE = join(ROOT, 'test/fixtures/sample/sample.mp4');
const INTERVAL_MS = 1000;

export async function ingest(
  models: BenchModels,
  { minutes, rounds }: { minutes: number; rounds: number },
): Promise<Row[]> {
  const film = await longFilm(minutes);
  const media = await probe(film);
  await using clip = await openClip(models.clip, { id: 'bench', towers: 'image', device: 'cpu', threads: THREADS });
  const scratch = await mkdtemp(join(tmpdir(), 'cuepoint-bench-frames-'));
  await using system = await startSystem({
    CLIP_MODEL: models.clip,
    SPEECH_CONCURRENCY: '0',
    SHARD_MINUTES: String(minutes),
    FRAME_INTERVAL_SECONDS: String(INTERVAL_MS / 1000),
  });
  try {
    const worker = await system.startWorker();
    const decodes: number[] = [];
    const encodes: number[] = [];
    const stages: number[] = [];
    let frames = 0;
    for (let round = 0; round < rounds; round++) {
      progress(`ingest: round ${round + 1} of ${rounds}, decoding alone`);
      let from = performance.now();
      const whole = { startMs: 0, endMs: media.durationMs, intervalMs: INTERVAL_MS };
      const sizes = { size: clip.imageSize, fit: clip.fit, thumbnailDir: scratch, thumbnailSize: 480 };
      frames = 0;
      for await (const _ of sampleFrames(film, { media, ...whole, ...sizes })) frames++;
      decodes.push(performance.now() - from);

      progress(`ingest: round ${round + 1} of ${rounds}, the whole stage`);
      const seen = worker.logs.length;
      const video = await system.addVideo(film);
      const { status, error } = await system.until(
        video.id,
        'its frames',
        (now) => now.stages.frames.state === 'done' || now.status === 'failed',
        30 * 60_000,
      );
      if (status === 'failed') throw new Error(`indexing failed: ${JSON.stringify(error)}`);
      const took = worker.logs.slice(seen).filter(({ queue, tookMs }) => queue === 'frames' && tookMs !== undefined);
      stages.push(took.reduce((sum, { tookMs }) => sum + (tookMs as number), 0));

      progress(`ingest: round ${round + 1} of ${rounds}, encoding alone`);
      from = performance.now();
      for (let done = 0; done < frames; done += clip.batch) {
        const count = Math.min(clip.batch, frames - done);
        await clip.encodeImages(pictures(count, clip.imageSize), count);
      }
      encodes.push(performance.now() - from);
    }
    const [decode, encode, stage] = [median(decodes), median(encodes), median(stages)].map((ms) => ms / 1000);
    const ratio = median(stages.map((ms, i) => ms / ((decodes[i] as number) + (encodes[i] as number))));
    const what = `${minutes} min of 1080p H.264, ${frames} frames`;
    return [
      { part: 'ingest', measure: 'decoding alone', value: decode as number, unit: 's', note: what },
      {
        part: 'ingest',
        measure: 'encoding alone',
        value: encode as number,
        unit: 's',
        note: `batches of ${clip.batch}`,
      },
      {
        part: 'ingest',
        measure: 'frames stage',
        value: stage as number,
        unit: 's',
        note: 'in a worker, with thumbnails and index',
      },
      {
        part: 'ingest',
        measure: 'frames stage over the sum of its parts',
        value: ratio,
        unit: 'x',
        bar: { atMost: 1.1 },
      },
      {
        part: 'ingest',
        measure: 'frames stage, times real time',
        value: media.durationMs / 1000 / (stage as number),
        unit: 'x',
      },
    ];
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Twenty seconds of the sample at 1080p with film grain, over and over. Made once a machine. */
async function longFilm(minutes: number): Promise<string> {
  const folder = join(tmpdir(), 'cuepoint-bench-cache');
  await mkdir(folder, { recursive: true });
  const ffmpeg = (...args: string[]) => promisify(execFile)('ffmpeg', ['-v', 'error', '-y', ...args]);
  const made = async (name: string, make: (aside: string) => Promise<unknown>) => {
    const path = join(folder, name);
    if (existsSync(path)) return path;
    const aside = join(folder, `${process.pid}-${name}`);
    await make(aside);
    await rename(aside, path);
    return path;
  };
  const piece = await made('piece-1080p.mp4', (aside) => {
    progress('ingest: making a 1080p film, once (up to a minute)');
    const look = 'scale=1920:1080:flags=bicubic,noise=alls=6:allf=t,fps=25';
    const codec = ['-c:v', 'libx264', '-preset', 'superfast', '-crf', '24', '-g', '125', '-pix_fmt', 'yuv420p'];
    return ffmpeg('-t', '20', '-i', SAMPLE, '-an', '-vf', look, ...codec, aside);
  });
  return made(`film-${minutes}min-1080p.mp4`, (aside) =>
    ffmpeg(
      '-stream_loop',
      '-1',
      '-i',
      piece,
      '-t',
      String(minutes * 60),
      '-c',
      'copy',
      '-movflags',
      '+faststart',
      aside,
    ),
  );
}
