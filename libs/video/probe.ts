/** What ffprobe says of the picture of a file, the way it is shown (rotation and pixel aspect applied). */
export interface VideoInfo {
  codec: string;
  width: number;
  height: number;
  /** Average frames per second; 0 when unknown. */
  fps: number;
  /** Clockwise degrees that the player turns the picture: 0, 90, 180 or 270. */
  rotation: number;
}
export interface AudioInfo {
  codec: string;
  channels: number;
  sampleRate: number;
  /** ISO 639-2 tag of the track, if it has one. */
  language?: string;
}
export interface MediaInfo {
  /** ffprobe's first format name: `mov`, `matroska`, `mpegts`… */
  container: string;
  durationMs: number;
  /** Presentation time of the file's first packet; all times given out by this library have it subtracted. */
  startMs: number;
  video?: VideoInfo;
  audio?: AudioInfo;
}
/**
 * Reads the headers of one local file with ffprobe. Throws MediaError (final) for what is not media, has no stream, or has no duration.
 * A cover picture (attached_pic) is not a video stream.
 */
export async function probe(_path: string, _signal?: AbortSignal): Promise<MediaInfo> {
  throw new Error('unfinished');
}
