import { Controller, Get, Inject, Param, Query, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import type { z } from 'zod';
import type { Tenant, VectorIndex } from '#store';
import { CurrentTenant, Signed } from '../auth/index.ts';
import { transcriptQuery } from '../schemas/index.ts';
import { INDEX } from '../tokens.ts';
import { displayName, titleOf } from '../videos/filename.ts';
import { toSeconds } from '../videos/public-video.ts';
import { VideosService } from '../videos/videos.service.ts';
import { toSrt, toText, toVtt } from './formats.ts';
import { sourceOf, transcriptOf } from './transcript.ts';

const TYPES = {
  vtt: 'text/vtt; charset=utf-8',
  srt: 'application/x-subrip; charset=utf-8',
  txt: 'text/plain; charset=utf-8',
};

@Controller('v1/videos')
export class TranscriptsController {
  constructor(
    private readonly videos: VideosService,
    @Inject(INDEX) private readonly index: VectorIndex,
  ) {}

  /** What has been transcribed so far; `complete` (header `Transcript-Complete` in the other formats) says whether that is all. */
  @Get(':id/transcript')
  @Signed()
  async transcript(
    @CurrentTenant() tenant: Tenant,
    @Param('id') id: string,
    @Query({ schema: transcriptQuery }) { format, source: asked }: z.output<typeof transcriptQuery>,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const video = await this.videos.get(tenant, id);
    const source = asked ?? sourceOf(video);
    const passages = await transcriptOf(this.index, video, { source });
    const complete = source === 'captions' || ['done', 'skipped'].includes(video.stages.speech.state);
    reply.header('transcript-complete', String(complete)).header('cache-control', 'private, no-cache');
    if (format === 'json') {
      return {
        videoId: id,
        language: (source === 'captions' ? video.captions?.language : languageOf(passages)) ?? video.language,
        source,
        complete,
        passages: passages.map(({ startMs, endMs, text, language }) => ({
          start: toSeconds(startMs),
          end: toSeconds(endMs),
          text,
          language: language || undefined,
        })),
      };
    }
    const name = encodeURIComponent(`${titleOf(displayName(video.filename)).toWellFormed()}.${format}`);
    reply.header('content-disposition', `inline; filename*=UTF-8''${name}`).header('x-content-type-options', 'nosniff');
    reply.type(TYPES[format]);
    return format === 'vtt' ? toVtt(passages, complete) : format === 'srt' ? toSrt(passages) : toText(passages);
  }
}

/** Of a whole transcript, where its passages are of one language: of a translation it is not what is spoken. */
function languageOf(passages: { language?: string }[]): string | undefined {
  const [only, ...others] = new Set(passages.map(({ language }) => language || undefined));
  return others.length === 0 ? only : undefined;
}
