import type { MediaInfo } from './probe.ts';

/** One sampled picture. */
export interface Frame {
  /** True presentation time, milliseconds from the start of the file (not rounded to the sampling grid). */
  atMs: number;
  /** RGB, 8 bits a channel, rows from the top, `size * size * 3` bytes, at the model's input size. Owned by the receiver. */
  rgb: Uint8Array;
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
  /** Side of the square the model takes; the picture is scaled (bicubic) so that its shorter side fits, then cropped at the centre. */
  size: number;
  /** Existing folder for thumbnails; the caller deletes it. */
  thumbnailDir: string;
  /** Longest side of a thumbnail in pixels; never scaled up. */
  thumbnailSize: number;
}
/**
 * One ffmpeg pass over a time range of a local file: raw RGB through a pipe and thumbnails beside it. Backpressure reaches ffmpeg
 * (the pipe is read only as fast as frames are taken), so memory does not grow. Ending the iteration early or aborting kills ffmpeg.
 */
export async function* sampleFrames(
  _path: string,
  _options: SampleOptions,
  _signal?: AbortSignal,
): AsyncGenerator<Frame> {
  yield await Promise.reject(new Error('unfinished'));
}
