import { Controller, Get, Headers, Inject, Param, Query, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import type { Logger } from 'pino';
import type { z } from 'zod';
import { Catalog, TERMINAL, type Tenant, type Video } from '#store';
import { CurrentTenant, Signed } from '../auth/index.ts';
import { Links } from '../links.ts';
import { eventsQuery } from '../schemas/index.ts';
import { LOGGER, SHUTDOWN } from '../tokens.ts';
import { publicVideo } from '../videos/public-video.ts';
import { VideosService } from '../videos/videos.service.ts';
import { eventBytes, sendEvents } from './sse.ts';

@Controller('v1/videos')
export class EventsController {
  /** All streams of a video are given one and the same record of a change. */
  readonly #bytes = new WeakMap<Video, Buffer>();

  constructor(
    private readonly videos: VideosService,
    private readonly catalog: Catalog,
    private readonly links: Links,
    @Inject(SHUTDOWN) private readonly shutdown: AbortSignal,
    @Inject(LOGGER) private readonly log: Logger,
  ) {}

  /**
   * The video as it is, then after each change. Each event is the whole video, so a client that comes back has missed nothing. `EventSource` comes back
   * whenever a stream ends: one that has heard the end is answered 204, which it takes for good (HTML standard, 9.2).
   */
  @Get(':id/events')
  @Signed()
  async events(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Query({ schema: eventsQuery }) { follow }: z.output<typeof eventsQuery>,
    @Headers('last-event-id') heard: string | undefined,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const isLast = ({ status }: Video) => !follow && TERMINAL.includes(status);
    const now = await this.videos.get(tenant, id);
    if (isLast(now) && heard === eventId(now)) return void reply.code(204).send();
    await sendEvents(
      reply,
      this.shutdown,
      (signal) => until(this.catalog.watch(tenant, id, signal), isLast),
      (video) => this.#eventOf(video),
    ).catch((error) => this.log.warn({ err: error, videoId: id }, 'an event stream broke off'));
  }

  #eventOf(video: Video): Buffer {
    const bytes = this.#bytes.get(video) ?? eventBytes(eventId(video), 'video', publicVideo(video, this.links));
    this.#bytes.set(video, bytes);
    return bytes;
  }
}

const eventId = ({ updatedAt }: Video): string => String(updatedAt);

/** Ends after the first video that is `last`. */
async function* until(videos: AsyncIterable<Video>, last: (video: Video) => boolean): AsyncGenerator<Video> {
  for await (const video of videos) {
    yield video;
    if (last(video)) return;
  }
}
