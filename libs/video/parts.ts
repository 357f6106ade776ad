import { createReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { boxOf, MAX_LOOKED_AT, read } from './boxes.ts';
import type { MediaInfo } from './probe.ts';

type Look = (file: FileHandle, path: string, signal?: AbortSignal) => Promise<boolean>;
/** Formats with one header, or one sample rate, after which ffmpeg and players take no other: what follows a second one is not seen, or in part. */
const LOOKS: Record<string, Look> = {
  ...{ mov: anotherMovie, matroska: anotherSegment, ogg: anotherLink, wav: anotherWave },
  ...{ flac: anotherFlac, aac: anotherRate },
};

/** Does another file follow in this one, as where several are joined with `cat`, or a part that begins at an earlier time (a fragmented MP4)? */
export async function holdsSeveral(
  path: string,
  { container }: Pick<MediaInfo, 'container'>,
  signal?: AbortSignal,
): Promise<boolean> {
  const look = LOOKS[container];
  if (!look) return false;
  await using file = await open(path);
  return await look(file, path, signal);
}

/** A second `moov` box, or a fragment that is decoded before an earlier one of its track (ISO 14496-12, 4.2 and 8.8.12). */
async function anotherMovie(file: FileHandle, _path: string, signal?: AbortSignal): Promise<boolean> {
  const { size: end } = await file.stat();
  let movies = 0;
  const latest = new Map<number, bigint>();
  for (let at = 0, seen = 0; at + 8 <= end && seen < MAX_LOOKED_AT; seen++) {
    signal?.throwIfAborted();
    const head = await read(file, at, FRAGMENT_BYTES);
    const { type, size } = boxOf(head, 0);
    if (type === 'moov' && ++movies > 1) return true;
    if (type === 'moof') {
      for (const { track, time } of fragmentTimes(head.subarray(0, size))) {
        if (time < (latest.get(track) ?? time)) return true;
        latest.set(track, time);
      }
    }
    if (size < 8) return false; // to the end of the file, or damaged
    at += size;
  }
  return false;
}
/** Of a fragment no more is read: its times stand before its lists of samples, of which the last is left. */
const FRAGMENT_BYTES = 16_384;

function* boxes(bytes: Buffer, from: number): Generator<{ type: string; body: Buffer }> {
  for (let at = from; ; ) {
    const { type, size } = boxOf(bytes, at);
    if (size < 8) return;
    yield { type, body: bytes.subarray(at + 8, at + size) };
    at += size;
  }
}
/** When each track of a `moof` goes on, in ticks of the track. */
function* fragmentTimes(moof: Buffer): Generator<{ track: number; time: bigint }> {
  for (const { type, body } of boxes(moof, 8)) {
    if (type !== 'traf') continue;
    let track: number | undefined;
    for (const { type, body: full } of boxes(body, 0)) {
      if (type === 'tfhd' && full.length >= 8) track = full.readUInt32BE(4);
      if (type !== 'tfdt' || track === undefined || full.length < 12) continue;
      yield { track, time: full[0] === 1 ? full.readBigUInt64BE(4) : BigInt(full.readUInt32BE(4)) };
    }
  }
}

/** A second EBML header (RFC 8794, 11.2): after the segment where that says how long it is, else (live recordings) anywhere. */
async function anotherSegment(file: FileHandle, path: string, signal?: AbortSignal): Promise<boolean> {
  const header = await read(file, 0, 4096);
  const segment = header.indexOf(SEGMENT);
  if (segment < 0) return false;
  const { size, length } = sizeOf(header, segment + SEGMENT.length);
  const body = segment + SEGMENT.length + length;
  if (size !== undefined) return isHeader(await read(file, body + size, HEADER_BYTES), 0);
  let rest = Buffer.alloc(0);
  for await (const chunk of createReadStream(path, { start: body, highWaterMark: 2 ** 20, signal })) {
    const bytes = Buffer.concat([rest, chunk]);
    for (let at = bytes.indexOf(EBML); at >= 0; at = bytes.indexOf(EBML, at + 1)) if (isHeader(bytes, at)) return true;
    rest = bytes.subarray(-HEADER_BYTES);
  }
  return false;
}
const EBML = Buffer.from([0x1a, 0x45, 0xdf, 0xa3]);
const SEGMENT = Buffer.from([0x18, 0x53, 0x80, 0x67]);
/** A header with its document type, which tells it from four bytes of a picture. */
const HEADER_BYTES = 80;
const isHeader = (bytes: Buffer, at: number) =>
  bytes.indexOf(EBML, at) === at && /webm|matroska/.test(bytes.toString('latin1', at, at + HEADER_BYTES));
/** A size as EBML writes it (RFC 8794, 4): the zeros before its first bit tell how long it is; all ones: unknown. */
function sizeOf(bytes: Buffer, at: number): { size?: number; length: number } {
  const length = Math.clz32(bytes[at] ?? 0) - 23;
  let size = BigInt((bytes[at] ?? 0) & (2 ** (8 - length) - 1));
  for (let i = 1; i < length; i++) size = size * 256n + BigInt(bytes[at + i] ?? 0);
  return size === 2n ** BigInt(7 * length) - 1n ? { length } : { length, size: Number(size) };
}

/** A page that begins a stream after one that does not: the next link of a chain (RFC 3533, 4). */
async function anotherLink(file: FileHandle, _path: string, signal?: AbortSignal): Promise<boolean> {
  let begun = false;
  for (let at = 0, pages = 0; pages < MAX_LOOKED_AT; pages++) {
    signal?.throwIfAborted();
    const page = await read(file, at, PAGE_HEADER_BYTES);
    if (page.toString('latin1', 0, 4) !== 'OggS' || page.length < 27) return false; // the end, or damage
    const begins = ((page[5] as number) & 2) !== 0;
    if (begins && begun) return true;
    begun ||= !begins;
    const segments = page[26] as number;
    at += 27 + segments + page.subarray(27, 27 + segments).reduce((sum, bytes) => sum + bytes, 0);
  }
  return false;
}
const PAGE_HEADER_BYTES = 27 + 255;

/** A second RIFF header after what the first says it holds. */
async function anotherWave(file: FileHandle): Promise<boolean> {
  const { size } = riffOf(await read(file, 0, 12));
  return riffOf(await read(file, 8 + size + (size % 2), 12)).isWave;
}
const riffOf = (head: Buffer) => ({
  isWave: head.toString('latin1', 0, 4) === 'RIFF' && head.toString('latin1', 8, 12) === 'WAVE',
  size: head.length < 8 ? 0 : head.readUInt32LE(4),
});

/** A second stream marker with its STREAMINFO block (RFC 9639, 8.1 and 8.2). */
async function anotherFlac(_file: FileHandle, path: string, signal?: AbortSignal): Promise<boolean> {
  let rest = Buffer.alloc(0);
  for await (const chunk of createReadStream(path, { start: FLAC.length, highWaterMark: 2 ** 20, signal })) {
    const bytes = Buffer.concat([rest, chunk]);
    if (bytes.includes(FLAC)) return true;
    rest = bytes.subarray(1 - FLAC.length);
  }
  return false;
}
const FLAC = Buffer.from('fLaC\x00\x00\x00\x22', 'latin1');

/** An ADTS frame of another sample rate (ISO 14496-3, 1.A.2.2): ffmpeg counts its time by the first. Damage is passed over. */
async function anotherRate(_file: FileHandle, path: string, signal?: AbortSignal): Promise<boolean> {
  let first: number | undefined;
  let rest = Buffer.alloc(0);
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20, signal })) {
    const bytes = Buffer.concat([rest, chunk]);
    let at = 0;
    for (; at + ADTS_BYTES <= bytes.length; ) {
      const { rate, size } = adtsFrame(bytes, at);
      const next = at + size;
      if (size && next + ADTS_BYTES > bytes.length) break;
      // What looks like a frame is one where another of its rate follows.
      const another = size ? adtsFrame(bytes, next) : undefined;
      if (another?.size && another.rate === rate) {
        first ??= rate;
        if (rate !== first) return true;
      }
      at = size ? next : at + 1;
    }
    rest = bytes.subarray(at);
  }
  return false;
}
const ADTS_BYTES = 7;
/** Index of its sample rate, and its length; 0: it is no frame. */
function adtsFrame(bytes: Buffer, at: number): { rate: number; size: number } {
  const isSync = (bytes.readUInt16BE(at) & 0xfff6) === 0xfff0;
  const size = (bytes.readUIntBE(at + 3, 3) >> 5) & 0x1fff;
  return { rate: ((bytes[at + 2] as number) >> 2) & 15, size: isSync && size > ADTS_BYTES ? size : 0 };
}
