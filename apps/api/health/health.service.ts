import { Inject, Injectable } from '@nestjs/common';
import { Redis } from 'ioredis';
import { NIL } from 'uuid';
import { type BlobStore, Catalog, checkWritable, type FramesModel, type VectorIndex, type WorkerStatus } from '#store';
import { ModelsService } from '../search/models.service.ts';
import { Availability, within } from '../store-guard.ts';
import { BLOBS, INDEX } from '../tokens.ts';

const CHECK_MS = 2_000;

@Injectable()
export class HealthService {
  constructor(
    private readonly redis: Redis,
    private readonly availability: Availability,
    private readonly catalog: Catalog,
    private readonly models: ModelsService,
    @Inject(INDEX) private readonly index: VectorIndex,
    @Inject(BLOBS) private readonly blobs: BlobStore,
  ) {}

  /** Ready means: what is acknowledged is kept, and what is kept can be read. Models and workers are told, not asked for. */
  async report() {
    const [redis, index, blobs, workers, active] = await Promise.all([
      verdict(this.availability.within(CHECK_MS).then(() => checkWritable(this.redis))),
      verdict(this.index.listPassages('default', NIL)),
      // Given up some time after it counts as failed, so that probes of a store that hangs do not pile up.
      verdict(this.blobs.ping(AbortSignal.timeout(2 * CHECK_MS))),
      this.workers(),
      within(this.catalog.framesModel(), CHECK_MS).catch(() => undefined),
    ]);
    const reasons = [
      ...(redis === 'ok' ? [] : [`Redis: ${redis.failed}`]),
      ...(index === 'ok' ? [] : [`Vector index: ${index.failed}`]),
      ...(blobs === 'ok' ? [] : [`Media: ${blobs.failed}`]),
    ];
    return {
      status: reasons.length ? ('not_ready' as const) : ('ready' as const),
      reasons,
      redis: redis === 'ok' ? ('ok' as const) : ('failed' as const),
      index: index === 'ok' ? ('ok' as const) : ('failed' as const),
      blobs: blobs === 'ok' ? ('ok' as const) : ('failed' as const),
      warnings: this.#warnings(workers, active),
      search: this.models.state,
      workers: workers.map(({ framesModel: _, ...worker }) => worker),
    };
  }

  /** A change of models that is under way, or was forgotten half-way, must not be so silently. */
  #warnings(workers: WorkerStatus[], active: FramesModel | undefined): string[] {
    const waiting = workers.find(({ ready }) => !ready);
    const idle =
      waiting && workers.every(({ ready }) => !ready)
        ? [`No worker takes frames or speech yet, videos wait: ${waiting.note ?? 'not ready'}`]
        : [];
    const others = new Set(
      workers.flatMap(({ framesModel }) => framesModel?.id ?? []).filter((id) => active && id !== active.id),
    );
    const strange = [...others].map(
      (id) =>
        `Workers are set to ${id}; search stays with ${active?.id} until \`cuepoint reindex\` has indexed all videos with it.`,
    );
    return [...idle, ...strange];
  }

  async workers(): Promise<WorkerStatus[]> {
    return within(this.catalog.listWorkers(), CHECK_MS).catch(() => []);
  }
}

async function verdict(check: Promise<unknown>): Promise<'ok' | { failed: string }> {
  try {
    await within(check, CHECK_MS);
    return 'ok';
  } catch (error) {
    return { failed: (error as Error).message };
  }
}
