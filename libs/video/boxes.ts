import { type FileHandle, open, stat } from 'node:fs/promises';

/** Type and length of the box of an MP4 that begins at `at` (ISO 14496-12, 4.2), as far as `bytes` reach. */
export function boxOf(bytes: Buffer, at: number): { type: string; size: number } {
  if (at + 8 > bytes.length) return { type: '', size: 0 };
  const size = bytes.readUInt32BE(at);
  const large = size === 1 && at + 16 <= bytes.length;
  return { type: bytes.toString('latin1', at + 4, at + 8), size: large ? Number(bytes.readBigUInt64BE(at + 8)) : size };
}

/** What a file holds from `at` on, less than `length` where it ends. */
export async function read(file: FileHandle, at: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, at);
  return buffer.subarray(0, bytesRead);
}

/** Boxes or pages; days of a recording have fewer, and each is one read. A file of empty ones, made to do harm, would take hours. */
export const MAX_LOOKED_AT = 200_000;
const HEADER_BYTES = 16;
const FIRST = new Set(['ftyp', 'styp']);
/** Files that were looked at of late: each run of ffmpeg asks. */
const known = new Map<string, { stamp: string; end: number | undefined }>();
const MAX_KNOWN = 64;

/**
 * Where the last whole fragment of an MP4 ends that was cut off in the midst of the `moof` box of the next, as of a recorder that was killed: ffmpeg opens
 * no such file, and would take one that ended there. Undefined: it is not such a file, or holds no whole fragment.
 */
export async function endOfWholeFragments(path: string): Promise<number | undefined> {
  const info = await stat(path);
  if (!info.isFile()) return undefined;
  const { size, mtimeMs } = info;
  const stamp = `${size} ${mtimeMs}`;
  const found = known.get(path);
  if (found?.stamp === stamp) return found.end;
  await using file = await open(path);
  const end = await findEnd(file, size);
  known.delete(path);
  known.set(path, { stamp, end });
  if (known.size > MAX_KNOWN) known.delete(known.keys().next().value as string);
  return end;
}

async function findEnd(file: FileHandle, fileSize: number): Promise<number | undefined> {
  let hasFragment = false;
  for (let at = 0, seen = 0; at < fileSize && seen < MAX_LOOKED_AT; seen++) {
    const { type, size } = boxOf(await read(file, at, HEADER_BYTES), 0);
    if ((at === 0 && !FIRST.has(type)) || size < 8) return undefined;
    if (type === 'moof' && at + size > fileSize) return hasFragment ? at : undefined;
    hasFragment ||= type === 'moof';
    at += size;
  }
  return undefined;
}
