/**
 * Time and memory while indexing, measured on the embedded product as a user runs it, with the tiny models. One fresh product for each length
 * of video, so that the peak memory of one says nothing of the other.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { progress, ROOT, type Row } from './report.ts';
import { Running, repeated, waitFor } from './running.ts';

const SAMPLE = join(ROOT, 'test/fixtures/sample/sample.mp4');

interface Result {
  video: string;
  mediaSeconds: number;
  indexingSeconds: number;
  realtimeFactor: number;
  frames: number;
  passages: number;
  workerPeakMb: number;
  apiPeakMb: number;
  workerLoopP99Ms: number;
  apiLoopP99Ms: number;
}

async function measure(name: string, path: string): Promise<Result> {
  const dataDir = await mkdtemp(join(tmpdir(), 'cuepoint-bench-'));
  try {
    await using running = await Running.start(dataDir);
    const id = await running.upload(path, name);
    await running.apiLoopP99Ms(); // what came before the upload does not count
    // The worst of the worker's pulses.
    let workerLoopP99Ms = 0;
    const started = Date.now();
    const video = await waitFor('the video to be ready', 30 * 60_000, async () => {
      workerLoopP99Ms = Math.max(workerLoopP99Ms, await running.workerLoopP99Ms());
      const now = await running.json<{
        status: string;
        media: { duration: number };
        counts: { frames: number; passages: number };
        progress: number;
      }>(`/v1/videos/${id}`);
      progress(`product: ${name}: ${now.status} ${Math.round(now.progress * 100)} %`);
      return ['ready', 'failed'].includes(now.status) ? now : undefined;
    });
    if (video.status !== 'ready') throw new Error(`Indexing ended ${video.status}`);
    const indexingSeconds = (Date.now() - started) / 1000;
    return {
      video: name,
      mediaSeconds: video.media.duration,
      indexingSeconds,
      realtimeFactor: video.media.duration / indexingSeconds,
      frames: video.counts.frames,
      passages: video.counts.passages,
      workerPeakMb: await running.peakMb('worker'),
      apiPeakMb: await running.peakMb('api'),
      workerLoopP99Ms,
      apiLoopP99Ms: await running.apiLoopP99Ms(),
    };
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}

/** `longMinutes` of video against three. */
export async function product(longMinutes: number): Promise<Row[]> {
  const scratch = await mkdtemp(join(tmpdir(), 'cuepoint-bench-media-'));
  try {
    const path = join(scratch, 'long.mp4');
    await repeated(SAMPLE, path, longMinutes * 60);
    const short = await measure('the sample, 3 minutes', SAMPLE);
    const long = await measure(`the sample for ${longMinutes} minutes`, path);
    const loopP99Ms = Math.max(...[short, long].flatMap((run) => [run.apiLoopP99Ms, run.workerLoopP99Ms]));
    const part = 'product';
    return [
      ...[short, long].map(({ video, realtimeFactor, frames, passages }): Row => {
        const note = `tiny models, ${frames} frames, ${passages} passages`;
        return { part, measure: `times real time, ${video}`, value: realtimeFactor, unit: 'x', note };
      }),
      { part, measure: 'event-loop delay in api and worker, p99', value: loopP99Ms, unit: 'ms', bar: { atMost: 50 } },
      { part, measure: 'worker peak memory', value: long.workerPeakMb, unit: 'MB', note: long.video },
      {
        part,
        measure: `worker peak memory, ${longMinutes} minutes over 3`,
        value: long.workerPeakMb - short.workerPeakMb,
        unit: 'MB',
        bar: { atMost: 200 },
      },
      { part, measure: 'api peak memory', value: long.apiPeakMb, unit: 'MB', note: long.video },
    ];
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
