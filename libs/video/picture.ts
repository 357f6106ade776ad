import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MediaError } from './errors.ts';
import { MAX_PIXELS, ProcessFailed, runFfmpeg } from './ffmpeg.ts';

/** RGB, 8 bits a channel, rows from the top. */
export interface DecodedPicture {
  rgb: Uint8Array<ArrayBuffer>;
  width: number;
  height: number;
}
/** The demuxer of each kind of file, by its first bytes: ffmpeg is told which, so that nothing else is tried. */
const KINDS: { demuxer: string; begins: (head: string) => boolean }[] = [
  { demuxer: 'jpeg_pipe', begins: (head) => head.startsWith('\u00ff\u00d8\u00ff') },
  { demuxer: 'png_pipe', begins: (head) => head.startsWith('\u0089PNG\r\n\u001a\n') },
  { demuxer: 'webp_pipe', begins: (head) => head.startsWith('RIFF') && head.startsWith('WEBP', 8) },
  { demuxer: 'bmp_pipe', begins: (head) => head.startsWith('BM') },
  { demuxer: 'gif', begins: (head) => /^GIF8[79]a/.test(head) },
];
/** More than any model looks at; keeps a photo's memory small. */
const MAX_SIDE = 1024;
const MIN_SIDE = 8;
const STALL_MS = 10_000;

/**
 * The first picture of a JPEG, PNG, WebP, BMP or GIF file, made smaller where a side is over 1,024 pixels. Throws MediaError: `media_empty`,
 * `media_not_recognised`, `media_broken`, `media_too_large` (over 35 million pixels or so).
 */
export async function decodePicture(bytes: Uint8Array, signal?: AbortSignal): Promise<DecodedPicture> {
  const ppm = await convert(bytes, MAX_SIDE, ['-pix_fmt', 'rgb24', '-c:v', 'ppm'], signal);
  const [header, width, height] = /^P6\n(\d+) (\d+)\n255\n/.exec(ppm.subarray(0, 40).toString('latin1')) ?? [];
  const rgb = new Uint8Array(ppm.subarray(header?.length ?? 0));
  if (!header || rgb.length !== Number(width) * Number(height) * 3)
    throw new MediaError('media_broken', 'The picture cannot be decoded.');
  if (Math.min(Number(width), Number(height)) < MIN_SIDE)
    throw new MediaError('media_broken', `A picture of ${width}x${height} (as scaled) shows nothing.`);
  return { rgb, width: Number(width), height: Number(height) };
}

/** The same as a JPEG with no side over `maxSide` pixels; never enlarged. Throws as `decodePicture` does. */
export async function shrinkPicture(bytes: Uint8Array, maxSide: number, signal?: AbortSignal): Promise<Buffer> {
  const jpeg = await convert(bytes, maxSide, ['-pix_fmt', 'yuvj420p', '-q:v', '3', '-c:v', 'mjpeg'], signal);
  if (jpeg.length === 0) throw new MediaError('media_broken', 'The picture cannot be decoded.');
  return jpeg;
}

/** The first picture of a file, no side over `maxSide`, as ffmpeg's `encoding` writes it; empty where it cannot be decoded. */
async function convert(bytes: Uint8Array, maxSide: number, encoding: string[], signal?: AbortSignal): Promise<Buffer> {
  if (bytes.length === 0) throw new MediaError('media_empty', 'The picture has no bytes.');
  const head = Buffer.from(bytes.subarray(0, 16)).toString('latin1');
  const kind = KINDS.find(({ begins }) => begins(head));
  if (!kind) throw new MediaError('media_not_recognised', 'This is no JPEG, PNG, WebP, BMP or GIF picture.');
  const folder = await mkdtemp(join(tmpdir(), 'cuepoint-picture-'));
  try {
    const path = join(folder, 'picture');
    await writeFile(path, bytes);
    return await run(path, kind.demuxer, maxSide, encoding, signal);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function run(
  path: string,
  demuxer: string,
  maxSide: number,
  encoding: string[],
  signal?: AbortSignal,
): Promise<Buffer> {
  const factor = `min(1,${maxSide}/max(iw,ih))`;
  const chunks: Buffer[] = [];
  let said = '';
  try {
    const output = runFfmpeg(
      path,
      (command) =>
        command
          .output('pipe:1')
          .outputOptions('-frames:v', '1', '-map', '0:v:0')
          .outputOptions('-vf', `scale=w='max(1,round(iw*${factor}))':h='max(1,round(ih*${factor}))':flags=bicubic`)
          .outputOptions(...encoding, '-f', 'image2pipe'),
      {
        inputOptions: ['-format_whitelist', demuxer, '-f', demuxer],
        signal,
        stallMs: STALL_MS,
        onStderr: (text) => (said += text.slice(0, 2000)),
      },
    );
    for await (const chunk of output) chunks.push(chunk);
  } catch (error) {
    if (!(error instanceof ProcessFailed)) throw error;
  }
  if (/pixels|invalid (?:size|dimensions)|too large|picture size/i.test(said) && chunks.length === 0)
    throw new MediaError('media_too_large', `The picture has more than ${MAX_PIXELS} pixels, or sides that cannot be.`);
  return Buffer.concat(chunks);
}
