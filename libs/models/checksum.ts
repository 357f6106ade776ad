import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';

const checksumPattern = /^([0-9a-f]{40}|[0-9a-f]{64})$/;

/** A checksum as the hub states it: SHA-256 for large files, git's blob id (SHA-1 over a header and the content) for small ones. */
export const isChecksum = (text: string | undefined): text is string =>
  text !== undefined && checksumPattern.test(text);

/** Whether a file's whole content has the checksum. Reads it from the disk: what counts is what lies there, not what was sent. */
export async function hasChecksum(path: string, checksum: string, signal?: AbortSignal): Promise<boolean> {
  const hash =
    checksum.length === 64 ? createHash('sha256') : createHash('sha1').update(`blob ${(await stat(path)).size}\0`);
  await pipeline(createReadStream(path), hash, { signal });
  return hash.digest('hex') === checksum;
}

/** The checksum that a file of the hub's cache must have: the name of the blob it links to. Undefined for a file elsewhere. */
export async function knownChecksum(path: string): Promise<string | undefined> {
  const blob = await realpath(path);
  const name = basename(blob);
  return basename(dirname(blob)) === 'blobs' && isChecksum(name) ? name : undefined;
}

/** First 8 hex digits of a file's SHA-256. In the hub's cache that is the name of its blob, and takes no reading. */
export async function contentId(path: string): Promise<string> {
  const known = await knownChecksum(path);
  if (known?.length === 64) return known.slice(0, 8);
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex').slice(0, 8);
}
