import { type DynamicModule, Module } from '@nestjs/common';
import type { Logger } from 'pino';
import type { Config } from '#config';
import { CaptionsHandler } from './captions.ts';
import { CleanupHandler } from './cleanup.ts';
import { DeliverHandler } from './deliver.ts';
import { FinalizeHandler } from './finalize.ts';
import { FramesHandler } from './frames.ts';
import { Heartbeat } from './heartbeat.ts';
import { Models } from './models.ts';
import { PlanHandler } from './plan.ts';
import { QueueWorkers } from './queue-workers.ts';
import { Reconcile } from './reconcile.ts';
import { SpeechHandler } from './speech.ts';
import { Stores } from './stores.ts';
import { CONFIG, HANDLERS, LOGGER } from './tokens.ts';

const handlers = [
  PlanHandler,
  FramesHandler,
  SpeechHandler,
  CaptionsHandler,
  FinalizeHandler,
  DeliverHandler,
  CleanupHandler,
];

@Module({})
class WorkerModule {}

export function workerModule(config: Config, log: Logger): DynamicModule {
  return {
    module: WorkerModule,
    providers: [
      { provide: CONFIG, useValue: config },
      { provide: LOGGER, useValue: log },
      { provide: Stores, useFactory: () => Stores.open(config, log) },
      ...handlers,
      { provide: HANDLERS, useFactory: (...all) => all, inject: handlers },
      Models,
      Heartbeat,
      Reconcile,
      QueueWorkers,
    ],
  };
}
