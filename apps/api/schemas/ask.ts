import { z } from 'zod';
import 'zod-openapi';
import { EXAMPLE_VIDEO_ID, notEmpty, seconds } from './common.ts';
import { momentSchema, searchFilter } from './search.ts';

const EXAMPLE_CONVERSATION_ID = '0190f8a4-6b1f-7c74-8d2e-3a5b7c9d1e2f';

export const askSchema = z
  .strictObject({
    question: notEmpty.max(1000).meta({ example: 'When is the weather first mentioned?' }),
    videoIds: z
      .array(z.uuid().toLowerCase())
      .min(1)
      .max(100)
      .optional()
      .meta({ description: 'Only these videos; default: those of the conversation, else all' }),
    filter: searchFilter.optional().meta({ description: 'Default: that of the conversation, if any; `{}`: none' }),
    conversationId: z.uuid().toLowerCase().optional().meta({
      description:
        'Of an answer before: the question may then say "it" or "after that". Forgotten two hours after its last question',
    }),
    stream: z.boolean().default(false).meta({ description: 'Answer with server-sent events' }),
    limit: z.number().int().min(1).max(20).default(6).meta({ description: 'Moments retrieved for a single fact' }),
  })
  .meta({ id: 'AskRequest', example: { question: 'When is the weather first mentioned?' } });

const citation = z.object({
  n: z.number().int().meta({ description: 'Stands in the answer as `[n]`; it is `moments[n - 1]`' }),
  moment: momentSchema,
});
const EXAMPLE_MOMENT = {
  videoId: EXAMPLE_VIDEO_ID,
  videoTitle: 'Lecture 4',
  start: 29.2,
  end: 30.96,
  score: 0.0164,
  confidence: 0.97,
  evidence: [
    {
      kind: 'passage' as const,
      at: 29.2,
      end: 30.96,
      text: 'The weather is sunny on Friday.',
      score: 5.1,
      confidence: 0.97,
    },
  ],
};
export const answerSchema = z
  .object({
    answer: z.string().meta({ description: 'Plain text. Each claim has its citation, `[1]`' }),
    mode: z.enum(['llm', 'extractive']).meta({ description: 'Written by the chat model, or made of what was found' }),
    found: z.boolean().meta({
      description: 'False when nothing surely answers it; the answer then tells at most what comes nearest',
    }),
    understoodAs: z
      .string()
      .optional()
      .meta({ description: 'The question in words that stand alone, where a follow-up was asked in others' }),
    citations: z.array(citation),
    moments: z.array(momentSchema).meta({ description: 'All that was retrieved' }),
    conversationId: z.uuid().meta({ description: 'For questions that follow' }),
    usage: z
      .object({
        promptTokens: z.number(),
        completionTokens: z.number(),
        totalTokens: z.number(),
        cost: z.number().optional().meta({ description: 'By the prices that are configured' }),
        estimated: z.literal(true).optional().meta({ description: 'The endpoint did not count tokens' }),
      })
      .optional()
      .meta({ description: 'Of the chat model' }),
    degraded: z
      .object({ code: z.string(), message: z.string() })
      .optional()
      .meta({ description: 'Why the answer is less than it could be' }),
  })
  .meta({
    id: 'Answer',
    example: {
      answer: 'First said at 0:29 in "Lecture 4": “The weather is sunny on Friday.” [1].',
      mode: 'extractive',
      found: true,
      citations: [{ n: 1, moment: EXAMPLE_MOMENT }],
      moments: [EXAMPLE_MOMENT],
      conversationId: EXAMPLE_CONVERSATION_ID,
    },
  });
export type PublicAnswer = z.output<typeof answerSchema>;

export const chaptersSchema = z
  .object({
    videoId: z.uuid(),
    complete: z.boolean().meta({ description: 'False while the video is being indexed' }),
    titledBy: z.enum(['llm', 'passages']),
    chapters: z
      .array(z.object({ start: seconds, end: seconds, title: z.string(), thumbnailUrl: z.string().optional() }))
      .meta({ description: 'In order; together they cover the whole video' }),
  })
  .meta({
    id: 'Chapters',
    example: {
      videoId: EXAMPLE_VIDEO_ID,
      complete: true,
      titledBy: 'passages',
      chapters: [
        { start: 0, end: 754.2, title: 'What a cell is made of' },
        { start: 754.2, end: 1802, title: 'How cells divide' },
      ],
    },
  });
