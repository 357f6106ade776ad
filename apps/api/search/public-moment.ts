import type { Moment } from '#retrieval';
import type { Tenant } from '#store';
import type { Links } from '../links.ts';
import type { PublicMoment } from '../schemas/index.ts';
import { toSeconds } from '../videos/public-video.ts';

/** A moment as the api tells it: in seconds, with its video's title and links to thumbnails. */
export function publicMoment(tenant: Tenant, moment: Moment, title: string, links: Links): PublicMoment {
  return {
    videoId: moment.videoId,
    videoTitle: title,
    start: toSeconds(moment.startMs),
    end: toSeconds(moment.endMs),
    score: moment.score,
    confidence: moment.confidence,
    evidence: moment.evidence.map((found) => ({
      kind: found.kind,
      at: toSeconds(found.atMs),
      end: toSeconds(found.endMs),
      text: found.text,
      highlights: found.highlights,
      thumbnailUrl:
        found.kind === 'frame'
          ? links.media(tenant, moment.videoId, `thumbnails/${Math.round(found.atMs)}`)
          : undefined,
      score: found.score,
      confidence: found.confidence ?? moment.confidence,
    })),
  };
}
