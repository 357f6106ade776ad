import { Controller, Get, Inject } from '@nestjs/common';
import { type Config, VERSION } from '#config';
import { ModelsService } from '../search/models.service.ts';
import { CONFIG } from '../tokens.ts';
import { HealthService } from './health.service.ts';

/** What this installation is and can do, for the CLI and the web app. */
@Controller('v1/system')
export class SystemController {
  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly models: ModelsService,
    private readonly health: HealthService,
  ) {}

  @Get()
  async system() {
    const { resolved, state } = this.models;
    const workers = await this.health.workers();
    return {
      version: VERSION,
      mode: this.config.qdrant || this.config.s3 || !this.config.http.loopback ? 'cluster' : 'embedded',
      profile: resolved?.profile ?? this.config.models.profile,
      fallbackReason: resolved?.fallbackReason,
      models: { clip: resolved?.clip.id, whisper: workers.find(({ models }) => models?.whisper)?.models?.whisper },
      search: state,
      workers: workers.map(({ framesModel: _, ...worker }) => worker),
      limits: { maxUploadBytes: this.config.http.maxUploadBytes, maxQueryLength: 1000, maxSearchLimit: 50 },
    };
  }
}
