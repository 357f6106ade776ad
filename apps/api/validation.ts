import { StandardSchemaValidationPipe } from '@nestjs/common';
import type { z } from 'zod';
import { ProblemError } from './problems.ts';

/** A client that sends a thousand unknown fields, or one of a megabyte, does not get them back. */
const MAX_MESSAGE_CHARS = 300;

type Issue = { readonly message: string; readonly path?: ReadonlyArray<PropertyKey | { readonly key: PropertyKey }> };

/** Standard Schema issues as a `request_invalid` problem that names every field. */
export function invalidRequest(issues: readonly Issue[]): ProblemError {
  const errors = issues.slice(0, 50).map((issue) => ({
    path: cut((issue.path ?? []).map((part) => String(typeof part === 'object' ? part.key : part)).join('.')),
    message: cut(issue.message),
  }));
  const first = errors[0];
  return new ProblemError(
    'request_invalid',
    first ? `${first.path ? `${first.path}: ` : ''}${first.message}` : 'The request is not valid.',
    { errors },
  );
}

const cut = (text: string): string => (text.length > MAX_MESSAGE_CHARS ? `${text.slice(0, MAX_MESSAGE_CHARS)}…` : text);

/** For what the standard-schema pipe does not see (multipart fields, headers). Throws `request_invalid`. */
export function validate<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw invalidRequest(parsed.error.issues);
  return parsed.data;
}

/** Nest's, less what it leaves out of a body without a word: the JSON parser refuses keys that are dangerous, and `constructor` is a word like others. */
export class ValidationPipe extends StandardSchemaValidationPipe {
  protected override stripProtoKeys(): void {}
}
