import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, realpathSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { CliError } from '../errors.ts';

/** A socket's path may have 104 bytes on macOS and 108 on Linux, including the final zero. */
const LONGEST_PATH = 100;

/** Short, and the same for everyone, whatever TMPDIR says. */
const SHORT = '/tmp';

/**
 * Path for a unix socket of this data folder: inside it, or in a folder of our own under /tmp where the path gets too long. The same whatever name the
 * folder is given by, links included: two processes on one folder must meet.
 */
export function socketPath(dataDir: string, name: string): string {
  mkdirSync(join(dataDir, 'run'), { recursive: true, mode: 0o700 });
  const real = realpathSync(dataDir);
  const path = join(real, 'run', name);
  if (Buffer.byteLength(path) <= LONGEST_PATH) return path;
  const { uid } = userInfo();
  const digest = createHash('sha256').update(real).digest('hex').slice(0, 16);
  const folder = join(SHORT, `cuepoint-${uid}-${digest}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  // Anyone may make folders there: this one must be ours alone.
  const found = lstatSync(folder);
  if (!found.isDirectory() || found.uid !== uid || found.mode & 0o077)
    throw new CliError('socket_folder_refused', `${folder} belongs to someone else or is open to others.`, 73);
  return join(folder, name);
}
