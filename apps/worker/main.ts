import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { loadConfig } from '#config';
import { checkWritable, durabilityRisks, isForbidden, useScratchFolder } from '#store';
import { checkFfmpeg, configureFfmpeg } from '#video';
import { Heartbeat } from './heartbeat.ts';
import { createLogger, nestLogger } from './logger.ts';
import { Models } from './models.ts';
import { QueueWorkers } from './queue-workers.ts';
import { Reconcile } from './reconcile.ts';
import { Stores } from './stores.ts';
import { workerModule } from './worker.module.ts';

/** Stopping may wait for a store that hangs; longer than the jobs in hand are given (queue-workers.ts) it does not. */
const MAX_STOP_MS = 15_000;

const config = loadConfig();
const log = createLogger(config);

async function start(): Promise<void> {
  configureFfmpeg({ ...config.ffmpeg, onNote: (message) => log.info(message) });
  log.info(await checkFfmpeg(), 'worker starts');
  await useScratchFolder();
  const app = await NestFactory.createApplicationContext(workerModule(config, log), {
    logger: nestLogger(log),
    abortOnError: false,
  });
  let stopping = false;
  const stop = (why: string) => {
    if (stopping) return;
    stopping = true;
    setTimeout(() => process.exit(1), MAX_STOP_MS).unref();
    (async () => {
      log.info({ why }, 'worker stops');
      await app.close();
      process.exit(0);
    })().catch((err: unknown) => {
      log.error({ err }, 'worker did not stop cleanly');
      process.exit(1);
    });
  };
  process.on('SIGTERM', () => stop('SIGTERM'));
  process.on('SIGINT', () => stop('SIGINT'));
  // `cuepoint up` holds the other end: a worker must not outlive it.
  process.on('disconnect', () => stop('the supervisor is gone'));

  void durabilityRisks(app.get(Stores).redis).then(
    (risks) => {
      for (const risk of risks) log.warn(risk);
    },
    (err: unknown) => log.debug({ err }, 'Redis did not show its settings'),
  );
  // What a killed worker was fetching; the api, which does the same, may run for months.
  void app
    .get(Stores)
    .blobs.sweep()
    .catch((err: unknown) => log.warn({ err }, 'left-overs of fetched files were not removed'));
  app.get(Models).start();
  app.get(Heartbeat).start();
  void checkWritable(app.get(Stores).redis)
    .catch((err: unknown) => {
      // BullMQ would ask again and again without a pause, whatever its user is allowed later.
      if (isForbidden(err)) throw err;
      log.warn({ err }, 'Redis takes no writes');
    })
    .then(() => stopping || app.get(QueueWorkers).start())
    .catch(fail);
  app.get(Reconcile).start();
  process.send?.({ type: 'ready' });
}

function fail(err: unknown): void {
  log.fatal({ err }, err instanceof Error ? err.message : 'worker did not start');
  process.exitCode = 1;
  setTimeout(() => process.exit(1), 200).unref(); // pino's transport may still be writing
}

start().catch(fail);
