import { createHash } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import type { z } from 'zod';
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

/** A search by a picture as a form: `image`, and the rest of the request as JSON in `request`. */
export async function readSearchForm(request: FastifyRequest): Promise<{ image: Buffer; fields: unknown }> {
  let image: Buffer | undefined;
  let fields: unknown = {};
  try {
    for await (const part of request.parts({
      limits: { fileSize: MAX_IMAGE_BYTES, fieldSize: MAX_REQUEST_BYTES, files: 1, fields: 1, parts: 2 },
    })) {
      if (part.type === 'file' && part.fieldname === 'image') {
        image = await part.toBuffer().catch((error: Error) => {
          if (!part.file.truncated) throw error;
          return undefined;
        });
        if (image === undefined || part.file.truncated)
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
    throw new ProblemError('multipart_invalid', (error as Error).message, { cause: error });
  }
  if (!image) throw new ProblemError('file_missing', 'Send the picture as a part named `image`.');
  return { image, fields };
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
export function formRequest(fields: unknown, picture: Uint8Array): z.output<typeof searchSchema> {
  const isObject = typeof fields === 'object' && fields !== null && !Array.isArray(fields);
  if (isObject && 'image' in fields) throw new ProblemError('request_invalid', 'image: is the file of this form.');
  const image = createHash('sha256').update(picture).digest('base64');
  return validate(searchSchema, isObject ? { ...fields, image } : fields);
}

let decoding: Promise<unknown> = Promise.resolve();
/** One at a time: a large photo takes a hundred MB to decode. Throws `image_invalid`, `image_too_large`. */
export function decodeImage(bytes: Uint8Array) {
  const decoded = decoding.then(async () => {
    try {
      return await decodePicture(bytes);
    } catch (error) {
      const code = error instanceof MediaError ? CODES[error.code] : undefined;
      throw code ? new ProblemError(code, (error as Error).message, { cause: error }) : error;
    }
  });
  decoding = decoded.catch(() => {});
  return decoded;
}
