import { access, constants, stat } from 'node:fs/promises';
import { CliError } from './errors.ts';

/** Size of a file that can be read. Throws CliError `file_unreadable` for one that can't, and for what is no file. */
export async function readableFileSize(path: string): Promise<number> {
  const unreadable = (why: string) => new CliError('file_unreadable', why, 66);
  try {
    const found = await stat(path);
    if (!found.isFile()) throw unreadable(`${path} is not a file.`);
    await access(path, constants.R_OK);
    return found.size;
  } catch (error) {
    if (error instanceof CliError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    throw unreadable(code === 'ENOENT' ? `There is no file ${path}.` : message);
  }
}
