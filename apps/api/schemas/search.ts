import { z } from 'zod';
import 'zod-openapi';
import { label, MAX_LABELS } from '#config';
import { EXAMPLE_VIDEO_ID, givenDateTime, languageCode, notEmpty, seconds } from './common.ts';
import { heldLabel } from './labels.ts';

const words = notEmpty.max(1000);
const weight = z.number().min(0).max(10);
const videoId = z.uuid().toLowerCase();
const EXAMPLE = { query: 'the teacher draws a cell on the board', limit: 10 };

const ANY = Number.POSITIVE_INFINITY;

/** Which videos, and what of them. */
export const searchFilter = z
  .strictObject({
    from: seconds.min(0).optional().meta({ description: 'Only what happens after this second of its video' }),
    to: seconds.min(0).optional().meta({ description: 'Only what happens before this second of its video' }),
    language: languageCode.optional().meta({ description: 'Only passages in this language; pictures have none' }),
    metadata: z
      .record(z.string().min(1).max(64), z.string().max(1000))
      .refine((value) => Object.keys(value).length <= 20, 'has at most 20 entries')
      .optional()
      .meta({ description: 'Only videos with all of these' }),
    minDuration: seconds.min(0).optional(),
    maxDuration: seconds.min(0).optional(),
    createdAfter: givenDateTime.optional().meta({ description: 'Only videos that were added then or later' }),
    createdBefore: givenDateTime.optional().meta({ description: 'Only videos that were added before' }),
    recordedAfter: givenDateTime
      .optional()
      .meta({ description: 'Only videos recorded then or later (`media.recordedAt`): none whose date is not known' }),
    recordedBefore: givenDateTime
      .optional()
      .meta({ description: 'Only videos recorded before: none whose date is not known' }),
  })
  .superRefine((filter, context) => {
    const { from = 0, to = ANY, minDuration = 0, maxDuration = ANY } = filter;
    const refuse = (path: keyof typeof filter, message: string) =>
      context.addIssue({ code: 'custom', path: [path], message });
    if (from >= to) refuse('from', 'from lies before to');
    if (minDuration > maxDuration) refuse('minDuration', 'minDuration is at most maxDuration');
    for (const [after, before] of [
      ['createdAfter', 'createdBefore'],
      ['recordedAfter', 'recordedBefore'],
    ] as const) {
      // A date that is none is not a number, and told as such.
      const [first, end] = [Date.parse(filter[after] ?? ''), Date.parse(filter[before] ?? '')];
      if (first >= end) refuse(after, `${after} lies before ${before}`);
    }
  })
  .meta({ id: 'SearchFilter', description: 'All that is given must hold' });

/** What is asked for; one of them. */
const QUESTIONS = ['query', 'image', 'like', 'sequence'] as const;
export const searchSchema = z
  .strictObject({
    query: words.optional().meta({
      description:
        'What is seen or said, in plain words. What is in "quotes" is said word for word; what follows a minus is not there (`a beach -people`; at most ten)',
      example: EXAMPLE.query,
    }),
    image: z
      .base64()
      .min(1)
      .max(1024 * 1024)
      .optional()
      .meta({
        description: 'A JPEG, PNG, WebP, BMP or GIF picture to find the like of, in base64; larger ones as multipart',
      }),
    like: z
      .strictObject({ videoId, at: seconds.min(0).max(1e7) })
      .optional()
      .meta({ description: 'More like what is seen at this second of this video' }),
    sequence: z
      .array(words)
      .min(2)
      .max(5)
      .optional()
      .meta({ description: 'Things that follow each other', example: ['a red circle', 'then a star'] }),
    within: seconds.min(1).max(3600).default(60).meta({
      description: 'Of a sequence: each begins at most so long after the one before it has ended',
    }),
    videoIds: z.array(videoId).min(1).max(1000).optional().meta({
      description: 'Only in these videos. In one that is not there nothing is found; `/v1/ask` answers 404 for it',
    }),
    filter: searchFilter.optional(),
    modalities: z
      .array(z.enum(['frames', 'passages']))
      .min(1)
      .max(2)
      .optional()
      .meta({ description: 'What is seen, what is said (and titles); default both' }),
    weights: z
      .strictObject({ frames: weight.default(1), passages: weight.default(1) })
      .refine(({ frames, passages }) => frames + passages > 0, 'one of them is more than 0')
      .optional()
      .meta({
        description: 'How much a rank among pictures and among passages counts; default: as the query suggests',
      }),
    groupBy: z
      .enum(['video'])
      .optional()
      .meta({ description: '`limit` then counts videos, each with its best moments' }),
    labels: z
      .array(label)
      .max(MAX_LABELS)
      .transform((all) => [...new Set(all)])
      .optional()
      .meta({
        description: 'What to look for in the pictures of each moment; default: the labels of the server, if any',
        example: ['a car', 'a whiteboard'],
      }),
    limit: z.number().int().min(1).max(50).default(10),
    cursor: z
      .string()
      .max(512)
      .optional()
      .meta({ description: '`nextCursor` of the page before, with the same query' }),
  })
  .superRefine((request, context) => {
    const { modalities, weights, image, like } = request;
    const searches = (modality: 'frames' | 'passages') =>
      (modalities?.includes(modality) ?? true) && weights?.[modality] !== 0;
    const path = [modalities ? 'modalities' : 'weights'];
    if (!searches('frames') && !searches('passages')) {
      context.addIssue({ code: 'custom', path, message: 'with `weights`, leaves nothing to search' });
    } else if (!searches('frames') && (image !== undefined || like)) {
      context.addIssue({ code: 'custom', path, message: 'leaves out frames, which a picture is compared with' });
    }
    const given = QUESTIONS.filter((name) => request[name] !== undefined);
    if (given.length === 1) return;
    const message = given.length === 0 ? 'is missing: give one of' : `stands beside ${given[1]}: give one of`;
    context.addIssue({ code: 'custom', path: [given[0] ?? 'query'], message: `${message} ${QUESTIONS.join(', ')}` });
  })
  .meta({ id: 'SearchRequest', example: EXAMPLE });
export type SearchRequest = z.output<typeof searchSchema>;

/** The same with the picture as a file. */
export const searchFormSchema = z
  .object({
    image: z.string().meta({ format: 'binary', description: 'A JPEG, PNG, WebP, BMP or GIF picture of at most 20 MB' }),
    request: z.string().optional().meta({ description: 'The other fields of a search request, as JSON', example: '' }),
  })
  .meta({ id: 'SearchByImage' });

const evidence = z.object({
  kind: z
    .enum(['frame', 'passage', 'title'])
    .meta({ description: 'What is seen; what is said; or what title and metadata of the video say, at its opening' }),
  at: seconds,
  end: seconds.optional(),
  text: z.string().optional(),
  highlights: z
    .array(z.array(z.number().int()).length(2)) // a tuple is `items: false`, which generators of clients do not read
    .optional()
    .meta({ description: 'Words of `text` that were asked for: [from, to) in UTF-16 units, as JavaScript counts' }),
  thumbnailUrl: z.string().optional(),
  score: z.number(),
  confidence: z.number().min(0).max(1).meta({ description: 'How likely this alone shows or says what was asked for' }),
});
export const momentSchema = z
  .object({
    videoId: z.uuid(),
    videoTitle: z.string(),
    start: seconds,
    end: seconds,
    score: z.number().meta({ description: 'Orders the moments of one answer' }),
    confidence: z.number().min(0).max(1).meta({
      description:
        'How likely this is what was asked for; above 0.5, likelier than not. Calibrated on what the query scores with frames it has nothing to do with',
    }),
    evidence: z.array(evidence),
    labels: z
      .array(heldLabel)
      .optional()
      .meta({ description: 'Where labels are looked for: those that its pictures show, surest first' }),
  })
  .meta({ id: 'Moment' });
const videoGroup = z.object({
  videoId: z.uuid(),
  videoTitle: z.string(),
  score: z.number().meta({ description: 'Of its best moment' }),
  confidence: z.number().min(0).max(1).meta({ description: 'The highest of its moments' }),
  moments: z.array(momentSchema).meta({ description: 'At most five, best first' }),
});
export const searchResultSchema = z
  .object({
    moments: z.array(momentSchema).meta({ description: 'Best first; with `groupBy`, those of `videos` in a row' }),
    videos: z.array(videoGroup).optional().meta({ description: 'With `groupBy`' }),
    nextCursor: z.string().optional(),
    tookMs: z.number().meta({ description: 'From the request to its answer, with the time it waited for others' }),
    steps: z.record(z.string(), z.number()).meta({
      description:
        'Milliseconds of each step; `wait` is for other searches to end, and frames and passages are searched side by side',
    }),
  })
  .meta({
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
              confidence: 0.81,
            },
            {
              kind: 'passage',
              at: 756,
              end: 771,
              text: 'So this is what a cell looks like.',
              highlights: [[18, 22]],
              score: 7.2,
              confidence: 0.42,
            },
          ],
        },
      ],
      tookMs: 24,
      steps: { wait: 0, text: 6.1, frames: 9.4, passages: 3.2, fuse: 0.2 },
    },
  });
export type PublicMoment = z.output<typeof momentSchema>;
export type SearchResult = z.output<typeof searchResultSchema>;
