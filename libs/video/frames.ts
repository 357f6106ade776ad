import { randomBytes } from 'node:crypto';
import { access, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { blocks } from './blocks.ts';
import { MediaError } from './errors.ts';
import { fileUrl, ProcessFailed, runFfmpeg, stallLimitMs } from './ffmpeg.ts';
import type { MediaInfo, VideoInfo } from './probe.ts';
import { seekOptions } from './seek.ts';

/** One sampled picture. */
export interface Frame {
  /** True presentation time, milliseconds from the start of the file (not rounded to the sampling grid). */
  atMs: number;
  /** RGB, 8 bits a channel, rows from the top, `size * size * 3` bytes, at the model's input size. Owned by the receiver. */
  rgb: Uint8Array<ArrayBuffer>;
  /** Path of the JPEG thumbnail that the same pass wrote. */
  thumbnailPath: string;
}
export interface SampleOptions {
  media: MediaInfo;
  /** Time range [startMs, endMs) of the shard. */
  startMs: number;
  endMs: number;
  /** One frame a grid cell of this length; cells count from 0, so shards cut on the grid give the frames of an uncut run. */
  intervalMs: number;
  /** Side of the square the model takes; the centre square of the picture, scaled (bicubic). */
  size: number;
  /** Existing folder for thumbnails; the caller deletes it. */
  thumbnailDir: string;
  /** Longest side of a thumbnail in pixels; never scaled up. */
  thumbnailSize: number;
  /** Called when something of the range cannot be decoded and is left out. */
  onDamage?: () => unknown;
}

/** ffmpeg's -q:v for JPEG: 2 is best, 31 worst. */
const JPEG_QUALITY = 4;
/** What ffmpeg says of a packet that its decoder refuses, up to version 6 and since. A decoder's own complaints also come of seeking. */
const DAMAGE = /Error while decoding stream|Error submitting packet to decoder/;

/**
 * One ffmpeg pass over a time range of a local file: raw RGB through a pipe and thumbnails beside it. Gives the first frame of each grid
 * cell that has one. Backpressure reaches ffmpeg (the pipe is read only as fast as frames are taken), so memory does not grow. Ending
 * the iteration early or aborting kills ffmpeg. What cannot be decoded is left out: a range of which nothing can gives no frames.
 */
export async function* sampleFrames(path: string, options: SampleOptions, signal?: AbortSignal): AsyncGenerator<Frame> {
  const { media, startMs, endMs, intervalMs, size, thumbnailDir, thumbnailSize } = options;
  if (!media.video || endMs <= startMs) return;

  // Everything is compared in whole microseconds, so a frame falls into the same cell whichever shard looks at it.
  const fileStartUs = Math.round(media.startMs * 1000);
  const intervalUs = Math.max(1, Math.round(intervalMs * 1000));
  const fromUs = fileStartUs + Math.ceil(startMs * 1000);
  const toUs = fileStartUs + Math.ceil(endMs * 1000);
  const cell = (ptsUs: string) => `floor((${ptsUs}-(${fileStartUs}))/${intervalUs})`;
  const graph = [
    '[0:V:0]settb=1/1000000',
    `trim=start_pts=${fromUs}:end_pts=${toUs}`,
    `select='isnan(prev_selected_pts)+gt(${cell('pts')},${cell('prev_selected_pts')})'`,
    // The time of each frame that is let through, to file descriptor 3.
    `metadata=add:key=cuepoint:value=1,metadata=print:file='pipe\\:3':direct=1,split[picture][thumb];[picture]${modelInput(size)}[rgb];` +
      `[thumb]${thumbnail(media.video, thumbnailSize)}[jpeg]`,
  ].join(',');

  const times = new Times();
  const run = randomBytes(4).toString('hex');
  const folder = resolve(thumbnailDir);
  const thumbnailPath = (n: number) => join(folder, `${run}-${String(n).padStart(8, '0')}.jpg`);
  const thumbnails = `${fileUrl(folder).replaceAll('%', '%%')}/${run}-%08d.jpg`;
  // Timestamps are the file's own (-copyts), and encoders must not round them to the frame rate.
  const asIs = ['-fps_mode', 'passthrough', '-enc_time_base', '1:1000000'];
  const chunks = runFfmpeg(
    path,
    (command) =>
      command
        .complexFilter(graph)
        .output(thumbnails)
        .outputOptions('-map', '[jpeg]', ...asIs, '-c:v', 'mjpeg', '-q:v', `${JPEG_QUALITY}`)
        .outputOptions('-f', 'image2', '-start_number', '0', '-atomic_writing', '1')
        .output('pipe:1')
        .outputOptions('-map', '[rgb]', ...asIs, '-f', 'rawvideo'),
    {
      inputOptions: [
        ...['-an', '-sn', '-dn', '-copyts', '-noaccurate_seek'],
        ...(startMs > 0 ? await seekOptions(path, media, fromUs / 1e6, signal) : []),
      ],
      signal,
      onSideText: (text) => times.read(text),
      onStderr: (text) => DAMAGE.test(text) && options.onDamage?.(),
      // A frame is due once an interval; slow machines may need longer than real time for it.
      stallMs: stallLimitMs() + 10 * intervalMs,
    },
  );

  let n = 0;
  let lastCell = -1;
  try {
    for await (const rgb of blocks(chunks, size * size * 3)) {
      if (rgb.length < size * size * 3) break;
      const atUs = (await arrival('time', () => times.take(n), signal)).us - fileStartUs;
      const frame = { atMs: atUs / 1000, rgb, thumbnailPath: thumbnailPath(n) };
      await arrival('thumbnail', () => exists(frame.thumbnailPath), signal);
      n++;
      // When the picture's format changes midway ffmpeg builds its filters anew, and they forget which cell was the last.
      if (Math.floor(atUs / intervalUs) <= lastCell) {
        await rm(frame.thumbnailPath, { force: true });
        continue;
      }
      lastCell = Math.floor(atUs / intervalUs);
      yield frame;
    }
  } catch (error) {
    if (!(error instanceof ProcessFailed)) throw error;
    if (!/Cannot determine format of input stream|Nothing was written|matches no streams/.test(error.stderr))
      throw error.toMediaError();
  }
}

/** The centre square first, then its size: the same picture as scaling and then cropping, and a very long one costs no memory. */
function modelInput(size: number): string {
  const width = "'max(1,min(iw,round(ih/sar)))'";
  const height = "'max(1,min(ih,round(iw*sar)))'";
  return `crop=w=${width}:h=${height}:exact=1,scale=${size}:${size}:flags=bicubic,setsar=1,format=rgb24`;
}

/** Even sides, in the shape the first frame is shown in; if the shape changes midway, with bars. */
function thumbnail({ width, height }: VideoInfo, longest: number): string {
  const scale = Math.min(1, longest / Math.max(width, height));
  const even = (side: number) => Math.max(2, 2 * Math.floor((side * scale) / 2));
  const [w, h] = [even(width), even(height)];
  const sameShape = `lt(abs(dar*${height}/${width}-1),0.02)`;
  const fitWidth = `'if(${sameShape},${w},max(1,min(${w},round(${h}*dar))))'`;
  const fitHeight = `'if(${sameShape},${h},max(1,min(${h},round(${w}/dar))))'`;
  return `scale=w=${fitWidth}:h=${fitHeight}:flags=bicubic,setsar=1,pad=${w}:${h}:(ow-iw)/2:(oh-ih)/2,format=yuvj420p`;
}

/** Times of the frames, as ffmpeg's metadata filter prints them: `frame:0    pts:1001000 pts_time:1.001`. */
class Times {
  #text = '';
  readonly #us = new Map<number, number>();
  #seen = 0;

  read(text: string): void {
    const lines = (this.#text + text).split('\n');
    this.#text = lines.pop() ?? '';
    for (const line of lines) {
      const pts = /^frame:\d+\s+pts:(-?\d+)/.exec(line)?.[1];
      if (pts !== undefined) this.#us.set(this.#seen++, Number(pts));
    }
  }

  /** Hands out the presentation time of frame `n` in microseconds, once; undefined: not read yet. */
  take(n: number): { us: number } | undefined {
    const us = this.#us.get(n);
    this.#us.delete(n);
    return us === undefined ? undefined : { us };
  }
}

/** How long a frame's time and thumbnail may come after its picture. They come by ways of their own, nearly always before it. */
const SIDE_OUTPUT_MS = 30_000;
async function arrival<T>(what: string, look: () => T | Promise<T>, signal?: AbortSignal): Promise<NonNullable<T>> {
  for (const deadline = Date.now() + SIDE_OUTPUT_MS; ; await sleep(5)) {
    signal?.throwIfAborted();
    const found = await look();
    if (found) return found;
    if (Date.now() > deadline)
      throw new MediaError('ffmpeg_failed', `ffmpeg gave no ${what} for a frame (is the disk full?)`, true);
  }
}
/** ffmpeg writes a thumbnail aside and then renames it: what exists is whole. */
const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );
