import type { LoggerService } from '@nestjs/common';
import { type Logger, pino } from 'pino';
import type { Config } from '#config';

/** JSON lines on stdout; with LOG_PRETTY, lines for people. */
export function createLogger(config: Pick<Config, 'log'>): Logger {
  return pino({
    name: 'worker',
    level: config.log.level,
    redact: ['*.secret'],
    ...(config.log.pretty ? { transport: { target: 'pino-pretty' } } : {}),
  });
}

/** Nest's own lines, in pino: its talk of modules is `debug`. */
export function nestLogger(log: Logger): LoggerService {
  const write = (level: 'debug' | 'warn' | 'error' | 'fatal') => (message: unknown) =>
    message instanceof Error ? log[level](message) : log[level](String(message));
  return {
    log: write('debug'),
    debug: write('debug'),
    verbose: write('debug'),
    warn: write('warn'),
    error: write('error'),
    fatal: write('fatal'),
  };
}
