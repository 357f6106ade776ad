import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { availableParallelism, setPriority } from 'node:os';
import { resolve } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import fluent from 'fluent-ffmpeg';
import { endOfWholeFragments } from './boxes.ts';
import { MediaError } from './errors.ts';

export interface FfmpegSettings {
  /** Executables; default: `ffmpeg` and `ffprobe` on the PATH. */
  ffmpegPath: string;
  ffprobePath: string;
  /** Decoder threads of one ffmpeg. Default: the cores, at most 4, so that two workers on one machine don't fight. */
  threads: number;
  /** Longest wait for output while someone waits for it; then the process is killed with `media_timeout`. */
  stallMs: number;
  /** Decoding on a GPU: `none`, `auto`, or one of `ffmpeg -hwaccels`. */
  hwaccel: string;
  /** Hears what an operator may want to know, such as a GPU that does not decode. */
  onNote: (message: string) => void;
  /** Resident memory at which a process is killed (watched on Linux; `-max_alloc` and `-max_pixels` hold everywhere). */
  maxMemoryBytes: number;
}
const settings: FfmpegSettings = {
  ffmpegPath: 'ffmpeg',
  ffprobePath: 'ffprobe',
  threads: Math.min(4, availableParallelism()),
  stallMs: 120_000,
  hwaccel: 'none',
  onNote: () => {},
  maxMemoryBytes: 4 * 2 ** 30,
};
/** Sets what is given and keeps the rest; for the whole process, before the first use. */
export function configureFfmpeg(options: Partial<FfmpegSettings>): void {
  for (const [key, value] of Object.entries(options))
    if (value !== undefined) Object.assign(settings, { [key]: value });
}

/** The settings in force. */
export const ffmpegSettings = (): Readonly<FfmpegSettings> => settings;

/** Most pixels of a picture: 8K in every usual shape (8192x4320). */
export const MAX_PIXELS = 8192 * 4320;
/** Largest single block ffmpeg may allocate: an 8K picture of 8 bytes a pixel fits. */
const MAX_ALLOC_BYTES = 512 * 2 ** 20;
/**
 * The demuxers a file may meet. None of them opens a second file or address: playlists (hls, dash), scripts (concat, ffmetadata),
 * picture sequences (image2), sdp, rtsp and devices (lavfi, v4l2…) are not here, and pictures are no videos.
 */
const DEMUXERS = [
  ...['mov', 'matroska', 'mpegts', 'mpeg', 'avi', 'flv', 'asf', 'ogg', 'mxf', 'dv', 'ivf'],
  ...['h264', 'hevc', 'm4v', 'mpegvideo', 'obu'],
  ...['mp3', 'aac', 'flac', 'wav', 'w64', 'aiff', 'caf', 'au', 'ac3', 'eac3', 'amr', 'ape', 'wv'],
].join(',');

/** A media file as an input, and the options before it. */
async function inputOf(path: string): Promise<{ url: string; safe: string[] }> {
  const end = await endOfWholeFragments(path).catch(() => undefined); // what cannot be read is told of by ffmpeg
  return {
    url: end === undefined ? fileUrl(path) : `subfile,,start,0,end,${end},,:${fileUrl(path)}`,
    safe: [
      ...['-protocol_whitelist', end === undefined ? 'file,pipe' : 'file,pipe,subfile', '-format_whitelist', DEMUXERS],
      ...['-max_pixels', `${MAX_PIXELS}`, '-max_alloc', `${MAX_ALLOC_BYTES}`],
    ],
  };
}
/** An address that ffmpeg can take for nothing but this local file, whatever its name looks like. */
export const fileUrl = (path: string): string => `file:${resolve(path)}`;

/** A process left with an exit code other than 0, or on a signal that we did not send. */
export class ProcessFailed extends Error {
  constructor(
    readonly binary: string,
    readonly exit: string,
    /** Its last lines. */
    readonly stderr: string,
  ) {
    super(`${binary} ended with ${exit}`);
  }
  toMediaError(): MediaError {
    const codec = /Decoder \(codec (\w+)\) not found/.exec(this.stderr)?.[1];
    if (codec) return new MediaError('media_not_recognised', `The installed ffmpeg cannot decode ${codec}.`);
    return new MediaError('ffmpeg_failed', `${this.message}: ${this.stderr.slice(-600) || 'no message'}`, true);
  }
}

interface RunOptions {
  signal?: AbortSignal;
  /** Text that the process writes to file descriptor 3. */
  onSideText?: (text: string) => void;
  onStderr?: (text: string) => unknown;
  /** Called when the process has ended and all of its side text was heard; its output may not be taken yet. */
  onEnd?: () => void;
  stallMs?: number;
}
/** Decoding takes every core it gets; whoever has started it, and answers others meanwhile, goes first. */
function yieldToCallers(pid: number): void {
  try {
    setPriority(pid, 10);
  } catch {
    // It has ended already.
  }
}

/**
 * Runs a process and gives its standard output as it comes. It is read only as fast as it is taken, so a slow taker makes the process
 * wait. However the iteration ends (done, left early, thrown into, aborted, stalled), the process is gone when it has ended.
 */
async function* run(binary: 'ffmpeg' | 'ffprobe', args: string[], options: RunOptions): AsyncGenerator<Buffer> {
  const { signal, stallMs = settings.stallMs } = options;
  signal?.throwIfAborted();
  const child = spawn(settings[`${binary}Path`], args, {
    stdio: ['ignore', 'pipe', 'pipe', options.onSideText ? 'pipe' : 'ignore'],
    windowsHide: true,
  });
  if (child.pid !== undefined) yieldToCallers(child.pid);
  let killedFor: unknown;
  const kill = (reason: unknown) => {
    killedFor ??= reason;
    child.kill('SIGKILL');
  };
  // Without file descriptors left, Node gives a child without streams.
  const streams = [child.stdout, child.stderr, child.stdio[3]].filter(
    (stream): stream is Readable & Writable => !!stream,
  );
  for (const stream of streams) stream.on('error', () => {}); // a killed process breaks its pipes
  const closed = (stream: NodeJS.EventEmitter | null | undefined) =>
    stream ? new Promise<void>((done) => stream.once('close', done)) : Promise.resolve();
  const exited = new Promise<{ exit?: string; error?: NodeJS.ErrnoException }>((done) => {
    child.once('error', (error) => done({ error }));
    child.once('exit', (code, by) => done({ exit: code === 0 ? undefined : by ? `signal ${by}` : `code ${code}` }));
  });
  const told = Promise.all([closed(child.stderr), closed(child.stdio[3])]);
  void Promise.all([exited, told]).then(() => options.onEnd?.());

  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-4000);
    options.onStderr?.(text);
  });
  if (options.onSideText) (child.stdio[3] as Readable | null)?.setEncoding('utf8').on('data', options.onSideText);

  const onAbort = () => kill(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  let waitingSince: number | undefined;
  const watch = setInterval(async () => {
    if (waitingSince !== undefined && performance.now() - waitingSince > stallMs)
      kill(new MediaError('media_timeout', `${binary} gave nothing for ${Math.round(stallMs / 1000)} s`, true));
    if ((await residentBytes(child.pid)) > settings.maxMemoryBytes)
      kill(new MediaError('media_too_large', `${binary} needs more memory than is allowed to decode this file`));
  }, 1000);

  try {
    const output = child.stdout?.[Symbol.asyncIterator]() as AsyncIterator<Buffer> | undefined;
    while (output) {
      waitingSince = performance.now();
      const next = await output.next();
      waitingSince = undefined;
      if (next.done) break;
      yield next.value;
    }
    waitingSince = performance.now();
    const { exit, error } = await exited;
    if (killedFor !== undefined) throw killedFor;
    if (error) throw spawnError(binary, error);
    await told;
    if (exit) throw new ProcessFailed(binary, exit, stderr.trim());
  } catch (error) {
    throw killedFor ?? error;
  } finally {
    clearInterval(watch);
    signal?.removeEventListener('abort', onAbort);
    child.kill('SIGKILL');
    for (const stream of streams) stream.destroy();
    await exited;
  }
}

async function residentBytes(pid: number | undefined): Promise<number> {
  if (process.platform !== 'linux' || pid === undefined) return 0;
  const statm = await readFile(`/proc/${pid}/statm`, 'ascii').catch(() => '');
  return Number(statm.split(' ')[1] ?? 0) * 4096;
}

function spawnError(binary: 'ffmpeg' | 'ffprobe', error: NodeJS.ErrnoException): MediaError {
  if (error.code !== 'ENOENT' && error.code !== 'EACCES')
    return new MediaError('ffmpeg_failed', `${binary} could not be started: ${error.message}`, true);
  return new MediaError(
    'ffmpeg_missing',
    `${binary} was not found (tried "${settings[`${binary}Path`]}"). Install ffmpeg 4.4 or newer (apt install ffmpeg, ` +
      `brew install ffmpeg, winget install ffmpeg), or point ${binary === 'ffmpeg' ? 'FFMPEG_PATH' : 'FFPROBE_PATH'} at it.`,
    true,
  );
}

/**
 * Runs ffmpeg on one local file. fluent-ffmpeg builds the command line; running it is ours, because its runner throws outside of any
 * promise when the process cannot be started, and gives no hold on the child for limits.
 */
export async function* runFfmpeg(
  path: string,
  build: (command: fluent.FfmpegCommand) => void,
  { inputOptions = [], ...options }: RunOptions & { inputOptions?: string[] },
): AsyncGenerator<Buffer> {
  const { url, safe } = await inputOf(path);
  const command = fluent(url).inputOptions(
    ...[
      '-hide_banner',
      '-nostdin',
      '-loglevel',
      'error',
      '-max_error_rate',
      '1',
      ...safe,
      '-threads',
      `${settings.threads}`,
    ],
    ...inputOptions,
  );
  build(command);
  const args = (command as unknown as { _getArguments(): string[] })._getArguments();
  yield* run('ffmpeg', ['-filter_complex_threads', '1', '-filter_threads', '1', ...args], options);
}

/** Runs ffprobe on one local file and gives its output as it comes. */
export async function* runFfprobe(path: string, args: string[], options: RunOptions): AsyncGenerator<Buffer> {
  const { url, safe } = await inputOf(path);
  yield* run('ffprobe', ['-hide_banner', ...safe, ...args, url], options);
}

/** What `-version` says, and its number: builds from git have none, they count as the newest. */
async function readVersion(binary: 'ffmpeg' | 'ffprobe'): Promise<{ text: string; number: number }> {
  let text = '';
  for await (const chunk of run(binary, ['-version'], { stallMs: Math.min(10_000, settings.stallMs) })) text += chunk;
  const found = /version (\S+)/.exec(text)?.[1] ?? 'unknown';
  const [major, minor = 0] = (/^n?(\d+)\.(\d+)/.exec(found) ?? []).slice(1).map(Number);
  return { text: found, number: major === undefined ? Number.POSITIVE_INFINITY : major + minor / 1000 };
}

/** Oldest ffmpeg that the tests have passed with; Ubuntu 22.04 has 4.4.2. */
const OLDEST = 4.004;
/** 5.1 brought `-fps_mode`, and later versions lose its older name. */
const WITH_FPS_MODE = 5.001;

const frameRateOptions = new Map<string, Promise<string>>();
/** The output option that decides which pictures are repeated or dropped, as the installed ffmpeg calls it. */
export function frameRateOption(): Promise<string> {
  const path = settings.ffmpegPath;
  const known = frameRateOptions.get(path);
  if (known) return known;
  const asked = readVersion('ffmpeg').then(
    ({ number }) => (number < WITH_FPS_MODE ? '-vsync' : '-fps_mode'),
    () => {
      // Whatever is wrong with it shows, and is reported, when it is run in earnest.
      frameRateOptions.delete(path);
      return '-fps_mode';
    },
  );
  frameRateOptions.set(path, asked);
  return asked;
}

/** Versions of ffmpeg and ffprobe, or a MediaError `ffmpeg_missing` that says how to install them. */
export async function checkFfmpeg(): Promise<{ ffmpeg: string; ffprobe: string }> {
  const version = async (binary: 'ffmpeg' | 'ffprobe') => {
    try {
      const { text, number } = await readVersion(binary);
      if (number >= OLDEST) return text;
      throw new MediaError('ffmpeg_missing', `${binary} ${text} is too old: 4.4 or newer is needed`, true);
    } catch (error) {
      throw error instanceof ProcessFailed ? error.toMediaError() : error;
    }
  };
  return { ffmpeg: await version('ffmpeg'), ffprobe: await version('ffprobe') };
}
