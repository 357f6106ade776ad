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

/** Lets Nest write into pino; its chatter about modules and routes is `debug`. */
export class NestLogger implements LoggerService {
  readonly #pino: Logger;
  constructor(pino: Logger) {
    this.#pino = pino;
  }
  #write(level: 'debug' | 'warn' | 'error' | 'fatal', message: unknown, rest: unknown[]): void {
    const context = rest.at(-1);
    this.#pino[level](
      {
        nest: typeof context === 'string' ? context : undefined,
        ...(message instanceof Error ? { err: message } : {}),
      },
      message instanceof Error ? message.message : String(message),
    );
  }
  log(message: unknown, ...rest: unknown[]): void {
    this.#write('debug', message, rest);
  }
  debug(message: unknown, ...rest: unknown[]): void {
    this.#write('debug', message, rest);
  }
  verbose(message: unknown, ...rest: unknown[]): void {
    this.#write('debug', message, rest);
  }
  warn(message: unknown, ...rest: unknown[]): void {
    this.#write('warn', message, rest);
  }
  error(message: unknown, ...rest: unknown[]): void {
    this.#write('error', message, rest);
  }
  fatal(message: unknown, ...rest: unknown[]): void {
    this.#write('fatal', message, rest);
  }
}
