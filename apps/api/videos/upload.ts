import type { MultipartFile } from '@fastify/multipart';
import type { FastifyRequest } from 'fastify';
import { textOf } from '../http/json.ts';
import { ProblemError } from '../problems.ts';

const MAX_FIELD_BYTES = 128 * 1024;
const FIELD_NAMES = new Set([
  'title',
  'metadata',
  'language',
  'transcribe',
  'task',
  'prompt',
  'webhookUrl',
  'webhookSecret',
]);
const FILE_NAMES = new Set(['file', 'captions']);

/** The text fields of a multipart body as they came. Empty ones count as not given, as browsers send them so. */
export type FormFields = Record<string, string>;

/**
 * Reads a multipart body: `onFile` gets the stream of each file (`file`, `captions`) as it arrives, with the fields that came before it, and must
 * take all of it.
 * Gives all fields. There is no limit on how long an upload takes, only on how slow it is (http/slow-forms.ts).
 */
export async function readForm(
  request: FastifyRequest,
  onFile: (file: MultipartFile, fieldsBefore: FormFields) => Promise<'go on' | 'stop'>,
): Promise<FormFields> {
  const fields: FormFields = {};
  const given = new Set<string>();
  try {
    for await (const part of request.parts({
      limits: { fileSize: Number.POSITIVE_INFINITY, fieldSize: MAX_FIELD_BYTES },
    })) {
      const name: string | undefined = part.fieldname; // Its type does not know of parts without a name.
      if (name === undefined) throw new ProblemError('multipart_invalid', 'A part of the form has no name.');
      if (given.has(name)) throw field(name, 'is given more than once');
      given.add(name);
      if (part.type === 'file') {
        if (!FILE_NAMES.has(name)) throw field(name, 'is not a field of this form, or must not be a file');
        if ((await onFile(part, { ...fields })) === 'stop') return fields;
        continue;
      }
      if (FILE_NAMES.has(name))
        throw new ProblemError('file_missing', `The part \`${name}\` must be a file: give it a filename.`);
      if (!FIELD_NAMES.has(name)) throw field(name, 'is not a field of this form');
      if (part.valueTruncated) throw field(name, `is larger than ${MAX_FIELD_BYTES} bytes`);
      const value = textOf(part.value);
      if (value.trim() !== '') fields[name] = value;
    }
  } catch (error) {
    throw brokenBody(error);
  }
  if (!given.has('file')) throw new ProblemError('file_missing', 'Send the media as a part named `file`.');
  return fields;
}

function field(path: string, message: string): ProblemError {
  return new ProblemError('request_invalid', `${path.slice(0, 100)}: ${message}.`, {
    errors: [{ path: path.slice(0, 100), message }],
  });
}

/** What the multipart parser throws is about the body, unless it is a problem or an error of the store already. */
function brokenBody(error: unknown): unknown {
  const code = (error as { code?: unknown }).code;
  if (code === 'ECONNRESET') return cutOff(error); // of the request: the store has its own words
  const parser = typeof code === 'string' && code.startsWith('FST_');
  const busboy =
    error instanceof Error && /multipart|terminated early|Unexpected end|Malformed|needle/i.test(error.message);
  return parser || (busboy && code === undefined)
    ? new ProblemError('multipart_invalid', (error as Error).message, { cause: error })
    : error;
}

/** The client went before its upload was whole: nobody hears this, but log and metrics should not call it a fault of ours. */
export const cutOff = (cause?: unknown) => new ProblemError('multipart_invalid', 'The upload was cut off.', { cause });
