import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { Logger } from 'pino';
import type { Config } from '#config';
import { checkMounted } from '#store';
import { AppModule } from './app.module.ts';
import { createGate, Signer, signingSecret } from './auth/index.ts';
import { checkConfig } from './config-check.ts';
import { Metrics } from './health/metrics.ts';
import { addHooks, createAdapter } from './http/server.ts';
import { createLogger, nestLogger } from './logger.ts';
import { serveDocsAssets } from './openapi/docs.controller.ts';
import { ProblemError } from './problems.ts';
import { openResources } from './resources.ts';
import { ModelsService } from './search/models.service.ts';
import { invalidRequest, ValidationPipe } from './validation.ts';

export interface Api {
  /** Address it listens on. */
  url: string;
  /** All routes, as `GET /v1/videos/:id`. */
  routes: string[];
  log: Logger;
  /** Stops taking requests, lets running ones end for at most `graceMs`, and closes everything. */
  close(graceMs?: number): Promise<void>;
}

/** Opens everything and listens. The models load afterwards, in the background. */
export async function createApp(config: Config): Promise<Api> {
  checkConfig(config);
  const log = createLogger(config);
  const shutdown = new AbortController();
  await checkMounted(config);
  const signer = new Signer(await signingSecret(config.http.signingSecret, config.dataDir));
  const resources = await openResources(config, config.redisUrl, log);
  try {
    const adapter = createAdapter();
    const app = await NestFactory.create<NestFastifyApplication>(
      AppModule.with({ config, log, signer, shutdown: shutdown.signal, resources }),
      adapter,
      { logger: nestLogger(log), bodyParser: false, abortOnError: false },
    );
    app.useGlobalPipes(new ValidationPipe({ exceptionFactory: invalidRequest }));
    const server = adapter.getInstance();
    const routes: string[] = [];
    server.addHook(
      'onRoute',
      ({ method, url }) => void routes.push(...[method].flat().map((name) => `${name} ${url}`)),
    );
    addHooks(server, { gate: createGate(config, signer), metrics: app.get(Metrics), log, shutdown: shutdown.signal });
    serveDocsAssets(server);
    await app.listen({ host: config.http.host, port: config.http.port });
    const models = app.get(ModelsService);
    models.start();
    const close = async (graceMs = 10_000) => {
      shutdown.abort(shuttingDown());
      await finish(app, graceMs);
      app.get(Metrics).close();
      await models.close();
      await resources.close();
    };
    return { url: addressOf(config, server), routes, log, close };
  } catch (error) {
    await resources.close();
    throw error;
  }
}

/** For requests that come now, and answers that are cut off. */
const shuttingDown = () =>
  new ProblemError('shutting_down', 'Ask again in a moment.', { headers: { connection: 'close', 'retry-after': '5' } });

/** Waits for running requests; cuts off those that take too long. */
async function finish(app: NestFastifyApplication, graceMs: number): Promise<void> {
  const server = app.getHttpServer();
  const timer = setTimeout(() => server.closeAllConnections(), graceMs);
  // A connection that was busy when the end began stays open after its answer, for the next request.
  const idle = setInterval(() => server.closeIdleConnections(), 100);
  try {
    await app.close();
  } finally {
    clearTimeout(timer);
    clearInterval(idle);
  }
}

function addressOf(config: Config, server: { server: { address(): unknown } }): string {
  const { port } = server.server.address() as { port: number };
  const { host } = config.http;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
