import { rmSync } from 'node:fs';
import { createConnection, createServer, type Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { CliError } from '../errors.ts';
import { socketPath } from './sockets.ts';

interface Holder {
  pid: number;
  since: string;
  /** Command that holds it, for words. */
  what: string;
}

/**
 * Lets one supervisor at a time use a data folder. The lock is a listening unix socket: the system lets go of it when its holder dies
 * in whatever way, and a process id that was used again can't look like a holder.
 */
export class DataDirLock implements AsyncDisposable {
  readonly #server: Server;
  readonly #path: string;
  private constructor(server: Server, path: string) {
    this.#server = server;
    this.#path = path;
  }

  /** Throws CliError `data_dir_in_use`, saying by whom. */
  static async take(dataDir: string, what: string): Promise<DataDirLock> {
    const path = socketPath(dataDir, 'up.sock');
    const holder = await askHolder(path);
    if (holder) throw inUse(dataDir, holder);
    rmSync(path, { force: true });
    const self: Holder = { pid: process.pid, since: new Date().toISOString(), what };
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.end(JSON.stringify(self));
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) =>
        reject(error.code === 'EADDRINUSE' ? inUse(dataDir) : error),
      );
      server.listen(path, resolve);
    });
    // Two that found it free at once both get here, but only one of them is reached under the path.
    await sleep(100);
    const winner = await askHolder(path);
    if (winner && winner.pid !== self.pid) {
      // Closing would remove the winner's socket file.
      server.unref();
      throw inUse(dataDir, winner);
    }
    return new DataDirLock(server, path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    rmSync(this.#path, { force: true });
  }
}

function inUse(dataDir: string, holder?: Holder): CliError {
  const who = holder ? `\`cuepoint ${holder.what}\` (process ${holder.pid}, since ${holder.since})` : 'another process';
  return new CliError(
    'data_dir_in_use',
    `${dataDir} is in use by ${who}. Stop that one, or choose another folder with --data-dir.`,
    75,
  );
}

/** Who listens there; undefined when nobody does. One that is too busy to answer counts as a holder. */
function askHolder(path: string): Promise<Holder | undefined> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path);
    let text = '';
    const unknown: Holder = { pid: 0, since: 'unknown', what: 'up' };
    socket.setTimeout(3_000, () => {
      socket.destroy();
      resolve(unknown);
    });
    socket.on('data', (chunk) => {
      text += chunk;
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') resolve(undefined);
      else if (error.code === 'ECONNRESET') resolve(unknown);
      else reject(error);
    });
    socket.once('end', () => {
      try {
        resolve(JSON.parse(text) as Holder);
      } catch {
        resolve(unknown);
      }
    });
  });
}
