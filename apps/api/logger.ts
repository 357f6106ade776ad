import type { LoggerService } from '@nestjs/common';
import { type Logger, pino } from 'pino';
import type { Config } from '#config';

/** JSON lines on stdout; with LOG_PRETTY, lines for people. */
export function createLogger(config: Pick<Config, 'log'>): Logger {
  return pino({
    name: 'api',
    level: config.log.level,
    redact: ['req.headers.authorization', 'req.headers["x-api-key"]', '*.secret', '*.webhookSecret'],
    ...(config.log.pretty ? { transport: { target: 'pino-pretty' } } : {}),
  });
}

/** Nest's own lines, in pino: its chatter about modules and routes is `debug`. */
export function nestLogger(log: Logger): LoggerService {
  const write =
    (level: 'debug' | 'warn' | 'error' | 'fatal') =>
    (message: unknown, ...rest: unknown[]) => {
      const nest = rest.at(-1);
      const isError = message instanceof Error;
      const fields = { ...(typeof nest === 'string' && { nest }), ...(isError && { err: message }) };
      log[level](fields, isError ? message.message : String(message));
    };
  return {
    log: write('debug'),
    debug: write('debug'),
    verbose: write('debug'),
    warn: write('warn'),
    error: write('error'),
    fatal: write('fatal'),
  };
}
