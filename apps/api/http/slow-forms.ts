import type { IncomingMessage } from 'node:http';

/** A form that brings less than this in a minute (some 1 KB/s, below any line that a video is sent by) is dead, or there to hold what it takes. */
const MIN_BYTES_A_MINUTE = 64 * 1024;
const LOOK_MS = 5_000;

/** Drops the connection of a form of which next to nothing arrives though we are ready to take it (when we are the slow side, the request is paused). */
export function endWhenSlow(raw: IncomingMessage): void {
  raw.socket.setTimeout(0);
  let bytes = raw.socket.bytesRead;
  let since = performance.now(); // a clock that nobody sets
  const timer = setInterval(() => {
    if (raw.socket.bytesRead - bytes >= MIN_BYTES_A_MINUTE || raw.isPaused() || raw.complete) {
      bytes = raw.socket.bytesRead;
      since = performance.now();
    } else if (performance.now() - since >= 60_000) {
      raw.destroy();
    }
  }, LOOK_MS);
  timer.unref();
  const stop = () => clearInterval(timer);
  raw.once('end', stop).once('close', stop);
}
