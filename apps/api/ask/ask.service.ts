import { buffer } from 'node:stream/consumers';
import { Inject, Injectable } from '@nestjs/common';
import type { Logger } from 'pino';
import type { z } from 'zod';
import type { Config } from '#config';
import {
  type AnswerSources,
  ask,
  type Citation,
  type Degraded,
  everyPlace,
  type Llm,
  type Modality,
  notReady,
  search,
  type VideoFacts,
} from '#retrieval';
import {
  type BlobStore,
  Catalog,
  type IndexFilter,
  newId,
  type PassageRow,
  type Tenant,
  thumbnailKey,
  type VectorIndex,
  type Video,
} from '#store';
import { shrinkPicture } from '#video';
import { ChaptersService } from '../chapters/chapters.service.ts';
import { LabelsService } from '../labels/labels.service.ts';
import { Links } from '../links.ts';
import { ProblemError } from '../problems.ts';
import type { askSchema, PublicAnswer, PublicMoment } from '../schemas/index.ts';
import { ModelsService, NO_ENCODER } from '../search/models.service.ts';
import { NamesService } from '../search/names.service.ts';
import { publicMoment } from '../search/public-moment.ts';
import { Turns } from '../search/turns.ts';
import { rowFilterOf, videosOf } from '../search/video-filter.ts';
import { BLOBS, CONFIG, INDEX, LOGGER } from '../tokens.ts';
import { transcriptOf } from '../transcripts/transcript.ts';
import { Conversations } from './conversations.ts';
import { LLM } from './llm.ts';

/** What a client hears, in this order; without `stream` it gets the `done` alone. */
export type AskEvent =
  | { event: 'moments'; data: { moments: PublicMoment[] } }
  | { event: 'token'; data: { text: string } }
  | { event: 'citations'; data: { citations: PublicAnswer['citations'] } }
  | { event: 'done'; data: PublicAnswer };

type TimeRange = NonNullable<IndexFilter['timeRange']>;

const MAX_THUMBNAIL_BYTES = 2 * 2 ** 20;
/** Videos whose lengths are looked up before a question for every place of something. */
const MAX_FEW = 50;
/** As workers keep them. */
const THUMBNAIL_SIZE = 480;
/** Pictures made smaller at a time: each is a run of ffmpeg. */
const SHRUNK_AT_A_TIME = 2;

/** A question in words to an answer. */
@Injectable()
export class AskService {
  readonly #shrinking = new Turns(SHRUNK_AT_A_TIME);

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    @Inject(INDEX) private readonly index: VectorIndex,
    @Inject(BLOBS) private readonly blobs: BlobStore,
    @Inject(LLM) private readonly llm: Llm | undefined,
    @Inject(LOGGER) private readonly log: Logger,
    private readonly catalog: Catalog,
    private readonly models: ModelsService,
    private readonly conversations: Conversations,
    private readonly chapters: ChaptersService,
    private readonly labels: LabelsService,
    private readonly names: NamesService,
    private readonly turns: Turns,
    private readonly links: Links,
  ) {}

  /** Throws `conversation_not_found`, `video_not_found`, `models_loading`, `store_unavailable`. */
  async *ask(tenant: Tenant, request: z.output<typeof askSchema>, signal: AbortSignal): AsyncGenerator<AskEvent> {
    const { question, limit } = request;
    const history = request.conversationId ? await this.conversations.read(tenant, request.conversationId) : [];
    // The videos of a conversation go on without one that was deleted since.
    const before = history.at(-1)?.videoIds;
    const scope = request.videoIds
      ? await this.#named(tenant, request.videoIds)
      : before && (await this.#videos(tenant, before, before.length));
    const videoIds = scope?.map(({ id }) => id);
    // So does its filter, until another is given.
    const filter = request.filter ?? history.at(-1)?.filter;
    const only = await videosOf(this.names, tenant, { videoIds, filter });
    const within = rowFilterOf(filter);
    const { encoder, degraded: blind } = await this.#encoder();
    const deps = {
      index: this.index,
      encoder: encoder ?? NO_ENCODER,
      passageEncoder: this.models.passageEncoder,
      titles: async () => (await this.names.of(tenant)).titles,
    };
    const searchable = <Q extends { modalities?: Modality[]; timeRange?: TimeRange }>(query: Q) => ({
      ...{ tenant, ...within, ...query, ...inBoth(within.timeRange, query.timeRange) },
      modalities: encoder ? query.modalities : ['passages' as const],
    });
    const sources: AnswerSources = {
      search: (query, aborted) =>
        this.turns.take(
          () => search(deps, { ...searchable(query), openings: query.openings ?? false }, aborted),
          aborted,
        ),
      everyPlace: async (query, aborted) => {
        const videos = await this.#few(tenant, query.videoIds);
        return this.turns.take(() => everyPlace(deps, { ...searchable(query), videos }, aborted), aborted);
      },
      passages: async (id, part) => {
        const video = await this.catalog.getVideo(tenant, id);
        const { timeRange } = inBoth(within.timeRange, part);
        const passages = video ? await transcriptOf(this.index, video, { timeRange }) : [];
        return passages.filter((passage) => isWithin(passage, within));
      },
      scenes: async (id, part) => {
        const video = await this.catalog.getVideo(tenant, id);
        const { timeRange } = inBoth(within.timeRange, part);
        return video && encoder ? this.chapters.scenes(video, encoder, timeRange) : [];
      },
      labels: async (id, part) => {
        const video = await this.catalog.getVideo(tenant, id);
        const { labels } = this.config;
        const { timeRange } = inBoth(within.timeRange, part);
        return video?.media && encoder && labels.length > 0 ? this.labels.ofVideo(video, labels, timeRange) : [];
      },
      titled: async (name, videoIds, isWhole) =>
        (await this.names.of(tenant)).titles.called(name, { tenant, videoIds }, isWhole),
      videos: async (ids, most) => (await this.#videos(tenant, ids, most)).map(factsOf),
      thumbnail: (id, atMs) => this.#thumbnail(tenant, id, atMs, signal),
    };

    let titles = new Map<string, VideoFacts>();
    const moments = new Map<object, PublicMoment>();
    const shown = (moment: Citation['moment']): PublicMoment => {
      const known = moments.get(moment);
      if (known) return known;
      const made = publicMoment(tenant, moment, titles.get(moment.videoId)?.title ?? '', this.links);
      moments.set(moment, made);
      return made;
    };
    const cited = (all: Citation[]) => all.map(({ n, moment }) => ({ n, moment: shown(moment) }));
    const options = {
      ...{ question, videoIds: only, limit, history },
      isPart: Object.keys(within).length > 0,
      degraded: blind ?? notReady(scope?.map(factsOf)),
    };
    for await (const event of ask({ sources, llm: this.llm }, options, signal)) {
      if (event.type === 'moments') {
        titles = event.videos;
        yield { event: 'moments', data: { moments: event.moments.map(shown) } };
      } else if (event.type === 'token') yield { event: 'token', data: { text: event.text } };
      else if (event.type === 'citations') {
        yield { event: 'citations', data: { citations: cited(event.citations) } };
      } else {
        const { turn, detail, citations, moments: all, ...rest } = event.answer;
        if (detail) this.log.warn({ tenant, code: rest.degraded?.code, detail }, rest.degraded?.message);
        const conversationId = request.conversationId ?? newId();
        const unkept = await this.#remember(tenant, conversationId, { ...turn, videoIds, filter });
        const degraded = rest.degraded ?? unkept;
        yield {
          event: 'done',
          data: {
            ...rest,
            ...{ citations: cited(citations), moments: all.map(shown), conversationId },
            ...(degraded && { degraded }),
          },
        };
      }
    }
  }

  /** Without the models, what is said can still be found; the answer tells. */
  async #encoder() {
    try {
      return { encoder: await this.models.encoder() };
    } catch (error) {
      if (!(error instanceof ProblemError) || error.code !== 'models_unavailable') throw error;
      const message = 'The models cannot be used: only what is said was searched, not what is shown.';
      return { degraded: { code: error.code, message } };
    }
  }

  /** An answer is not lost because its conversation can't go on. */
  async #remember(...turn: Parameters<Conversations['append']>): Promise<Degraded | undefined> {
    try {
      await this.conversations.append(...turn);
      return undefined;
    } catch (error) {
      this.log.warn({ err: error }, 'a conversation was not kept');
      return {
        code: 'conversation_not_kept',
        message: 'The conversation could not be stored: it cannot be gone on with.',
      };
    }
  }

  /** Throws `video_not_found` for the first that is not there. */
  async #named(tenant: Tenant, ids: string[]): Promise<Video[]> {
    const found = new Map((await this.#videos(tenant, ids, ids.length)).map((video) => [video.id, video]));
    const missing = ids.find((id) => !found.has(id));
    if (missing) throw new ProblemError('video_not_found', `There is no video ${missing}.`);
    return [...found.values()];
  }

  /** Videos with their lengths, of a scope of few. One of no known length has no frames yet. */
  async #few(tenant: Tenant, ids: string[] | undefined): Promise<{ id: string; durationMs: number }[] | undefined> {
    if (ids && ids.length > MAX_FEW) return undefined;
    const page = ids ? undefined : await this.catalog.listVideos(tenant, { limit: MAX_FEW });
    if (page?.nextCursor !== undefined) return undefined;
    const videos = page?.videos ?? (await this.#videos(tenant, ids, MAX_FEW));
    return videos.flatMap(({ id, media }) => (media ? [{ id, durationMs: media.durationMs }] : []));
  }

  async #videos(tenant: Tenant, ids: string[] | undefined, limit: number): Promise<Video[]> {
    if (!ids) return (await this.catalog.listVideos(tenant, { limit, status: 'ready' })).videos;
    const found = await Promise.all([...new Set(ids)].slice(0, limit).map((id) => this.catalog.getVideo(tenant, id)));
    return found.filter((video) => video !== undefined);
  }

  /** No larger than the chat model is to see it. Undefined when it is not there: a picture less is no failure. */
  async #thumbnail(tenant: Tenant, videoId: string, atMs: number, signal: AbortSignal): Promise<Buffer | undefined> {
    const key = thumbnailKey({ tenant, videoId }, atMs);
    try {
      const stat = await this.blobs.stat(key);
      if (!stat || stat.sizeBytes > MAX_THUMBNAIL_BYTES) return undefined;
      const jpeg = await buffer(await this.blobs.get(key));
      const size = this.config.llm?.imageSize ?? THUMBNAIL_SIZE;
      return size < THUMBNAIL_SIZE ? await this.#shrinking.take(() => shrinkPicture(jpeg, size, signal), signal) : jpeg;
    } catch {
      return undefined;
    }
  }
}

const factsOf = ({ id, title, media, status }: Video): VideoFacts => ({
  id,
  title,
  isReady: status === 'ready',
  ...(media && { durationMs: media.durationMs }),
});

const isWithin = (
  { startMs, endMs, language }: PassageRow,
  { timeRange, language: wanted }: Pick<IndexFilter, 'timeRange' | 'language'>,
): boolean =>
  (!timeRange || (startMs < timeRange.endMs && endMs > timeRange.startMs)) &&
  (wanted === undefined || language === wanted);

/** What two ranges have in common: after the end of all videos where that is nothing. */
function inBoth(one: TimeRange | undefined, other: TimeRange | undefined): { timeRange?: TimeRange } {
  if (!one || !other) return one || other ? { timeRange: one ?? other } : {};
  const [startMs, endMs] = [Math.max(one.startMs, other.startMs), Math.min(one.endMs, other.endMs)];
  const never = Number.MAX_SAFE_INTEGER;
  return { timeRange: startMs < endMs ? { startMs, endMs } : { startMs: never, endMs: never } };
}
