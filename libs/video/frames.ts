import { randomBytes } from 'node:crypto';
import { access, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { blocks } from './blocks.ts';
import { TURN_SEC } from './clock.ts';
import { MediaError } from './errors.ts';
import { ffmpegSettings, fileUrl, frameRateOption, ProcessFailed, runFfmpeg } from './ffmpeg.ts';
import { giveUpHwaccel, hwaccelOptions } from './hwaccel.ts';
import type { MediaInfo, VideoInfo } from './probe.ts';
import { seekOptions, videoStream } from './seek.ts';
import { chooseDecoding, type Decoding } from './strategy.ts';

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
  /**
   * In place of one frame an interval: one wherever the scene changes (at most one an interval), and one each `maxGapMs`, which is a multiple
   * of the interval. Every picture is decoded. Shards cut on the grid of `maxGapMs` give the frames of an uncut run: what a scene is
   * compared with lies before the shard, and is decoded on the way from the keyframe before it. Only right after a border where there is
   * no such picture (a keyframe on the border itself, fewer than 4 pictures a second) may a change be seen that is none, or missed.
   */
  adaptive?: { maxGapMs: number };
  /** Side of the square the model takes, scaled bicubic. */
  size: number;
  /** How a picture becomes a square: its centre square is taken (CLIP), or all of it is squashed (SigLIP). Default: crop. */
  fit?: 'crop' | 'squash';
  /** Existing folder for thumbnails; the caller deletes it. */
  thumbnailDir: string;
  /** Longest side of a thumbnail in pixels; never scaled up. */
  thumbnailSize: number;
  /** Called when something of the range cannot be decoded and is left out. */
  onDamage?: () => unknown;
}

/** Difference from the picture before, 0 to 1, from which it is another scene: what ffmpeg's scdet filter takes by default. */
const SCENE_CHANGE = 0.1;
/**
 * A range ends with so many pictures in a row beyond it: some may have wrong times (a cluster of Matroska: 5 s). Fewer where they are sparse, or
 * keyframes alone; no more than at 60 a second, as headers may state any rate.
 */
const BEYOND = { least: 3, sec: 5, most: 300 };
/** ffmpeg's -q:v for JPEG: 2 is best, 31 worst. */
const JPEG_QUALITY = 4;
/**
 * What ffmpeg says of a packet that its decoder refuses, up to version 6 and since (a decoder's own complaints also come of seeking), and of a place
 * where Matroska, FLV and MPEG-TS go on with something else, so that packets are missing.
 */
const DAMAGE = new RegExp(
  'Error while decoding stream|Error submitting packet to decoder|' +
    'an? EBML number|exceeds containing master element|inside parent with finite size|Packet mismatch|max resync size reached',
);

/**
 * Raw RGB through a pipe and thumbnails beside it, of a time range of a local file. Gives at most one frame a grid cell: its first picture,
 * or its first keyframe where `chooseDecoding` says that keyframes suffice and they do (`atMs` is the true time in both cases). Backpressure reaches
 * ffmpeg (the pipe is read only as fast as frames are taken), so memory does not grow. Ending the iteration early or aborting kills
 * ffmpeg. What cannot be decoded is left out: a range of which nothing can gives no frames.
 */
export async function* sampleFrames(path: string, options: SampleOptions, signal?: AbortSignal): AsyncGenerator<Frame> {
  const { media, startMs, endMs, intervalMs } = options;
  if (!media.video || endMs <= startMs) return;
  const decoding = options.adaptive ? 'all' : chooseDecoding(media, intervalMs);
  if (decoding === 'all') {
    yield* decodeRange(path, options, 'all', signal);
    return;
  }
  // Keyframes are less than two intervals apart. Two cells without: one is damaged, or no picture that can be decoded by itself, though the
  // index calls it a keyframe (intra refresh, which spreads one over many pictures). There, every picture is decoded.
  async function* fill(from: number, until: number): AsyncGenerator<Frame> {
    if (until - from < 2) return;
    const range = { startMs: Math.max(startMs, from * intervalMs), endMs: until * intervalMs };
    let missing = until - from;
    for await (const frame of decodeRange(path, { ...options, ...range }, 'all', signal)) {
      missing--;
      yield frame;
    }
    if (missing >= 2) options.onDamage?.();
  }
  let next = Math.floor(startMs / intervalMs);
  for await (const frame of keyframesOf(path, options, decoding, signal)) {
    const cell = Math.floor(frame.atMs / intervalMs);
    yield* fill(next, cell);
    next = cell + 1;
    yield frame;
  }
  yield* fill(next, Math.floor(endMs / intervalMs));
}

async function* keyframesOf(
  path: string,
  options: SampleOptions,
  decoding: Decoding,
  signal?: AbortSignal,
): AsyncGenerator<Frame> {
  const { startMs, endMs, intervalMs } = options;
  if (decoding !== 'seek') {
    yield* decodeRange(path, options, decoding, signal);
    return;
  }
  for (let cell = Math.floor(startMs / intervalMs); cell * intervalMs < endMs; cell++) {
    const range = {
      startMs: Math.max(startMs, cell * intervalMs),
      endMs: Math.min(endMs, (cell + 1) * intervalMs),
    };
    yield* decodeRange(path, { ...options, ...range }, decoding, signal);
  }
}

/** One run of ffmpeg. `seek`: it ends with the first frame of the range. */
async function* decodeRange(
  path: string,
  options: SampleOptions,
  decoding: Decoding,
  signal?: AbortSignal,
): AsyncGenerator<Frame> {
  const { media, startMs, endMs, intervalMs, adaptive, size, fit = 'crop', thumbnailDir, thumbnailSize } = options;
  const video = media.video as VideoInfo;

  // Everything is compared in whole microseconds, so a frame falls into the same cell whichever shard looks at it.
  const fileStartUs = Math.round(media.startMs * 1000);
  const intervalUs = toUs(intervalMs);
  const fromUs = fileStartUs + ceilUs(startMs);
  const untilUs = fileStartUs + ceilUs(endMs);
  const dense = decoding === 'all' ? Math.ceil(BEYOND.sec * video.fps) : 0;
  const beyond = Math.min(BEYOND.most, Math.max(BEYOND.least, dense));
  const lateUs = video.lateFrames && video.fps ? Math.round((video.lateFrames * 1e6) / video.fps) : 0;
  const newCell = (cellUs: number) => {
    const cell = (ptsUs: string) => `floor((${ptsUs}-(${fileStartUs}))/${cellUs})`;
    return `not(eq(${cell('pts')},${cell('prev_selected_pts')}))`;
  };
  const graph = [
    `[0:${videoStream(video)}]settb=1/1000000`,
    ...(fileStartUs > TURN_US / 2 ? [`setpts='PTS+${TURN_US}*lt(PTS,${fileStartUs - TURN_US / 2})'`] : []),
    ...(lateUs ? [`setpts='max(PTS-${lateUs},${fileStartUs})'`] : []),
    `select='if(lt(pts,${untilUs}),1+0*st(0,0),gte(st(0,ld(0)+1),${beyond}))'`,
    // A change of scene is a difference from what came before, which may lie before the range.
    `trim=${adaptive ? '' : `start_pts=${fromUs}:`}end_pts=${untilUs}`,
    adaptive
      ? `select='gte(pts,${fromUs})*(isnan(prev_selected_pts)+${newCell(toUs(adaptive.maxGapMs))}+gt(scene,${SCENE_CHANGE})*${newCell(intervalUs)})'`
      : `select='${decoding === 'all' ? '' : 'key*'}(isnan(prev_selected_pts)+${newCell(intervalUs)})'`,
    // The time of each frame that is let through, to file descriptor 3.
    `metadata=add:key=cuepoint:value=1,metadata=print:file='pipe\\:3':direct=1`,
    // Encoders take no times that go back.
    `setpts='st(0,max(ld(0)+1,PTS))'`,
    ...(video.interlaced ? ['estdif=mode=frame:deint=interlaced'] : []),
    `split[picture][thumb];[picture]${modelInput(size, fit, video)}[rgb];[thumb]${thumbnail(video, thumbnailSize)}[jpeg]`,
  ].join(',');

  const times = new Times();
  let ended = false;
  const run = randomBytes(4).toString('hex');
  const folder = resolve(thumbnailDir);
  const thumbnailPath = (n: number) => join(folder, `${run}-${String(n).padStart(8, '0')}.jpg`);
  const thumbnails = `${fileUrl(folder).replaceAll('%', '%%')}/${run}-%08d.jpg`;
  // Timestamps are the file's own (-copyts), and encoders must not round them to the frame rate.
  const asIs = [await frameRateOption(), 'passthrough', '-enc_time_base', '1:1000000'];
  const count = decoding === 'seek' ? ['-frames:v', '1'] : [];
  const keyframesOnly = decoding === 'all' ? [] : ['-skip_frame', 'nokey'];
  // Starting a GPU costs more than decoding a few keyframes.
  const hwaccel = decoding === 'all' ? await hwaccelOptions(path, video, signal) : [];
  const chunks = runFfmpeg(
    path,
    (command) =>
      command
        .complexFilter(graph)
        .output(thumbnails)
        .outputOptions('-map', '[jpeg]', ...asIs, ...count, '-c:v', 'mjpeg', '-q:v', `${JPEG_QUALITY}`)
        .outputOptions('-f', 'image2', '-start_number', '0', '-atomic_writing', '1')
        .output('pipe:1')
        .outputOptions('-map', '[rgb]', ...asIs, ...count, '-f', 'rawvideo'),
    {
      inputOptions: [
        ...['-an', '-sn', '-dn', '-copyts', '-noaccurate_seek', ...keyframesOnly, ...hwaccel],
        ...(startMs > 0 ? await seekOptions(path, media, fromUs / 1e6, signal) : []),
      ],
      signal,
      onSideText: (text) => times.read(text),
      onEnd: () => {
        ended = true;
      },
      onStderr: (text) => DAMAGE.test(text) && options.onDamage?.(),
      // A frame is due once an interval; slow machines may need longer than real time for it.
      stallMs: ffmpegSettings().stallMs + 10 * (adaptive?.maxGapMs ?? intervalMs),
    },
  );

  let n = 0;
  const cellOf = ({ atMs }: Frame) => Math.floor(Math.round(atMs * 1000) / intervalUs);
  let lastCell = -1;
  /** Waits for the one after it: where the clock goes back to what comes after `lastCell`, its time is wrong. */
  let held: Frame | undefined;
  let incomplete = false;
  const arrives = <T>(look: () => T | Promise<T>) => arrival(look, () => ended, signal);
  try {
    for await (const rgb of blocks(chunks, size * size * 3)) {
      if (incomplete) continue; // ffmpeg is gone: what it went of comes at the end of its output
      if (rgb.length < size * size * 3) break;
      const time = await arrives(() => times.take(n));
      const path = thumbnailPath(n);
      if (!time || !(await arrives(() => exists(path)))) {
        incomplete = true;
        continue;
      }
      const frame = { atMs: (time.us - fileStartUs) / 1000, rgb, thumbnailPath: path };
      n++;
      const cell = cellOf(frame);
      if (held && cell > lastCell && cell < cellOf(held)) {
        await rm(held.thumbnailPath, { force: true });
        held = undefined;
      }
      // When the picture's format changes midway ffmpeg builds its filters anew, and they forget which cell was the last.
      if (cell <= (held ? cellOf(held) : lastCell)) {
        await rm(frame.thumbnailPath, { force: true });
        continue;
      }
      if (held) {
        lastCell = cellOf(held);
        yield held;
      }
      held = frame;
    }
    if (held) yield held;
    if (incomplete) throw frameIncomplete();
  } catch (error) {
    if (!(error instanceof ProcessFailed)) throw error;
    if (hwaccel.length > 0) giveUpHwaccel();
    if (!/Cannot determine format of input stream|Nothing was written|matches no streams/.test(error.stderr))
      throw error.toMediaError();
  }
}

/** ffmpeg takes one from what comes long after the first time of a transport stream, where that is wrong. */
const TURN_US = Math.round(TURN_SEC * 1e6);
const toUs = (ms: number) => Math.max(1, Math.round(ms * 1000));
/** Up to a whole microsecond, but for what floating point adds. */
const ceilUs = (ms: number) => Math.ceil(ms * 1000 - 1e-3);

/**
 * As the model's image processor makes it: the shorter side to `size`, the longer one cut to whole pixels, then the centre (transformers'
 * get_resize_output_image_size and center_crop; taking the centre square first shifts it by up to a pixel and cost 0.02 of the cosine). Of a
 * very long picture only the middle is scaled, so that it costs no memory.
 */
function modelInput(size: number, fit: 'crop' | 'squash', { transfer }: VideoInfo): string {
  const toRgb = `setsar=1,${transfer ? toneMap(transfer) : ''}format=rgb24`;
  if (fit === 'squash') return `scale=${size}:${size}:flags=bicubic,${toRgb}`;
  const width = "'max(1,min(iw,4*round(ih/sar)))'";
  const height = "'max(1,min(ih,4*round(iw*sar)))'";
  const longer = (ratio: string) => `trunc(${size}*${ratio}+0.001)`;
  const scaled = `w='if(gt(dar,1),${longer('dar')},${size})':h='if(gt(dar,1),${size},${longer('1/dar')})'`;
  const centre = `${size}:${size}:floor((iw-${size})/2):floor((ih-${size})/2)`;
  return `crop=w=${width}:h=${height}:exact=1,scale=${scaled}:flags=bicubic,${toRgb},crop=${centre}`;
}

/** Even sides, in the shape the first frame is shown in; if the shape changes midway, with bars. */
function thumbnail({ width, height, transfer }: VideoInfo, longest: number): string {
  const scale = Math.min(1, longest / Math.max(width, height));
  const even = (side: number) => Math.max(2, 2 * Math.floor((side * scale) / 2));
  const [w, h] = [even(width), even(height)];
  const sameShape = `lt(abs(dar*${height}/${width}-1),0.02)`;
  const fitWidth = `'if(${sameShape},${w},max(1,min(${w},round(${h}*dar))))'`;
  const fitHeight = `'if(${sameShape},${h},max(1,min(${h},round(${w}/dar))))'`;
  const shown = `scale=w=${fitWidth}:h=${fitHeight}:flags=bicubic,setsar=1,pad=${w}:${h}:(ow-iw)/2:(oh-ih)/2`;
  return `${shown},${transfer ? toneMap(transfer) : ''}format=yuvj420p`;
}

/**
 * High dynamic range (BT.2020 colours) as an ordinary screen would show it, with filters that every ffmpeg has: to light by the inverse of
 * its transfer function (ITU-R BT.2100), relative to the 203 cd/m² of diffuse white (BT.2408); highlights above half of that bent under 1 by a
 * hyperbola; to the primaries of BT.709 (BT.2087); to a gamma of 2.2. For models and thumbnails; no colour grading.
 */
function toneMap(transfer: 'pq' | 'hlg'): string {
  const light =
    transfer === 'pq'
      ? 'st(0,pow(val/maxval,1/78.84375));st(1,10000/203*pow(max(ld(0)-0.8359375,0)/(18.8515625-18.6875*ld(0)),1/0.1593017578125))'
      : 'st(0,val/maxval);st(1,1000/203*pow(if(lte(ld(0),0.5),ld(0)*ld(0)/3,(exp((ld(0)-0.55991073)/0.17883277)+0.28466892)/12),1.2))';
  const perChannel = (expression: string) => `lutrgb='${expression}':'${expression}':'${expression}'`;
  return [
    'format=rgb48le',
    perChannel(`${light};maxval*if(lte(ld(1),0.5),ld(1),0.5+0.5*(ld(1)-0.5)/ld(1))`),
    'colorchannelmixer=1.6605:-0.5876:-0.0728:0:-0.1246:1.1329:-0.0083:0:-0.0182:-0.1006:1.1187',
    perChannel('maxval*pow(val/maxval,1/2.2)'),
    '',
  ].join(',');
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

const frameIncomplete = () =>
  new MediaError('ffmpeg_failed', 'ffmpeg gave a frame without its time or thumbnail (is the disk full?)', true);
/** How long a frame's time and thumbnail may come after its picture. They come by ways of their own, nearly always before it. */
const SIDE_OUTPUT_MS = 30_000;
/** What `look` finds in the end; undefined when ffmpeg has ended and it is not there. */
async function arrival<T>(
  look: () => T | Promise<T>,
  ended: () => boolean,
  signal?: AbortSignal,
): Promise<T | undefined> {
  for (const deadline = Date.now() + SIDE_OUTPUT_MS; ; await sleep(5)) {
    signal?.throwIfAborted();
    const nothingComes = ended();
    const found = await look();
    if (found) return found;
    if (nothingComes) return undefined;
    if (Date.now() > deadline) throw frameIncomplete();
  }
}
/** ffmpeg writes a thumbnail aside and then renames it: what exists is whole. */
const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );
