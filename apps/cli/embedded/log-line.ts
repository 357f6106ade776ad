import type { Terminal } from '../terminal.ts';

const LEVELS = { info: 30, warn: 40, error: 50 } as const;

/** A child's pino line in words, or undefined when it matters less than `least`. What is no JSON (a crash) is always shown. */
export function logLine(app: string, line: string, least: 'info' | 'warn', terminal: Terminal): string | undefined {
  let entry: Record<string, unknown>;
  try {
    entry = JSON.parse(line) as Record<string, unknown>;
  } catch {
    return line.trim() ? `  ${app} │ ${line}` : undefined;
  }
  const level = Number(entry.level);
  if (!(level >= LEVELS[least])) return undefined;
  const { time, msg, err, videoId, jobId } = entry as {
    time?: number;
    msg?: string;
    err?: { message?: string };
    videoId?: string;
    jobId?: string;
  };
  const name = level >= LEVELS.error ? 'ERROR' : level >= LEVELS.warn ? 'WARN' : 'INFO';
  const colour = level >= LEVELS.error ? 'red' : level >= LEVELS.warn ? 'yellow' : 'gray';
  const about = [videoId && `video ${videoId}`, jobId && `job ${jobId}`].filter(Boolean).join(', ');
  const at = new Date(time ?? Date.now()).toLocaleTimeString('en-GB');
  const why = err?.message && err.message !== msg ? `: ${err.message}` : '';
  return `${terminal.style('gray', at)} ${terminal.style(colour, name.padEnd(5))} ${app}: ${msg ?? ''}${why}${about ? terminal.style('gray', ` (${about})`) : ''}`;
}
