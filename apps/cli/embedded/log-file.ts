import { appendFileSync, existsSync, mkdirSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

const MAX_BYTES = 10 * 1024 * 1024;

/** A log that is at most two files of 10 MiB: the current one and the one before (`.1`). */
export class LogFile {
  #size: number;
  constructor(readonly path: string) {
    mkdirSync(dirname(path), { recursive: true });
    this.#size = existsSync(path) ? statSync(path).size : 0;
  }
  write(line: string): void {
    const data = `${line}\n`;
    try {
      if (this.#size > MAX_BYTES) {
        renameSync(this.path, `${this.path}.1`);
        this.#size = 0;
      }
      appendFileSync(this.path, data);
      this.#size += Buffer.byteLength(data);
    } catch {
      // A full disk must not stop the supervisor.
    }
  }
}
