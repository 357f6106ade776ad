import type { Probed } from './probe.ts';

/** So many packets of the beginning are looked at, as ffprobe's `-read_intervals` names them. */
export const BEGINNING = '%+#64';
/** No recording pauses for so long within its first packets: those before or after have wrong times. */
export const WRONG_SEC = 600;

/** Where the times of a file begin. */
export interface Start {
  /** To the microsecond (ffprobe's own precision), by the file's own clock; 0 where that is not known. */
  startMs: number;
  /** The very first times are wrong, as they can be in a transport stream: this is what it goes on with, and ffmpeg seeks from elsewhere. */
  startsWrong?: true;
}

export function startOf({ format, streams = [], packets = [] }: Probed): Start {
  const startSec = seconds(format?.start_time) || 0;
  // One time stands for one picture, but for as much sound as begins with it.
  const isPicture = (index: number) =>
    streams.some((stream) => stream.index === index && stream.codec_type === 'video');
  const times = packets.map(({ stream_index, pts_time }) => ({ index: stream_index, sec: seconds(pts_time) }));
  const later = times.filter(({ sec }) => sec > startSec + WRONG_SEC);
  const pictures = times.filter(({ index, sec }) => isPicture(index) && !Number.isNaN(sec)).length;
  const laterPictures = later.filter(({ index }) => isPicture(index)).length;
  const isWrong = format?.format_name === 'mpegts' && laterPictures > 1 && pictures - laterPictures <= 1;
  if (!isWrong) return { startMs: toMs(startSec) };
  return { startMs: toMs(Math.min(...later.map(({ sec }) => sec))), startsWrong: true };
}

const seconds = (text: string | undefined) => Number.parseFloat(text ?? '');
const toMs = (sec: number) => Math.round(sec * 1e6) / 1000;
