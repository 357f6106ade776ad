import { Inject, Injectable } from '@nestjs/common';
import type { Logger } from 'pino';
import { type Chapter, chaptersOf, type Llm, type Scene, scenesOf, titleChapters } from '#retrieval';
import type { FrameRow, VectorIndex, Video } from '#store';
import { LLM } from '../ask/llm.ts';
import { ProblemError } from '../problems.ts';
import { ModelsService } from '../search/models.service.ts';
import { INDEX, LOGGER } from '../tokens.ts';
import { transcriptOf } from '../transcripts/transcript.ts';

/** Videos whose chapters and scenes are kept in memory. */
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
  readonly #kept = new Map<string, Promise<unknown>>();

  constructor(
    @Inject(INDEX) private readonly index: VectorIndex,
    @Inject(LLM) private readonly llm: Llm | undefined,
    @Inject(LOGGER) private readonly log: Logger,
    private readonly models: ModelsService,
  ) {}

  /** Throws `video_not_ready` while not even the video's length is known. */
  async chapters(video: Video): Promise<Chapters> {
    const durationMs = video.media?.durationMs;
    if (!durationMs) throw new ProblemError('video_not_ready', `It is ${video.status}; nothing is known of it yet.`);
    const model = await this.#model();
    return this.#keep(`chapters/${model?.id}`, video, async (forget) => {
      const [frames, passages] = await Promise.all([
        model ? this.index.listFrames(model, video.tenant, video.id) : [],
        transcriptOf(this.index, video),
      ]);
      const chapters = await chaptersOf({ frames, passages, durationMs });
      if (!this.llm || video.status !== 'ready') return { chapters, titledBy: 'passages' as const };
      const titled = await titleChapters(this.llm, chapters, passages);
      if (titled.failure) {
        const { code, detail, message } = titled.failure;
        this.log.warn({ videoId: video.id, code, detail }, message);
        setTimeout(forget, RETRY_MS).unref();
      }
      const isTitled = titled.chapters !== chapters;
      return { chapters: titled.chapters, titledBy: isTitled ? ('llm' as const) : ('passages' as const) };
    });
  }

  /** From cut to cut. */
  scenes(video: Video, model: Model): Promise<Scene[]> {
    return this.#keep(`scenes/${model.id}`, video, async () => {
      const frames: FrameRow[] = await this.index.listFrames(model, video.tenant, video.id);
      return scenesOf(frames);
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

  /** Made once for all who ask; the longest unused goes first. What is still being indexed changes, and is made anew. */
  #keep<T>(what: string, video: Video, make: (forget: () => void) => Promise<T>): Promise<T> {
    const key = `${what}/${video.tenant}/${video.id}/${video.run}/${video.updatedAt}`;
    const forget = () => void this.#kept.delete(key);
    const made = (this.#kept.get(key) as Promise<T> | undefined) ?? make(forget);
    this.#kept.delete(key);
    this.#kept.set(key, made);
    if (this.#kept.size > MAX_KEPT) this.#kept.delete(this.#kept.keys().next().value as string);
    made.catch(forget);
    if (video.status !== 'ready') made.then(forget, forget);
    return made;
  }
}
