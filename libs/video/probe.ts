import { open, stat } from 'node:fs/promises';
import { endOfWholeFragments } from './boxes.ts';
import { findDuration } from './duration.ts';
import { MediaError } from './errors.ts';
import { MAX_PIXELS, ProcessFailed, runFfprobe } from './ffmpeg.ts';
import { languageOf } from './language.ts';
import { recordedAt } from './recorded.ts';
import { BEGINNING, type Start, startOf } from './start.ts';
import { tracksMove } from './tables.ts';

/** What ffprobe says of the picture of a file, the way it is shown (rotation and pixel aspect applied). */
export interface VideoInfo {
  /** Number of the stream in the file; videos probed by an earlier version have none. */
  stream?: number;
  /** There is a video before it in the file, whose index is the one that ffmpeg seeks by. */
  notFirst?: true;
  codec: string;
  width: number;
  height: number;
  /** Average frames per second; 0 when unknown. */
  fps: number;
  /** Clockwise degrees that the player turns the picture: 0, 90, 180 or 270. */
  rotation: number;
  /** Fields in place of whole pictures (all, or some). */
  interlaced?: true;
  /** High dynamic range: perceptual quantiser (SMPTE ST 2084) or hybrid log-gamma (ARIB STD-B67). */
  transfer?: 'pq' | 'hlg';
  /** How many pictures later than they are shown the file says they are; AVI stores no presentation times. */
  lateFrames?: number;
  /** As `measureKeyframes` found it. */
  keyframes?: KeyframeSpacing;
}
/** Time from one keyframe to the next. */
export interface KeyframeSpacing {
  longestMs: number;
  averageMs: number;
}
export interface AudioInfo {
  codec: string;
  channels: number;
  sampleRate: number;
  /** ISO 639-2 tag of the track, if it has one. */
  language?: string;
}
/** The sound track that is decoded. */
export interface AudioTrack extends Start {
  /** Number of the stream in the file. */
  stream: number;
  codec: string;
  channels: number;
  sampleRate: number;
  /** As in MediaInfo. */
  container: string;
}
export interface MediaInfo {
  /** ffprobe's first format name: `mov`, `matroska`, `mpegts`… */
  container: string;
  durationMs: number;
  /** What the headers say, where the file ends much earlier: it was cut off, or they are wrong. */
  statedMs?: number;
  /** When the picture or the sound ends, where that is long before the headers say, though the file goes on. */
  cutMs?: { video?: number; audio?: number };
  /** It ends in the midst of a fragment (MP4), which is not read. */
  endsMidway?: true;
  /** The picture or the sound goes on in another track (MPEG-TS), which is not read. */
  moves?: true;
  /** Presentation time of the file's first packet; all times given out by this library have it subtracted. */
  startMs: number;
  /** When it was recorded by what the file says of itself (`creation_time`), in ms since the epoch; undefined where it says nothing that can be true. */
  recordedAt?: number;
  video?: VideoInfo;
  audio?: AudioInfo;
}

export interface Stream {
  index: number;
  /** Of a track in the file, as its format numbers them: `0x100`. */
  id?: string;
  codec_name?: string;
  codec_type?: string;
  codec_tag_string?: string;
  width?: number;
  height?: number;
  sample_aspect_ratio?: string;
  field_order?: string;
  color_transfer?: string;
  has_b_frames?: number;
  avg_frame_rate?: string;
  r_frame_rate?: string;
  nb_frames?: string;
  channels?: number;
  sample_rate?: string;
  start_time?: string;
  duration?: string;
  disposition?: Record<string, number>;
  tags?: Record<string, string>;
  side_data_list?: { side_data_type?: string; rotation?: number }[];
}
export interface Probed {
  /** Of a broadcast recording that holds several channels. */
  programs?: { streams?: { index: number }[] }[];
  format?: { format_name?: string; start_time?: string; duration?: string; tags?: Record<string, string> };
  streams?: Stream[];
  packets?: { stream_index: number; pts_time?: string; side_data_list?: { side_data_type?: string }[] }[];
  stderr: string;
}

/**
 * Reads the headers of one local file with ffprobe. Throws MediaError (final) for what is not media, has no stream, or has no duration.
 * A cover picture (attached_pic) is not a video stream. Of several tracks it describes those that `sampleFrames` and `decodeAudio` take.
 */
export async function probe(
  path: string,
  options: { /** As for `decodeAudio`. */ language?: string } = {},
  signal?: AbortSignal,
): Promise<MediaInfo> {
  const head = await readHead(path);
  if (isText(head)) throw notRecognised();
  if (isPicture(head)) throw new MediaError('media_not_recognised', PICTURE);
  const probed = await readHeaders(path, head, signal);
  const container = probed.format?.format_name?.split(',')[0] ?? '';
  const { first, video, audio } = chooseTracks(probed, options.language);
  for (const stream of [video, audio]) if (stream) refuseEncrypted(stream, probed);
  if (/DRM protected stream/.test(probed.stderr)) throw encrypted();
  if (!video && !audio)
    throw new MediaError('media_no_streams', 'The file has neither a picture nor a sound track that can be read.');
  // The size of a stream that ffmpeg refuses for it is left out; a cover's does not matter.
  const refused = video && !pixels(video) && /exceeds specified max pixel count/.test(probed.stderr);
  if (refused || pixels(video) > MAX_PIXELS)
    throw new MediaError('media_too_large', 'The picture is larger than 8192x4320 pixels.');
  if (video && !pixels(video) && !audio)
    throw new MediaError('media_broken', 'The file is damaged: its picture track cannot be decoded.');

  if (audio && !video) refuseImpossible({ channels: audio.channels ?? 0, sampleRate: Number(audio.sample_rate ?? 0) });

  const { startMs } = startOf(probed);
  const { durationMs, statedMs, cutMs } = await findDuration(path, probed, startMs, { video, audio }, signal);
  if (!(durationMs > 0) && !looksLikeMedia(head)) throw notRecognised(); // noise that passed for a few packets of sound
  if (!(durationMs > 0)) throw new MediaError('media_zero_duration', 'The file has a duration of zero.');
  if (durationMs > MAX_DURATION_MS)
    throw new MediaError('media_too_long', 'The file lasts longer than a week, or its timestamps are damaged.');
  const pids = [video, audio].flatMap((track) => (track?.id ? [Number(track.id)] : []));
  return {
    container,
    durationMs,
    statedMs,
    cutMs,
    ...((await endOfWholeFragments(path)) ? { endsMidway: true } : {}),
    ...(container === 'mpegts' && (await tracksMove(path, pids, signal)) ? { moves: true } : {}),
    startMs,
    recordedAt: recordedAt([probed.format, video, audio].map((part) => part?.tags?.creation_time)),
    video: video && pixels(video) ? describeVideo(video, container, video !== first) : undefined,
    audio: audio && {
      codec: audio.codec_name as string,
      channels: audio.channels ?? 0,
      sampleRate: Number(audio.sample_rate ?? 0),
      language: audio.tags?.language && audio.tags.language !== 'und' ? audio.tags.language : undefined,
    },
  };
}

/** More channels ffmpeg's resampler does not take (SWR_CH_MAX). */
const MAX_CHANNELS = 64;
/** Samples a second: of fewer no word can be understood, and a small file would last for days; more no recorder makes, and no resampler takes. */
const SAMPLE_RATES = { least: 1_000, most: 20_000_000 };
/** Sound that no resampler takes, or that would last for days. */
export function refuseImpossible({ channels, sampleRate }: Pick<AudioTrack, 'channels' | 'sampleRate'>): void {
  const isRate = sampleRate >= SAMPLE_RATES.least && sampleRate <= SAMPLE_RATES.most;
  if (channels <= MAX_CHANNELS && (isRate || sampleRate === 0)) return; // 0: not known before it is decoded
  const message = `The sound cannot be what its header says: ${channels} channels of ${sampleRate} samples a second.`;
  throw new MediaError('media_broken', message);
}

/** Which sound track of a file `decodeAudio` takes, and where the file starts; undefined: it has none. */
export async function findAudioTrack(
  path: string,
  language: string | undefined,
  signal?: AbortSignal,
): Promise<AudioTrack | undefined> {
  const json: Buffer[] = [];
  let stderr = '';
  const entries = `format=format_name,start_time:packet=stream_index,pts_time:${CHOICE}`;
  try {
    const onStderr = (text: string) => (stderr = (stderr + text).slice(0, 20_000));
    const args = ['-v', 'warning', '-of', 'json', '-show_entries', entries, '-read_intervals', BEGINNING];
    for await (const chunk of runFfprobe(path, args, { signal, onStderr })) json.push(chunk);
  } catch (error) {
    throw error instanceof ProcessFailed ? error.toMediaError() : error;
  }
  const probed = { ...JSON.parse(Buffer.concat(json).toString()), stderr } as Probed;
  const { format } = probed;
  const { audio: track } = chooseTracks(probed, language);
  return (
    track && {
      stream: track.index,
      codec: track.codec_name as string,
      channels: track.channels ?? 0,
      sampleRate: Number(track.sample_rate ?? 0),
      container: format?.format_name?.split(',')[0] ?? '',
      ...startOf(probed),
    }
  );
}
/** No more shards than a worker can plan and a queue can hold. */
const MAX_DURATION_MS = 7 * 24 * 60 * 60 * 1000;

const notRecognised = () =>
  new MediaError('media_not_recognised', 'The file is not a video or sound file of a kind that is known here.');
const encrypted = () =>
  new MediaError('media_encrypted', 'The file is encrypted (DRM). Only files without copy protection can be indexed.');

async function readHead(path: string): Promise<Buffer> {
  try {
    const info = await stat(path);
    if (!info.isFile()) throw notRecognised();
    if (info.size === 0) throw new MediaError('media_empty', 'The file is empty (0 bytes).');
    await using file = await open(path);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(4096), 0, 4096, 0);
    return buffer.subarray(0, bytesRead);
  } catch (error) {
    if (error instanceof MediaError) throw error;
    throw new MediaError('ffmpeg_failed', `The file cannot be read: ${(error as Error).message}`, true);
  }
}
/** No media container starts with 4 kB of plain text; subtitles, playlists and scripts do, and must not get as far as ffmpeg. */
function isText(head: Buffer): boolean {
  return head.every((byte) => byte >= 0x20 || byte === 9 || byte === 10 || byte === 12 || byte === 13);
}
/** GIF, PNG, JPEG, WebP, and HEIC or AVIF (ISO 23008-12) by their brand, which ffmpeg takes for a video that is broken or of one frame. */
function isPicture(head: Buffer): boolean {
  const text = head.toString('latin1', 0, 12);
  return /^(GIF8|\x89PNG|\xff\xd8\xff|RIFF....WEBP|....ftyp(heic|heix|mif1|avif))/s.test(text);
}
const PICTURE =
  'The file is a picture, not a video. An animation can be indexed once it is a video (ffmpeg -i FILE NEW.mp4).';
/** ffprobe believes the file's name where the content says nothing: is this really a file cut off, or something else with that name? */
function looksLikeMedia(head: Buffer): boolean {
  const box = head.toString('latin1', 4, 8);
  return (
    ['ftyp', 'moov', 'mdat', 'free', 'skip', 'wide', 'pnot', 'styp', 'moof', 'uuid'].includes(box) || // ISO 14496-12, QuickTime
    head.subarray(0, 4).toString('hex') === '1a45dfa3' || // EBML: Matroska, WebM
    ['RIFF', 'RF64', 'FLV\x01', 'OggS', 'fLaC', 'ID3\x03', 'ID3\x04'].includes(head.toString('latin1', 0, 4)) ||
    head.subarray(0, 4).toString('hex') === '3026b275' || // ASF
    (head[0] === 0x47 && (head.length <= 188 || head[188] === 0x47)) // MPEG-TS
  );
}

async function readHeaders(path: string, head: Buffer, signal?: AbortSignal): Promise<Probed> {
  const entries = [
    'format=format_name,start_time,duration',
    'format_tags=creation_time',
    CHOICE,
    'stream=id,codec_tag_string,sample_aspect_ratio,avg_frame_rate,r_frame_rate,start_time,duration,field_order,color_transfer,has_b_frames',
    'stream_tags=rotate,creation_time,DURATION,DURATION-eng',
    // Whole lists: the names of single entries have changed since ffmpeg 4.4.
    'stream_side_data_list',
    'packet=stream_index,pts_time',
    'packet_side_data_list',
  ].join(':');
  // The first packets tell whether they are encrypted; the names of their codecs don't.
  const args = ['-v', 'warning', '-of', 'json', '-show_entries', entries, '-read_intervals', BEGINNING];
  let stderr = '';
  const json: Buffer[] = [];
  let bytes = 0;
  try {
    const onStderr = (text: string) => {
      stderr = (stderr + text).slice(0, 20_000);
    };
    for await (const chunk of runFfprobe(path, args, { signal, onStderr })) {
      bytes += chunk.length;
      if (bytes > 4e6) throw new MediaError('media_broken', 'The file has too many tracks.');
      json.push(chunk);
    }
  } catch (error) {
    if (!(error instanceof ProcessFailed)) throw error;
    if (error.exit.startsWith('signal')) throw error.toMediaError();
    if (/DRM protected/.test(stderr)) throw encrypted();
    if (/not on whitelist/.test(error.stderr) || !looksLikeMedia(head)) throw notRecognised();
    const why = /moov atom not found/.test(error.stderr)
      ? 'its index is missing, it was probably cut off'
      : 'its headers cannot be read';
    throw new MediaError('media_broken', `The file is damaged: ${why}.`);
  }
  return { ...JSON.parse(Buffer.concat(json).toString()), stderr };
}

/** What ffprobe is asked for to choose by. */
const CHOICE = [
  'stream=index,codec_name,codec_type,width,height,nb_frames,channels,sample_rate',
  'stream_disposition=default,comment,visual_impaired,attached_pic,timed_thumbnails,still_image',
  'stream_tags=language',
  'program=program_id',
].join(':');

/** The picture and sound that belong together, and the first video there is. */
function chooseTracks({ streams = [], programs = [], stderr }: Probed, language: string | undefined) {
  const known = streams.filter(({ codec_name }) => codec_name !== undefined && codec_name !== 'none');
  const videos = known.filter((stream) => stream.codec_type === 'video' && !isStill(stream));
  const sounds = known.filter((stream) => stream.codec_type === 'audio');
  const undecodable = new Set(
    [...stderr.matchAll(/Unsupported codec .* for input stream (\d+)/g)].map(([, n]) => Number(n)),
  );
  const video = chooseVideo(videos, undecodable);
  // Of several channels in one recording, the sound of another than the picture's is never meant.
  const channel = programs.find((each) => each.streams?.some(({ index }) => index === video?.index));
  const ofPicture = sounds.filter(({ index }) => channel?.streams?.some((stream) => stream.index === index));
  return {
    first: videos[0],
    video,
    audio: chooseAudio(ofPicture.length > 0 ? ofPicture : sounds, undecodable, language),
  };
}

const isStill = ({ disposition = {} }: Stream) =>
  !!(disposition.attached_pic || disposition.timed_thumbnails || disposition.still_image);

/**
 * The video that is looked at: one that ffmpeg can decode; one that moves (a cover or thumbnail that is not marked as such is one picture, of a codec of pictures); then the
 * one marked as default, then the most pixels, then the first.
 */
function chooseVideo(videos: Stream[], undecodable: Set<number>): Stream | undefined {
  const rank = (stream: Stream) =>
    (pixels(stream) && pixels(stream) <= MAX_PIXELS && !undecodable.has(stream.index) ? 4e12 : 0) +
    (stream.nb_frames === '1' || PICTURES.has(stream.codec_name ?? '') ? 0 : 2e12) +
    (stream.disposition?.default ? 1e12 : 0) +
    pixels(stream);
  return best(videos, rank);
}

/** Where it is the only one, a camera's MJPEG is taken all the same. */
const PICTURES = new Set(['mjpeg', 'png', 'bmp', 'gif', 'tiff', 'webp']);

/**
 * The sound track that is listened to: one that ffmpeg can decode; one in the language asked for, if there is such; then the one marked as default; no commentary and
 * no description for the blind unless there is nothing else; then the most channels, then the first.
 */
function chooseAudio(streams: Stream[], undecodable: Set<number>, language?: string): Stream | undefined {
  const wanted = languageOf(language);
  const rank = ({ index, disposition = {}, tags = {}, channels = 0 }: Stream) =>
    (undecodable.has(index) ? 0 : 8e6) +
    (wanted !== undefined && languageOf(tags.language) === wanted ? 4e6 : 0) +
    (disposition.comment || disposition.visual_impaired ? 0 : 2e6) +
    (disposition.default ? 1e6 : 0) +
    channels;
  return best(streams, rank);
}
/** Of equals the first. */
const best = (streams: Stream[], rank: (stream: Stream) => number) =>
  streams.reduce<Stream | undefined>((best, stream) => (best && rank(best) >= rank(stream) ? best : stream), undefined);

function refuseEncrypted(stream: Stream, { packets = [] }: Probed): void {
  const sideData = [stream, ...packets.filter((packet) => packet.stream_index === stream.index)].flatMap(
    (part) => part.side_data_list ?? [],
  );
  // Common encryption (ISO 23001-7) as side data; FairPlay's sample entries by their names.
  if (sideData.some((data) => /^encryption/i.test(data.side_data_type ?? ''))) throw encrypted();
  if (/^(encv|enca|drm[ims]|p608)/.test(stream.codec_tag_string ?? '')) throw encrypted();
}

const pixels = (stream: Stream | undefined) => (stream?.width ?? 0) * (stream?.height ?? 0);
const ratio = (text: string | undefined, fallback: number) => {
  const [top = 0, bottom = 0] = (text ?? '').split(/[:/]/).map(Number);
  return top > 0 && bottom > 0 ? top / bottom : fallback;
};

function describeVideo(stream: Stream, container: string, notFirst: boolean): VideoInfo {
  // ffprobe counts anticlockwise; the old `rotate` tag clockwise.
  // A matrix that is none (all zeros) gives a number that is no angle.
  const isAngle = (degrees: number | undefined) => degrees !== undefined && Math.abs(degrees) <= 360;
  const turned = stream.side_data_list?.find(({ rotation }) => isAngle(rotation))?.rotation;
  const clockwise = turned !== undefined ? -turned : Number(stream.tags?.rotate ?? 0);
  const rotation = (((Math.round(clockwise / 90) * 90) % 360) + 360) % 360 || 0;
  const width = Math.max(1, Math.round((stream.width as number) * ratio(stream.sample_aspect_ratio, 1)));
  const height = stream.height as number;
  // In AVI that is one each place for a picture, of which every other is left empty where ffmpeg has copied H.264 into it.
  const average = ratio(stream.avg_frame_rate, 0);
  return {
    stream: stream.index,
    ...(notFirst ? { notFirst } : {}),
    codec: stream.codec_name as string,
    ...(rotation % 180 === 0 ? { width, height } : { width: height, height: width }),
    fps: container === 'avi' ? Math.min(average, ratio(stream.r_frame_rate, average)) : average,
    rotation,
    ...(/^[tb][tb]$/.test(stream.field_order ?? '') ? { interlaced: true } : {}),
    ...(stream.color_transfer === 'smpte2084' ? { transfer: 'pq' } : {}),
    ...(stream.color_transfer === 'arib-std-b67' ? { transfer: 'hlg' } : {}),
    ...(container === 'avi' && stream.has_b_frames ? { lateFrames: stream.has_b_frames } : {}),
  };
}
