import { Inject, Injectable } from '@nestjs/common';
import type { Logger } from 'pino';
import { type Chapter, chaptersOf, type Llm, type Scene, scenesOf, titleChapters } from '#retrieval';
import type { IndexFilter, VectorIndex, Video } from '#store';
import { LLM } from '../ask/llm.ts';
import { Kept, keyOf } from '../kept.ts';
import { ProblemError } from '../problems.ts';
import { ModelsService } from '../search/models.service.ts';
import { Turns } from '../search/turns.ts';
import { INDEX, LOGGER } from '../tokens.ts';
import { transcriptOf } from '../transcripts/transcript.ts';

/** Chapters and scenes that are kept in memory. */
const MAX_KEPT = 200;
/** Titles are asked for again so long after the chat model failed. */
const RETRY_MS = 60_000;

export interface Chapters {
  chapters: Chapter[];
  titledBy: 'llm' | 'passages';
}
type Model = { id: string; dimension: number };

/** Chapters and scenes of videos, made when they are asked for and kept while the video stays as it is. */
@Injectable()
export class ChaptersService {
  readonly #kept = new Kept(MAX_KEPT);

  constructor(
    @Inject(INDEX) private readonly index: VectorIndex,
    @Inject(LLM) private readonly llm: Llm | undefined,
    @Inject(LOGGER) private readonly log: Logger,
    private readonly models: ModelsService,
    private readonly turns: Turns,
  ) {}

  /** Throws `video_not_ready` while not even the video's length is known. */
  async chapters(video: Video): Promise<Chapters> {
    const durationMs = video.media?.durationMs;
    if (!durationMs) throw new ProblemError('video_not_ready', `It is ${video.status}; nothing is known of it yet.`);
    const model = await this.#model();
    return this.#kept.get(keyOf(`chapters/${model?.id}`, video), async (forgetIn) => {
      if (video.status !== 'ready') forgetIn(0);
      const passages = await transcriptOf(this.index, video);
      const chapters = await this.turns.take(async () => {
        const frames = model ? await this.index.listFrames(model, video.tenant, video.id) : [];
        return chaptersOf({ frames, passages, durationMs });
      });
      if (!this.llm || video.status !== 'ready') return { chapters, titledBy: 'passages' as const };
      const titled = await titleChapters(this.llm, chapters, passages);
      if (titled.failure) {
        const { code, detail, message } = titled.failure;
        this.log.warn({ videoId: video.id, code, detail }, message);
        forgetIn(RETRY_MS);
      }
      const isTitled = titled.chapters !== chapters;
      return { chapters: titled.chapters, titledBy: isTitled ? ('llm' as const) : ('passages' as const) };
    });
  }

  /** From cut to cut, of the whole video or of a part. */
  scenes(video: Video, model: Model, timeRange?: IndexFilter['timeRange']): Promise<Scene[]> {
    if (timeRange) return this.#scenesWithin(video, model, timeRange);
    return this.#kept.get(keyOf(`scenes/${model.id}`, video), async (forgetIn) => {
      if (video.status !== 'ready') forgetIn(0);
      return this.turns.take(async () => scenesOf(await this.index.listFrames(model, video.tenant, video.id)));
    });
  }

  /** Another part with each question: none is kept. A frame that reaches in or out is shown no longer than the part lasts. */
  #scenesWithin(video: Video, model: Model, timeRange: NonNullable<IndexFilter['timeRange']>): Promise<Scene[]> {
    const { startMs, endMs } = timeRange;
    return this.turns.take(async () => {
      const frames = await this.index.listFrames(model, video.tenant, video.id, { timeRange });
      return (await scenesOf(frames)).map((scene) => ({
        ...scene,
        startMs: Math.max(scene.startMs, startMs),
        endMs: Math.min(scene.endMs, endMs),
      }));
    });
  }

  /** Without the models there are still words to go by. */
  async #model(): Promise<Model | undefined> {
    try {
      return await this.models.encoder();
    } catch (error) {
      if (error instanceof ProblemError && error.code === 'models_unavailable') return undefined;
      throw error;
    }
  }
}
