import { type DynamicModule, Module } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { Config } from '#config';
import { Jobs } from '#jobs';
import { Catalog } from '#store';
import { AskController } from './ask/ask.controller.ts';
import { AskService } from './ask/ask.service.ts';
import { Conversations } from './ask/conversations.ts';
import { LLM, openLlm } from './ask/llm.ts';
import { Signer } from './auth/index.ts';
import { CaptionsController } from './captions/captions.controller.ts';
import { CaptionsService } from './captions/captions.service.ts';
import { ChaptersController } from './chapters/chapters.controller.ts';
import { ChaptersService } from './chapters/chapters.service.ts';
import { EventsController } from './events/events.controller.ts';
import { HealthController } from './health/health.controller.ts';
import { HealthService } from './health/health.service.ts';
import { MetricsController } from './health/metrics.controller.ts';
import { Metrics } from './health/metrics.ts';
import { SystemController } from './health/system.controller.ts';
import { LabelsController } from './labels/labels.controller.ts';
import { LabelsService } from './labels/labels.service.ts';
import { Links } from './links.ts';
import { MediaController } from './media/media.controller.ts';
import { FramesModelsService } from './models/frames-models.service.ts';
import { ModelsController } from './models/models.controller.ts';
import { DocsController } from './openapi/docs.controller.ts';
import { ProblemFilter } from './problem.filter.ts';
import type { Resources } from './resources.ts';
import { ModelsService } from './search/models.service.ts';
import { NamesService } from './search/names.service.ts';
import { SearchController } from './search/search.controller.ts';
import { SearchService } from './search/search.service.ts';
import { searchTurns, Turns } from './search/turns.ts';
import { Availability } from './store-guard.ts';
import { BLOBS, CONFIG, INDEX, LOGGER, SHUTDOWN } from './tokens.ts';
import { TranscriptsController } from './transcripts/transcripts.controller.ts';
import { Acceptance } from './videos/acceptance.ts';
import { IntakeService } from './videos/intake.ts';
import { VideosController } from './videos/videos.controller.ts';
import { VideosService } from './videos/videos.service.ts';
import { WebhooksController } from './webhooks/webhooks.controller.ts';

@Module({})
// biome-ignore lint/complexity/noStaticOnlyClass: Nest's modules are classes.
export class AppModule {
  static with(parts: {
    config: Config;
    log: Logger;
    signer: Signer;
    shutdown: AbortSignal;
    resources: Resources;
  }): DynamicModule {
    const { redis, availability, catalog, jobs, blobs, index, acceptance } = parts.resources;
    return {
      module: AppModule,
      controllers: [
        VideosController,
        EventsController,
        MediaController,
        TranscriptsController,
        CaptionsController,
        ChaptersController,
        LabelsController,
        SearchController,
        AskController,
        WebhooksController,
        ModelsController,
        HealthController,
        MetricsController,
        SystemController,
        DocsController,
      ],
      providers: [
        { provide: CONFIG, useValue: parts.config },
        { provide: LOGGER, useValue: parts.log },
        { provide: SHUTDOWN, useValue: parts.shutdown },
        { provide: BLOBS, useValue: blobs },
        { provide: INDEX, useValue: index },
        { provide: Redis, useValue: redis },
        { provide: Availability, useValue: availability },
        { provide: Catalog, useValue: catalog },
        { provide: Jobs, useValue: jobs },
        { provide: Acceptance, useValue: acceptance },
        { provide: Signer, useValue: parts.signer },
        { provide: APP_FILTER, useClass: ProblemFilter },
        Links,
        VideosService,
        IntakeService,
        CaptionsService,
        ModelsService,
        { provide: Turns, useFactory: searchTurns },
        LabelsService,
        FramesModelsService,
        NamesService,
        SearchService,
        { provide: LLM, useValue: openLlm(parts.config) },
        ChaptersService,
        Conversations,
        AskService,
        HealthService,
        Metrics,
      ],
    };
  }
}
