import { MediaError } from './errors.ts';
import { readPackets } from './packets.ts';
import type { MediaInfo, VideoInfo } from './probe.ts';

/** Containers whose index leads to a keyframe at or before the wished time. */
const INDEXED = new Set(['mov', 'matroska']);
/** Bare streams have no timestamps to seek by. */
const UNSEEKABLE = new Set(['h264', 'hevc', 'm4v', 'mpegvideo', 'obu']);
/** How far ahead of the wished time an index is asked, against rounding and the difference of decoding and presentation order. */
const INDEX_LEAD_SEC = 0.5;
/** How far back a keyframe is looked for where there is no index; then from the start of the file. */
const LOOK_BACK_SEC = [12, 60];

/** Have its packets times to seek by? */
export const isSeekable = (container: string): boolean => !UNSEEKABLE.has(container);
/** Does seeking lead to a keyframe without searching for one? Matroska's does to one of the first video, MP4's to one of each stream. */
export const leadsToKeyframes = ({ container, video }: MediaInfo): boolean =>
  INDEXED.has(container) && !(container === 'matroska' && video?.notFirst);
/** The video of a file, as ffmpeg's options name it. */
export const videoStream = (video: VideoInfo | undefined): string => `${video?.stream ?? 'V:0'}`;

/**
 * Input options that make ffmpeg start decoding at a keyframe at or before `atSec` (on the file's own clock), so that every frame from
 * there on is whole. None: from the start of the file.
 *
 * Where there is no index (MPEG-TS, AVI, …) ffmpeg's seek ends anywhere, often between keyframes, and up to a keyframe interval of
 * frames would be missing or grey; there the last keyframe before `atSec` is looked up in the packets first.
 */
export async function seekOptions(
  path: string,
  media: MediaInfo,
  atSec: number,
  signal?: AbortSignal,
): Promise<string[]> {
  const fileStartSec = media.startMs / 1000;
  if (UNSEEKABLE.has(media.container)) return [];
  if (leadsToKeyframes(media)) return seekTo(atSec - INDEX_LEAD_SEC, fileStartSec);
  for (const backSec of LOOK_BACK_SEC) {
    if (atSec - backSec <= fileStartSec) break;
    const keyframeSec = await lastKeyframe(path, media, atSec - backSec, atSec, signal);
    if (keyframeSec !== undefined) return seekTo(keyframeSec - INDEX_LEAD_SEC, fileStartSec);
  }
  return [];
}

/**
 * When the picture that is on screen at `atMs` (from the start of the file) gives way to the next; undefined: it stays to the end, or the file has no
 * timestamps to look by. From the packets, without decoding.
 */
export async function nextPictureMs(
  path: string,
  media: MediaInfo,
  atMs: number,
  signal?: AbortSignal,
): Promise<number | undefined> {
  if (UNSEEKABLE.has(media.container)) return undefined;
  const atSec = (media.startMs + atMs) / 1000;
  let nextSec: number | undefined;
  const args = ['-select_streams', videoStream(media.video), '-read_intervals', `${atSec.toFixed(6)}%`];
  try {
    for await (const { ptsSec, dtsSec } of readPackets(path, args, signal)) {
      // Packets come in decoding order: an earlier picture may follow, until that has passed what was found.
      if (nextSec !== undefined && (dtsSec ?? ptsSec ?? 0) >= nextSec) break;
      if (ptsSec !== undefined && ptsSec >= atSec) nextSec = Math.min(nextSec ?? ptsSec, ptsSec);
    }
  } catch (error) {
    // A place that cannot be sought has no answer; it is no reason to give the video up.
    if (!(error instanceof MediaError && error.code === 'ffmpeg_failed')) throw error;
  }
  return nextSec === undefined ? undefined : (Math.round(nextSec * 1e6) - Math.round(media.startMs * 1000)) / 1000;
}

const seekTo = (toSec: number, fileStartSec: number) =>
  toSec > fileStartSec ? ['-seek_timestamp', '1', '-ss', toSec.toFixed(6)] : [];

async function lastKeyframe(
  path: string,
  { video }: MediaInfo,
  fromSec: number,
  toSec: number,
  signal?: AbortSignal,
): Promise<number | undefined> {
  let found: number | undefined;
  // Decoding order lags behind presentation order: read a little past the wished time.
  const interval = `${fromSec.toFixed(6)}%${(toSec + INDEX_LEAD_SEC).toFixed(6)}`;
  const args = ['-select_streams', videoStream(video), '-read_intervals', interval];
  for await (const packet of readPackets(path, args, signal)) {
    const atSec = packet.ptsSec ?? packet.dtsSec;
    if (packet.keyframe && atSec !== undefined && atSec <= toSec && atSec > (found ?? Number.NEGATIVE_INFINITY))
      found = atSec;
  }
  return found;
}
