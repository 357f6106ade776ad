import { z } from 'zod';
import 'zod-openapi';
import { labelList } from '#config';
import { EXAMPLE_VIDEO_ID, seconds } from './common.ts';

export const labelsQuery = z.object({
  labels: labelList
    .refine((all) => all.length > 0, 'names no label')
    .optional()
    .meta({
      description:
        'What to look for, between commas: at most 200 labels of 100 characters. Default: the labels of the server (`LABELS`)',
      example: 'a car,a whiteboard',
    }),
});

const confidence = z.number().min(0).max(1).meta({ description: 'Above 0.5: likelier there than not' });
export const heldLabel = z.object({ label: z.string(), confidence });

const span = z.object({
  start: seconds,
  end: seconds,
  confidence,
  thumbnailUrl: z.string().meta({ description: 'Of the picture that shows it most surely' }),
});
export const videoLabelsSchema = z
  .object({
    videoId: z.uuid(),
    complete: z.boolean().meta({ description: 'False while the video is being indexed' }),
    labels: z
      .array(
        heldLabel.extend({
          total: seconds.meta({ description: 'Seconds that it is in view, all together' }),
          first: seconds.meta({ description: 'Second at which it is first in view' }),
          count: z.number().int().meta({ description: 'How often it comes into view' }),
          spans: z.array(span).meta({ description: 'When it is in view: at most 20 times, the longest, in order' }),
        }),
      )
      .meta({ description: 'Those that are seen, longest in view first' }),
  })
  .meta({
    id: 'VideoLabels',
    example: {
      videoId: EXAMPLE_VIDEO_ID,
      complete: true,
      labels: [
        {
          label: 'a whiteboard',
          confidence: 0.93,
          total: 312,
          first: 754.2,
          count: 4,
          spans: [
            {
              start: 754.2,
              end: 871,
              confidence: 0.93,
              thumbnailUrl: `/v1/videos/${EXAMPLE_VIDEO_ID}/thumbnails/760200`,
            },
          ],
        },
      ],
    },
  });
export type VideoLabels = z.output<typeof videoLabelsSchema>;
