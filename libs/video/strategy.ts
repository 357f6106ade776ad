import { MediaError } from './errors.ts';
import { ProcessFailed, runFfmpeg } from './ffmpeg.ts';
import { readPackets } from './packets.ts';
import type { KeyframeSpacing, MediaInfo, VideoInfo } from './probe.ts';
import { isSeekable, leadsToKeyframes, videoStream } from './seek.ts';

/**
 * How the pictures of a video are come by:
 * - `all`: every picture is decoded; the frame of a grid cell is its first picture.
 * - `keyframes`: keyframes alone are decoded; the frame of a cell is its first keyframe.
 * - `seek`: as `keyframes`, picture for picture, but a short run of its own for each cell, which skips the keyframes in between.
 */
export type Decoding = 'all' | 'keyframes' | 'seek';

/** Keyframes may be this much further apart than the sampling interval: one second at 29.97 pictures a second is 30 of them, 1.001 s. */
const SLACK = 1.1;
/**
 * Megapixels of keyframes per sample from which starting ffmpeg anew is taken to cost less than decoding them all. An estimate on the safe
 * side: in processor time, a run of ffmpeg that seeks to one 1080p H.264 keyframe was measured at 2 to 4 decoded ones (5 to 8 megapixels),
 * but each run also has to be spawned and to read the whole index again, which grows with the file's length.
 */
const SEEK_FROM_MEGAPIXELS = 40;

/** Their decoders in ffmpeg can pass over what is no keyframe. */
const SKIPPING = new Set(['h264', 'hevc', 'mpeg1video', 'mpeg2video', 'mpeg4', 'vc1', 'wmv3']);

/** The cheapest way to sample a file at this interval. Says the same for each shard: it depends on nothing but what `measureKeyframes` found. */
export function chooseDecoding(media: MediaInfo, intervalMs: number): Decoding {
  const { video } = media;
  if (!video?.keyframes || video.keyframes.longestMs > intervalMs * SLACK) return 'all';
  const perSample = (intervalMs / video.keyframes.averageMs) * ((video.width * video.height) / 1e6);
  if (leadsToKeyframes(media) && perSample >= SEEK_FROM_MEGAPIXELS) return 'seek';
  return SKIPPING.has(video.codec) ? 'keyframes' : 'all';
}

/**
 * How far apart a file's keyframes are; undefined: too far for sampling at `intervalMs`, or it cannot be told. Reads no further than the
 * first gap that is too long, so it costs nearly nothing where keyframes are of no use; else it reads the index of an MP4, or every packet
 * of other files, which is a small part of what decoding them would cost.
 */
export async function measureKeyframes(
  path: string,
  media: MediaInfo,
  intervalMs: number,
  signal?: AbortSignal,
): Promise<KeyframeSpacing | undefined> {
  if (!media.video || !isSeekable(media.container) || media.video.lateFrames) return undefined;
  const startMs = media.startMs;
  const endMs = startMs + media.durationMs;
  const limitMs = intervalMs * SLACK;
  let count = 0;
  /** How much earlier than shown the first picture is decoded. */
  let aheadMs = 0;
  let lastMs = startMs;
  let longestMs = 0;
  try {
    // By decoding times: from keyframe to keyframe they are as far apart as presentation times, and they never go back.
    const { container, video } = media;
    const keyframes = container === 'mov' ? indexed(path, video, signal) : fromPackets(path, video, limitMs, signal);
    for await (const atSec of keyframes) {
      if (atSec === undefined) return undefined;
      const atMs = atSec * 1000;
      if (atMs > endMs + limitMs) break;
      if (count === 0) aheadMs = Math.min(limitMs, Math.max(0, startMs - atMs));
      longestMs = Math.max(longestMs, atMs - lastMs);
      if (longestMs > limitMs) return undefined;
      lastMs = Math.max(lastMs, atMs);
      count++;
    }
  } catch (error) {
    if (!(error instanceof MediaError && error.code === 'ffmpeg_failed')) throw error;
    return undefined;
  }
  longestMs = Math.max(longestMs, endMs - lastMs - aheadMs);
  if (count === 0 || longestMs > limitMs) return undefined;
  return { longestMs: Math.round(longestMs), averageMs: media.durationMs / count };
}

/** Keyframes of an MP4, from its index: packets in between are not read. Skipping them, ffmpeg counts decoding times right and presentation times wrong. */
async function* indexed(path: string, video: VideoInfo, signal?: AbortSignal): AsyncGenerator<number> {
  // framecrc prints `stream, dts, pts, duration, size, checksum`, and flags where they are not those of a keyframe (`F=0x0`), after a line
  // with the clock: `#tb 0: 1/12800`. What ffmpeg had read before it was told to skip comes all the same: much, where a track is unknown.
  const lines = runFfmpeg(
    path,
    (command) =>
      command.output('pipe:1').outputOptions('-map', `0:${videoStream(video)}`, '-c', 'copy', '-f', 'framecrc'),
    { inputOptions: ['-an', '-sn', '-dn', '-copyts', '-discard:V', 'nokey'], signal },
  );
  let rest = '';
  let tickSec = Number.NaN;
  try {
    for await (const chunk of lines) {
      const whole = (rest + chunk).split('\n');
      rest = whole.pop() ?? '';
      for (const line of whole) {
        const clock = /^#tb 0: (\d+)\/(\d+)/.exec(line);
        if (clock) tickSec = Number(clock[1]) / Number(clock[2]);
        const [, dts, flags = '1'] = /^0,\s*(-?\d+),[^F]*(?:F=0x([\dA-F]+))?/.exec(line) ?? [];
        if (dts !== undefined && Number.parseInt(flags, 16) & 1) yield Number(dts) * tickSec;
      }
    }
  } catch (error) {
    throw error instanceof ProcessFailed ? error.toMediaError() : error;
  }
}

/**
 * Keyframes of other files, from their packets; and the first packet that is further than `limitMs` from the last of them, so that a long
 * gap shows before it ends. Undefined: one that the file gives no presentation time (a program stream may leave out that of a picture that
 * begins in the midst of a packet), which only decoding what comes before it tells.
 */
async function* fromPackets(
  path: string,
  video: VideoInfo,
  limitMs: number,
  signal?: AbortSignal,
): AsyncGenerator<number | undefined> {
  let lastSec: number | undefined;
  for await (const { keyframe, ptsSec, dtsSec } of readPackets(path, ['-select_streams', videoStream(video)], signal)) {
    if (keyframe && ptsSec === undefined) yield undefined;
    const atSec = dtsSec ?? ptsSec;
    if (atSec === undefined) continue;
    if (keyframe || (lastSec !== undefined && (atSec - lastSec) * 1000 > limitMs)) {
      lastSec = atSec;
      yield atSec;
    }
  }
}
