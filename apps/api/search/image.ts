import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { isFull } from '#store';
import { decodePicture, MediaError } from '#video';
import { hasTooManyValues, textOf, tooManyValues } from '../http/json.ts';
import { type ProblemCode, ProblemError } from '../problems.ts';
import { searchSchema } from '../schemas/index.ts';
import { validate } from '../validation.ts';

const MAX_IMAGE_BYTES = 20 * 1024 ** 2;
const MAX_REQUEST_BYTES = 128 * 1024;
const CODES: Partial<Record<MediaError['code'], ProblemCode>> = {
  media_empty: 'image_invalid',
  media_not_recognised: 'image_invalid',
  media_broken: 'image_invalid',
  media_too_large: 'image_too_large',
  media_timeout: 'image_invalid',
};

/** A picture in a file that is there until it is disposed of, and its SHA-256 in base64. */
export interface Picture extends AsyncDisposable {
  path: string;
  digest: string;
}

/**
 * A search by a picture as a form: `image`, and the rest of the request as JSON in `request`. The picture waits for its turn in a file: forty of
 * 20 MB took a gigabyte of memory.
 */
export async function readSearchForm(request: FastifyRequest): Promise<{ image: Picture; fields: unknown }> {
  await using folder = new AsyncDisposableStack();
  const made = await mkdtemp(join(tmpdir(), 'cuepoint-search-')).catch((error: unknown) => {
    throw isFull(error) ? noRoom(error) : error;
  });
  const path = join(folder.adopt(made, removeFolder), 'picture');
  let digest: string | undefined;
  let fields: unknown = {};
  try {
    for await (const part of request.parts({
      limits: { fileSize: MAX_IMAGE_BYTES, fieldSize: MAX_REQUEST_BYTES, files: 1, fields: 1, parts: 2 },
    })) {
      if (part.type === 'file' && part.fieldname === 'image') {
        digest = await save(part.file, path);
        if (part.file.truncated)
          throw new ProblemError('image_too_large', `A picture may have at most ${MAX_IMAGE_BYTES} bytes.`);
      } else if (part.type === 'field' && part.fieldname === 'request') {
        if (part.valueTruncated)
          throw new ProblemError('request_invalid', `request: has more than ${MAX_REQUEST_BYTES} bytes.`);
        fields = parse(textOf(part.value));
      } else {
        throw new ProblemError('request_invalid', 'The form has the file `image` and the field `request`, no others.');
      }
    }
  } catch (error) {
    if (error instanceof ProblemError) throw error;
    if (isFull(error)) throw noRoom(error);
    throw new ProblemError('multipart_invalid', (error as Error).message, { cause: error });
  }
  if (digest === undefined) throw new ProblemError('file_missing', 'Send the picture as a part named `image`.');
  const kept = folder.move();
  return { image: { path, digest, [Symbol.asyncDispose]: () => kept.disposeAsync() }, fields };
}

const noRoom = (cause: unknown) => new ProblemError('disk_full', 'There is no room for the picture.', { cause });
const removeFolder = (folder: string): Promise<void> => rm(folder, { recursive: true, force: true });

/** Gives the digest of what it wrote. */
async function save(file: Readable, path: string): Promise<string> {
  const hash = createHash('sha256');
  file.on('data', (chunk) => hash.update(chunk));
  await pipeline(file, createWriteStream(path));
  return hash.digest('base64');
}

function parse(text: string): unknown {
  if (hasTooManyValues(text)) throw tooManyValues();
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ProblemError('json_invalid', `request: ${(error as Error).message}`, { cause: error });
  }
}

/** What else a form asks, validated as a JSON request is. A digest of the picture stands in for its `image`: a cursor goes with its own picture. */
export function formRequest(fields: unknown, { digest }: Picture): z.output<typeof searchSchema> {
  const isObject = typeof fields === 'object' && fields !== null && !Array.isArray(fields);
  if (isObject && 'image' in fields) throw new ProblemError('request_invalid', 'image: is the file of this form.');
  return validate(searchSchema, isObject ? { ...fields, image: digest } : fields);
}

let decoding: Promise<unknown> = Promise.resolve();
/** Bytes, or the path of a file. One at a time: a large photo takes a hundred MB to decode. Throws `image_invalid`, `image_too_large`. */
export function decodeImage(picture: Uint8Array | string) {
  const decoded = decoding.then(async () => {
    try {
      return await decodePicture(typeof picture === 'string' ? await readFile(picture) : picture);
    } catch (error) {
      const code = error instanceof MediaError ? CODES[error.code] : undefined;
      throw code ? new ProblemError(code, (error as Error).message, { cause: error }) : error;
    }
  });
  decoding = decoded.catch(() => {});
  return decoded;
}
