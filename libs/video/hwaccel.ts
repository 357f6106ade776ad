import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { ffmpegSettings, frameRateOption, runFfmpeg } from './ffmpeg.ts';
import type { VideoInfo } from './probe.ts';
import { videoStream } from './seek.ts';

/** What `auto` tries, where its device is there. */
const CANDIDATES: { name: string; here: () => boolean }[] = [
  { name: 'cuda', here: () => existsSync('/dev/nvidiactl') || existsSync('/dev/dxg') },
  { name: 'vaapi', here: () => existsSync('/dev/dri/renderD128') },
  { name: 'videotoolbox', here: () => process.platform === 'darwin' },
  { name: 'd3d11va', here: () => process.platform === 'win32' },
];
/** Their standards fix every bit of the decoded picture, so it does not matter which worker decodes; MPEG-2's and MPEG-4's do not. */
const EXACT_CODECS = new Set(['h264', 'hevc', 'vp8', 'vp9', 'av1']);
/** Smaller pictures are decoded in less time than a GPU takes to start. */
const SMALLEST_PIXELS = 1280 * 720;
const TRIED_PICTURES = 3;
const TRIAL_MS = 20_000;

/** By name, codec and picture size. */
const trials = new Map<string, Promise<boolean>>();

/**
 * Input options that decode a file on a GPU; none where the setting says so, where that gains nothing, or where the GPU does not give the
 * same first pictures, bit for bit, as the processor does (tried once a process for each codec and size; said in the log).
 *
 * Only the way back to software is tested: there was no GPU with a video decoder to develop on. Hence the setting's default, `none`.
 */
export async function hwaccelOptions(path: string, video: VideoInfo, signal?: AbortSignal): Promise<string[]> {
  const { hwaccel, onNote } = ffmpegSettings();
  if (hwaccel === 'none' || !EXACT_CODECS.has(video.codec)) return [];
  if (hwaccel === 'auto' && video.width * video.height < SMALLEST_PIXELS) return [];
  const names = hwaccel === 'auto' ? CANDIDATES.filter(({ here }) => here()).map(({ name }) => name) : [hwaccel];
  for (const name of names) {
    const key = `${name} ${video.codec} ${video.width}x${video.height}`;
    let trial = trials.get(key);
    if (!trial) {
      trial = decodesAlike(path, name, video, signal).then((alike) => {
        onNote(
          alike
            ? `${video.codec} is decoded by ${name}`
            : `${video.codec} is decoded in software: ${name} does not work`,
        );
        return alike;
      });
      trials.set(key, trial);
      // Aborted: no answer. Whoever comes next asks again.
      trial.catch(() => trials.delete(key));
    }
    if (await trial) return ['-hwaccel', name];
  }
  return [];
}

async function decodesAlike(path: string, name: string, video: VideoInfo, signal?: AbortSignal): Promise<boolean> {
  const asIs = [await frameRateOption(), 'passthrough'];
  const pictures = async (inputOptions: string[]) => {
    const hash = createHash('sha256');
    let bytes = 0;
    let fellBack = false;
    const raw = runFfmpeg(
      path,
      (command) =>
        command
          .output('pipe:1')
          .outputOptions('-map', `0:${videoStream(video)}`, ...asIs, '-frames:v', `${TRIED_PICTURES}`)
          .outputOptions('-vf', 'format=yuv420p', '-f', 'rawvideo'),
      {
        inputOptions: ['-an', '-sn', '-dn', ...inputOptions],
        signal,
        stallMs: TRIAL_MS,
        // ffmpeg goes on in software by itself where the GPU lacks the codec.
        onStderr: (text) => {
          fellBack ||= /hwaccel/i.test(text);
        },
      },
    );
    for await (const chunk of raw) {
      hash.update(chunk);
      bytes += chunk.length;
    }
    return bytes > 0 && !fellBack ? hash.digest('hex') : undefined;
  };
  try {
    const onGpu = await pictures(['-hwaccel', name]);
    return onGpu !== undefined && onGpu === (await pictures([]));
  } catch (error) {
    if (signal?.aborted) throw error;
    return false;
  }
}

/** After a failure midway (memory of the GPU, sessions of its decoder): the next try, and all after it, are decoded in software. */
export function giveUpHwaccel(): void {
  const { hwaccel, onNote } = ffmpegSettings();
  if (hwaccel === 'none') return;
  onNote('decoding on the GPU failed midway: this process goes on in software');
  for (const key of trials.keys()) trials.set(key, Promise.resolve(false));
}
