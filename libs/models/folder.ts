import { open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { z } from 'zod';
import { ModelError } from './errors.ts';

/** Ends every message about a file that is not whole. */
export const remedy =
  'Put a whole copy there, or fetch it again with `cuepoint models pull`, which replaces what is broken in the cache.';

/** What is wrong with a file of a model folder, in words that follow its name. Undefined for one that can be read and may be what it should be. */
export async function fileProblem(folder: string, file: string): Promise<string | undefined> {
  const path = join(folder, file);
  try {
    const info = await stat(path);
    if (!info.isFile()) return 'is no file';
    if (info.size === 0) return 'is empty';
    await using handle = await open(path);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(headBytes), 0, headBytes, 0);
    return foreignContent(file, buffer.subarray(0, bytesRead));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return 'is missing';
    if (code === 'ELOOP') return 'is a symbolic link that leads back to itself';
    if (code === 'EACCES' || code === 'EPERM') return `may not be read by this user (${code})`;
    return `can't be read (${code})`;
  }
}

const headBytes = 64;

/** What lies in place of a model's file now and then, told by its first bytes. onnxruntime would only say that protobuf parsing failed. */
function foreignContent(file: string, head: Buffer): string | undefined {
  const text = head.toString('latin1').trimStart().toLowerCase();
  if (text.startsWith('version https://git-lfs'))
    return 'is a Git LFS pointer in place of the file it stands for (`git lfs pull` fetches that)';
  if (/^<(!doctype|html|\?xml)/.test(text)) return 'is a web page (an error or a log-in page) in place of the file';
  if (head.every((byte) => byte === 0)) return 'begins with zeros only: it was never written whole';
  if (file.endsWith('.onnx') && (text.startsWith('{') || text.startsWith('pk\x03\x04'))) return 'is no ONNX file';
  return undefined;
}

/** The first of `files` that is missing, empty or plainly something else in a model folder, if any. */
export async function missingFile(folder: string, files: string[]): Promise<string | undefined> {
  for (const file of files) if ((await fileProblem(folder, file)) !== undefined) return file;
  return undefined;
}

/** Throws `model_not_found` for no folder, `model_incomplete` for a file that is missing, empty or plainly something else. */
export async function checkFolder(folder: string, files: string[]): Promise<void> {
  try {
    if (!(await stat(folder)).isDirectory()) throw new ModelError('model_not_found', `${folder} is no model folder.`);
  } catch (error) {
    if (error instanceof ModelError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    throw new ModelError('model_not_found', `There is no model folder ${folder} that can be read (${code}).`);
  }
  for (const file of files) {
    const problem = await fileProblem(folder, file);
    if (problem) throw new ModelError('model_incomplete', `${file} in ${folder} ${problem}. ${remedy}`);
  }
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
