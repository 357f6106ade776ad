import { Inject, Injectable } from '@nestjs/common';
import { flawOf, type Moment, type SearchDeps, search, searchSequence, stepQuery, type TextEncoder } from '#retrieval';
import { Catalog, type Tenant, type VectorIndex } from '#store';
import { LabelsService } from '../labels/labels.service.ts';
import { Links } from '../links.ts';
import { ProblemError } from '../problems.ts';
import type { PublicMoment, SearchRequest, SearchResult } from '../schemas/index.ts';
import { INDEX } from '../tokens.ts';
import { toMs, toSeconds } from '../videos/public-video.ts';
import { countBefore, MAX_OFFSET, type Place, placeOf, toCursor } from './cursor.ts';
import { decodeImage } from './image.ts';
import { ModelsService, NO_ENCODER } from './models.service.ts';
import { NamesService } from './names.service.ts';
import { publicMoment } from './public-moment.ts';
import { Turns } from './turns.ts';
import { rowFilterOf, videosOf } from './video-filter.ts';

/** Moments of one video where results are grouped. */
const MOMENTS_OF_VIDEO = 5;
/** Results looked at beyond a page that is not the first: so many may have come before it since. */
const COME_SINCE = 50;

/** A frame that begins at 33.367 ms is told as one at 0.033 s, and meant by it. */
const UP_TO_NEXT_MS = 0.499;

/** What a search has before its turn comes. */
interface Prepared {
  encoder: TextEncoder;
  place: Place;
  image: string | undefined;
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
    private readonly names: NamesService,
    private readonly labels: LabelsService,
    private readonly turns: Turns,
    private readonly links: Links,
  ) {}

  /** `image`: path of the picture, where it came as a file. Throws the reason of `signal`. */
  async search(tenant: Tenant, request: SearchRequest, signal: AbortSignal, image?: string): Promise<SearchResult> {
    const startedAt = performance.now();
    const place = placeOf(request);
    checkTexts(request);
    // What has to wait for a model holds up no one's turn.
    const encoder = this.#needsEncoder(request) ? await this.models.encoder() : NO_ENCODER;
    const steps: Record<string, number> = {};
    const waiting = performance.now();
    const found = await this.turns.take(() => {
      steps.wait = rounded(performance.now() - waiting);
      return this.#search(tenant, request, { encoder, place, image, steps, signal });
    }, signal);
    return { ...found, tookMs: rounded(performance.now() - startedAt), steps };
  }

  async #search(
    tenant: Tenant,
    request: SearchRequest,
    { encoder, place, image, steps, signal }: Prepared,
  ): Promise<Omit<SearchResult, 'tookMs' | 'steps'>> {
    const videoIds = await videosOf(this.names, tenant, request);
    // Asked for once, beside the index: what comes or goes meanwhile is found, or not, by the next search.
    const names = this.names.of(tenant);
    names.catch(() => {});
    const deps: SearchDeps = {
      index: this.index,
      encoder,
      passageEncoder: this.models.passageEncoder,
      titles: async () => (await names).titles,
      onStep: (step, ms) => {
        steps[step] = rounded((steps[step] ?? 0) + ms);
      },
    };
    const { limit, groupBy } = request;
    // One more than the page, to know whether there is a next one, and some for what has come since the page before. Groups are made of all there is.
    const count = groupBy ? MAX_OFFSET : place.offset + limit + 1 + (place.offset > 0 ? COME_SINCE : 0);
    const found = await this.#moments(deps, tenant, request, videoIds, image, count, signal);
    const videos = await this.names.forIds(tenant, [...new Set(found.map(({ videoId }) => videoId))], await names);
    // A video that is being deleted is not found any more.
    const there = found.filter(({ videoId }) => videos.has(videoId));
    const results = groupBy
      ? Map.groupBy(there, ({ videoId }) => videoId)
      : new Map(there.map((moment) => [keyOf(moment), [moment]]));
    const keys = [...results.keys()];
    const before = countBefore(place, keys);
    const after = Math.min(before + limit, MAX_OFFSET);
    const page = [...results.values()].slice(before, after);

    const labelledAt = performance.now();
    const shown = page.flatMap((moments) => moments.slice(0, MOMENTS_OF_VIDEO));
    const labels = await this.labels.ofMoments(tenant, shown, request.labels);
    if (labels.some((one) => one !== undefined)) steps.labels = rounded(performance.now() - labelledAt);
    const moments = shown.map((moment, i) => ({
      ...publicMoment(tenant, moment, videos.get(moment.videoId)?.title ?? '', this.links),
      labels: labels[i],
    }));
    // What is being deleted has taken the place of others where the list was cut.
    const hasMore = keys.length > after || (!groupBy && found.length === count && keys.length > 0);
    return {
      moments,
      ...(groupBy && { videos: page.map((all) => groupOf(all, moments)) }),
      ...(hasMore && after < MAX_OFFSET && { nextCursor: toCursor(request, keys.slice(0, after)) }),
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
    image: string | undefined,
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
    if (sequence) return searchSequence(deps, { ...options, steps: sequence, windowMs: within * 1000, limit }, signal);
    if (like) return this.#like(deps, options, like, limit, signal);
    if (request.image !== undefined) {
      const [picture] = await this.models.encodePictures(deps.encoder.id, [
        await decodeImage(image ?? Buffer.from(request.image, 'base64')),
      ]);
      return search(deps, { ...options, query: '', picture, limit }, signal);
    }
    return search(deps, { ...options, query, limit }, signal);
  }

  /** Like what is shown there, without the moment itself. */
  async #like(
    deps: SearchDeps,
    options: { tenant: Tenant; videoIds?: string[] },
    { videoId, at }: { videoId: string; at: number },
    limit: number,
    signal: AbortSignal,
  ): Promise<Moment[]> {
    const { tenant } = options;
    const video = await this.catalog.getVideo(tenant, videoId);
    if (!video) throw new ProblemError('video_not_found', `No video has the id ${videoId}.`);
    const atMs = toMs(at);
    if (video.media && atMs > Math.round(video.media.durationMs)) {
      const detail = `like.at: lies after the end of the video, which is ${toSeconds(video.media.durationMs)} s long.`;
      throw new ProblemError('request_invalid', detail);
    }
    const frame = await this.index.frameAt(deps.encoder, tenant, videoId, atMs + UP_TO_NEXT_MS);
    if (!frame) throw new ProblemError('frame_not_found', 'No picture of this video has been indexed.');
    const moments = await search(deps, { ...options, query: '', picture: frame.vector, limit: limit + 1 }, signal);
    const shown = frame.startMs;
    return moments
      .filter((moment) => moment.videoId !== videoId || shown < moment.startMs || shown >= moment.endMs)
      .slice(0, limit);
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

const keyOf = ({ videoId, startMs }: Moment): string => `${videoId}/${startMs}`;

/** A video with those of its moments that are shown. */
function groupOf(all: Moment[], shown: PublicMoment[]): NonNullable<SearchResult['videos']>[number] {
  const moments = shown.filter(({ videoId }) => videoId === all[0]?.videoId);
  const { videoId, videoTitle, score } = moments[0] as PublicMoment;
  return { videoId, videoTitle, score, confidence: Math.max(...all.map(({ confidence }) => confidence)), moments };
}
const rounded = (ms: number): number => Math.round(ms * 10) / 10;
