import { Inject, Injectable } from '@nestjs/common';
import { flawOf, type Moment, type SearchDeps, search, searchSequence, stepQuery, type TextEncoder } from '#retrieval';
import { Catalog, type Tenant, type VectorIndex } from '#store';
import { LabelsService } from '../labels/labels.service.ts';
import { Links } from '../links.ts';
import { ProblemError } from '../problems.ts';
import type { PublicMoment, SearchRequest, SearchResult } from '../schemas/index.ts';
import { INDEX } from '../tokens.ts';
import { toSeconds } from '../videos/public-video.ts';
import { MAX_OFFSET, offsetOf, toCursor } from './cursor.ts';
import { decodeImage } from './image.ts';
import { ModelsService, NO_ENCODER } from './models.service.ts';
import { publicMoment } from './public-moment.ts';
import { TitlesService } from './titles.service.ts';
import { Turns } from './turns.ts';
import { rowFilterOf, videosOf } from './video-filter.ts';

/** Moments of one video where results are grouped. */
const MOMENTS_OF_VIDEO = 5;

/** What a search has before its turn comes. */
interface Prepared {
  encoder: TextEncoder;
  offset: number;
  image: Uint8Array | undefined;
  /** Milliseconds of each step; it adds its own. */
  steps: Record<string, number>;
  /** Aborts when nobody waits for it any more. */
  signal: AbortSignal;
}

/** A question in words, by a picture or by order in time, to moments. */
@Injectable()
export class SearchService {
  constructor(
    @Inject(INDEX) private readonly index: VectorIndex,
    private readonly catalog: Catalog,
    private readonly models: ModelsService,
    private readonly titles: TitlesService,
    private readonly labels: LabelsService,
    private readonly turns: Turns,
    private readonly links: Links,
  ) {}

  /** `image`: bytes of the picture, where it came as a file. Throws the reason of `signal`. */
  async search(tenant: Tenant, request: SearchRequest, signal: AbortSignal, image?: Uint8Array): Promise<SearchResult> {
    const startedAt = performance.now();
    const offset = offsetOf(request);
    checkTexts(request);
    // What has to wait for a model holds up no one's turn.
    const encoder = this.#needsEncoder(request) ? await this.models.encoder() : NO_ENCODER;
    const steps: Record<string, number> = {};
    const waiting = performance.now();
    const found = await this.turns.take(() => {
      steps.wait = rounded(performance.now() - waiting);
      return this.#search(tenant, request, { encoder, offset, image, steps, signal });
    }, signal);
    return { ...found, tookMs: rounded(performance.now() - startedAt), steps };
  }

  async #search(
    tenant: Tenant,
    request: SearchRequest,
    { encoder, offset, image, steps, signal }: Prepared,
  ): Promise<Omit<SearchResult, 'tookMs' | 'steps'>> {
    const videoIds = await videosOf(this.catalog, tenant, request);
    const deps: SearchDeps = {
      index: this.index,
      encoder,
      passageEncoder: this.models.passageEncoder,
      titles: () => this.titles.of(tenant),
      onStep: (step, ms) => {
        steps[step] = rounded((steps[step] ?? 0) + ms);
      },
    };
    const { limit, groupBy } = request;
    // One more than the page, to know whether there is a next one. Groups are made of all there is.
    const [from, count] = groupBy ? [0, MAX_OFFSET] : [offset, Math.min(limit, MAX_OFFSET - offset) + 1];
    const found = await this.#moments(deps, tenant, request, videoIds, image, from, count, signal);
    const videos = await this.catalog.namesOf(tenant, [...new Set(found.map(({ videoId }) => videoId))]);
    const sources = new Map<PublicMoment, Moment>();
    for (const moment of found) {
      const video = videos.get(moment.videoId);
      // A video that is being deleted is not found any more.
      if (video) sources.set(publicMoment(tenant, moment, video.title, this.links), moment);
    }
    const moments = [...sources.keys()];

    const groups = groupBy ? grouped(moments) : undefined;
    const page = groups?.slice(offset, offset + limit);
    const hasMore = (groups ? groups.length > offset + limit : found.length > limit) && offset + limit <= MAX_OFFSET;
    const shown = page ? page.flatMap((group) => group.moments) : moments.slice(0, limit);
    const labelledAt = performance.now();
    if (await this.#label(tenant, shown, sources, request.labels))
      steps.labels = rounded(performance.now() - labelledAt);
    return {
      moments: shown,
      ...(page && { videos: page }),
      ...(hasMore && { nextCursor: toCursor(request, offset + limit) }),
    };
  }

  #needsEncoder({ modalities, weights }: SearchRequest): boolean {
    return (modalities?.includes('frames') ?? true) && weights?.frames !== 0;
  }

  async #moments(
    deps: SearchDeps,
    tenant: Tenant,
    request: SearchRequest,
    videoIds: string[] | undefined,
    image: Uint8Array | undefined,
    offset: number,
    limit: number,
    signal: AbortSignal,
  ): Promise<Moment[]> {
    const { query = '', like, sequence, within, filter, modalities, weights } = request;
    const options = {
      tenant,
      ...(videoIds && { videoIds }),
      ...(modalities && { modalities }),
      ...(weights && { weights }),
      ...rowFilterOf(filter),
    };
    if (sequence)
      return searchSequence(deps, { ...options, steps: sequence, windowMs: within * 1000, limit, offset }, signal);
    if (like) return this.#like(deps, options, like, offset, limit, signal);
    if (request.image !== undefined) {
      const [picture] = await this.models.encodePictures(deps.encoder.id, [
        await decodeImage(image ?? Buffer.from(request.image, 'base64')),
      ]);
      return search(deps, { ...options, query: '', picture, limit, offset }, signal);
    }
    return search(deps, { ...options, query, limit, offset }, signal);
  }

  /** Like what is shown there, without the moment itself. */
  async #like(
    deps: SearchDeps,
    options: { tenant: Tenant; videoIds?: string[] },
    { videoId, at }: { videoId: string; at: number },
    offset: number,
    limit: number,
    signal: AbortSignal,
  ): Promise<Moment[]> {
    const { tenant } = options;
    const video = await this.catalog.getVideo(tenant, videoId);
    if (!video) throw new ProblemError('video_not_found', `No video has the id ${videoId}.`);
    const atMs = at * 1000;
    if (video.media && atMs > video.media.durationMs) {
      const detail = `like.at: lies after the end of the video, which is ${toSeconds(video.media.durationMs)} s long.`;
      throw new ProblemError('request_invalid', detail);
    }
    const frame = await this.index.frameAt(deps.encoder, tenant, videoId, atMs);
    if (!frame) throw new ProblemError('frame_not_found', 'No picture of this video has been indexed.');
    const moments = await search(
      deps,
      { ...options, query: '', picture: frame.vector, limit: offset + limit + 1 },
      signal,
    );
    const shown = frame.startMs;
    return moments
      .filter((moment) => moment.videoId !== videoId || shown < moment.startMs || shown >= moment.endMs)
      .slice(offset, offset + limit);
  }

  /** Adds what their frames show; false where no labels are asked for. */
  async #label(
    tenant: Tenant,
    shown: PublicMoment[],
    sources: Map<PublicMoment, Moment>,
    names: string[] | undefined,
  ): Promise<boolean> {
    const held = await this.labels.ofMoments(
      tenant,
      shown.map((moment) => sources.get(moment) as Moment),
      names,
    );
    for (const [i, moment] of shown.entries()) moment.labels = held[i];
    return held.some((one) => one !== undefined);
  }
}

/** Throws `request_invalid` where a query cannot be asked. */
function checkTexts({ query, sequence }: SearchRequest): void {
  const given: [path: string, text: string][] = query ? [['query', query]] : [];
  for (const [i, step] of (sequence ?? []).entries()) given.push([`sequence.${i}`, stepQuery(step)]);
  for (const [path, text] of given) {
    const flaw = flawOf(text);
    if (flaw) throw new ProblemError('request_invalid', `${path}: ${flaw}`);
  }
}

/** In the order of each video's best moment. */
function grouped(moments: PublicMoment[]): NonNullable<SearchResult['videos']> {
  return [...Map.groupBy(moments, ({ videoId }) => videoId).values()].map((ofVideo) => {
    const { videoId, videoTitle, score } = ofVideo[0] as PublicMoment;
    const confidence = Math.max(...ofVideo.map((moment) => moment.confidence));
    return { videoId, videoTitle, score, confidence, moments: ofVideo.slice(0, MOMENTS_OF_VIDEO) };
  });
}
const rounded = (ms: number): number => Math.round(ms * 10) / 10;
