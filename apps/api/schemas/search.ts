import { z } from 'zod';
import 'zod-openapi';
import { EXAMPLE_VIDEO_ID, seconds } from './common.ts';

export const searchSchema = z
  .strictObject({
    query: z.string().trim().min(1).max(1000).meta({ example: 'the teacher draws a cell on the board' }),
    videoIds: z.array(z.uuid().toLowerCase()).min(1).max(1000).optional().meta({ description: 'Only in these videos' }),
    modalities: z
      .array(z.enum(['frames', 'passages']))
      .min(1)
      .max(2)
      .optional()
      .meta({ description: 'What is seen, what is said; default both' }),
    limit: z.number().int().min(1).max(50).default(10),
  })
  .meta({ id: 'SearchRequest', example: { query: 'the teacher draws a cell on the board', limit: 10 } });

const evidence = z.object({
  kind: z.enum(['frame', 'passage']),
  at: seconds,
  end: seconds.optional(),
  text: z.string().optional(),
  thumbnailUrl: z.string().optional(),
  score: z.number(),
});
export const momentSchema = z
  .object({
    videoId: z.uuid(),
    videoTitle: z.string(),
    start: seconds,
    end: seconds,
    score: z.number().meta({ description: 'Orders the moments of one answer' }),
    confidence: z.number().meta({ description: '0 to 1, rough' }),
    evidence: z.array(evidence),
  })
  .meta({ id: 'Moment' });
export const searchResultSchema = z.object({ moments: z.array(momentSchema), tookMs: z.number() }).meta({
  id: 'SearchResult',
  example: {
    moments: [
      {
        videoId: EXAMPLE_VIDEO_ID,
        videoTitle: 'Lecture 4',
        start: 754.2,
        end: 771,
        score: 0.0325,
        confidence: 0.81,
        evidence: [
          {
            kind: 'frame',
            at: 754.2,
            end: 760,
            thumbnailUrl: `/v1/videos/${EXAMPLE_VIDEO_ID}/thumbnails/754200`,
            score: 0.31,
          },
          { kind: 'passage', at: 756, end: 771, text: 'So this is what a cell looks like.', score: 7.2 },
        ],
      },
    ],
    tookMs: 24,
  },
});
export type PublicMoment = z.output<typeof momentSchema>;
