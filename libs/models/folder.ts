import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { z } from 'zod';
import { ModelError } from './errors.ts';

/** Ends every message about a file that is not whole. */
export const remedy =
  'Delete the model folder and fetch it again (cuepoint models pull), or point MODELS_DIR at a whole copy.';

/** The first of `files` that is missing or empty in a model folder, if any. */
export async function missingFile(folder: string, files: string[]): Promise<string | undefined> {
  for (const file of files) {
    const info = await stat(join(folder, file)).catch(() => undefined);
    if (!info?.isFile() || info.size === 0) return file;
  }
  return undefined;
}

/** Throws `model_not_found` for no folder, `model_incomplete` for a missing or empty file. */
export async function checkFolder(folder: string, files: string[]): Promise<void> {
  const info = await stat(folder).catch(() => undefined);
  if (!info?.isDirectory()) throw new ModelError('model_not_found', `There is no model folder ${folder}.`);
  const missing = await missingFile(folder, files);
  if (missing) throw new ModelError('model_incomplete', `${missing} is missing or empty in ${folder}. ${remedy}`);
}

/** Reads a JSON file of a model folder and checks what the code relies on. */
export async function readModelJson<T>(folder: string, file: string, schema: z.ZodType<T>): Promise<T> {
  const text = await readFile(join(folder, file), 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new ModelError('model_incomplete', `${file} can't be read in ${folder} (${error.code}). ${remedy}`);
  });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ModelError('model_incomplete', `${file} in ${folder} is not whole JSON. ${remedy}`);
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new ModelError(
      'model_invalid',
      `${file} in ${folder}: ${issue?.path.join('.') || 'value'}: ${issue?.message}. It is not the file of a model of this kind.`,
    );
  }
  return parsed.data;
}
