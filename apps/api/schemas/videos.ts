import { z } from 'zod';
import 'zod-openapi';
import { SPEECH_TASKS, TRANSCRIBE } from '#store';
import { hasTooManyValues } from '../http/json.ts';
import { dateTime, EXAMPLE_VIDEO_ID, httpUrl, languageCode, notEmpty, seconds, webhookSecret } from './common.ts';

const title = notEmpty.max(300);
const FEW_ENTRIES = 'has at most 50 entries';
const metadata = z
  .record(z.string().min(1).max(64), z.string().max(1000))
  .refine((value) => Object.keys(value).length <= 50, FEW_ENTRIES)
  .meta({ description: 'Your own words about the video: at most 50 strings', example: { course: 'biology-101' } });
const language = languageCode.meta({
  description: 'Language that is spoken, ISO 639-1; left out, it is detected',
  example: 'en',
});

const transcribe = z.enum(TRANSCRIBE).meta({
  description: 'Whether speech is transcribed: `always` (default), `auto` (where there are no captions) or `never`',
});

const task = z.enum(SPEECH_TASKS).meta({
  description:
    'What becomes of speech: `transcribe` (default) writes it down as it is said, `translate` in English, which its passages count as then, for filters, too. Whisper turbo, which the profile `large` uses, does not translate',
});
/** Whisper keeps the last 223 tokens of a prompt, which are no more than so many letters in nearly all languages. */
const MAX_PROMPT_CHARS = 1000;
const prompt = z
  .string()
  .trim()
  .min(1)
  .max(MAX_PROMPT_CHARS, { abort: true }) // of a megabyte the pattern would take minutes
  .regex(/^(?!.*<\|.*\|>)/s, 'holds a token of the model, such as <|en|>')
  .meta({
    description:
      'Names and terms that the speech holds, as they are to be spelt: taken as said just before each stretch of speech. Whisper keeps the last 223 tokens',
    example: 'Krebs cycle, Rubisco, Dr. Szent-Györgyi',
  });

/** What may be said of a video when it is added; multipart fields and JSON alike. */
const uploadWords = {
  title: title.optional().meta({ description: 'Default: the name of the file without its extension' }),
  metadata: metadata.optional(),
  language: language.optional(),
  transcribe: transcribe.optional(),
  task: task.optional(),
  prompt: prompt.optional(),
  webhookUrl: httpUrl.optional().meta({ description: 'Hears of this video only' }),
  webhookSecret: webhookSecret.optional().meta({ description: 'Default: a new one, in the answer' }),
};

const metadataText = z
  .string()
  .transform((text, context) => {
    const refuse = (message: string) => {
      context.issues.push({ code: 'custom', message, input: text });
      return z.NEVER;
    };
    if (hasTooManyValues(text)) return refuse(FEW_ENTRIES);
    try {
      const value = JSON.parse(text) as unknown;
      // Zod would leave it out without a word; the parser of JSON bodies refuses it, too.
      if (Object.hasOwn(Object(value), '__proto__')) throw new SyntaxError();
      return value;
    } catch {
      return refuse('must be a JSON object of strings');
    }
  })
  .pipe(metadata);
/** Fields of the multipart form; `metadata` is JSON in a string there. */
export const uploadFieldsSchema = z.strictObject({ ...uploadWords, metadata: metadataText.optional() });
/** The same as documented: with the file. The examples are empty since Swagger UI fills its form with them, and would send them. */
export const uploadFormSchema = z
  .object({
    title: uploadWords.title.meta({ example: '' }),
    metadata: z
      .string()
      .optional()
      .meta({ description: 'JSON object of strings, such as `{"course":"biology-101"}`', example: '' }),
    language: uploadWords.language.meta({ example: '' }),
    transcribe: uploadWords.transcribe,
    task: uploadWords.task,
    prompt: uploadWords.prompt.meta({ example: '' }),
    captions: z
      .string()
      .optional()
      .meta({ format: 'binary', description: 'SubRip or WebVTT; goes before captions that are in the media file' }),
    webhookUrl: uploadWords.webhookUrl.meta({ example: '' }),
    webhookSecret: uploadWords.webhookSecret.meta({ example: '' }),
    file: z.string().meta({ format: 'binary', description: 'The media file; fields may come before or after it' }),
  })
  .meta({ id: 'VideoUpload' });
export const ingestSchema = z
  .strictObject({
    url: httpUrl.meta({
      description: 'Address the server fetches the file from',
      example: 'https://example.com/lecture.mp4',
    }),
    ...uploadWords,
  })
  .meta({
    id: 'VideoFromUrl',
    example: { url: 'https://example.com/lecture.mp4', title: 'Lecture 4', metadata: { course: 'biology-101' } },
  });
export const patchVideoSchema = z
  .strictObject({
    title: title.optional(),
    metadata: metadata.optional(),
    language: language.nullable().optional(),
    task: task.nullable().optional(),
    prompt: prompt.nullable().optional(),
  })
  .refine((patch) => Object.keys(patch).length > 0, 'name at least one of title, metadata, language, task, prompt')
  .meta({
    id: 'VideoPatch',
    minProperties: 1,
    example: { title: 'Lecture 4', metadata: { course: 'biology-101' } },
  });

export const reindexSchema = z
  .strictObject({
    only: z
      .enum(['frames'])
      .optional()
      .meta({ description: 'Frames alone, of a video that is ready; its passages stay' }),
  })
  .optional()
  .meta({ id: 'VideoReindex' });

export const publicStatus = z.enum(['queued', 'indexing', 'ready', 'failed', 'cancelled']);
export const listVideosQuery = z.object({
  cursor: z.string().max(512).optional().meta({ description: '`nextCursor` of the page before' }),
  limit: z.coerce.number().int().min(1).max(100).default(20),
  status: publicStatus.optional(),
});

const fault = z.object({ code: z.string(), message: z.string() });
const stage = z.object({
  state: z.enum(['waiting', 'active', 'done', 'failed', 'skipped']),
  done: seconds,
  total: seconds,
  error: fault.optional(),
});
const VIDEO_EXAMPLE = {
  id: EXAMPLE_VIDEO_ID,
  status: 'indexing',
  title: 'Lecture 4',
  filename: 'lecture-4.mp4',
  metadata: { course: 'biology-101' },
  source: { kind: 'upload', sizeBytes: 734003200, sha256: '9f86d081884c7d65…', contentType: 'video/mp4' },
  media: {
    container: 'mov',
    duration: 5400,
    recordedAt: '2025-11-20T09:30:00.000Z',
    video: { codec: 'h264', width: 1920, height: 1080, fps: 25, rotation: 0 },
    audio: { codec: 'aac', channels: 2, sampleRate: 48000 },
  },
  stages: {
    probe: { state: 'done', done: 0, total: 0 },
    frames: { state: 'active', done: 1800, total: 5400 },
    speech: { state: 'active', done: 900, total: 5400 },
    finalize: { state: 'waiting', done: 0, total: 0 },
  },
  progress: 0.26,
  etaSeconds: 340,
  warnings: [],
  counts: { frames: 0, passages: 0, captions: 0 },
  createdAt: '2025-11-23T16:00:00.000Z',
  updatedAt: '2025-11-23T16:02:00.000Z',
  startedAt: '2025-11-23T16:00:01.000Z',
  links: {
    self: `/v1/videos/${EXAMPLE_VIDEO_ID}`,
    events: `/v1/videos/${EXAMPLE_VIDEO_ID}/events`,
    source: `/v1/videos/${EXAMPLE_VIDEO_ID}/source`,
    transcript: `/v1/videos/${EXAMPLE_VIDEO_ID}/transcript`,
  },
};
export const videoSchema = z
  .object({
    id: z.uuid(),
    status: publicStatus,
    title: z.string(),
    filename: z.string(),
    metadata: z.record(z.string(), z.string()),
    language: z.string().optional().meta({ description: 'Spoken, ISO 639-1: given, or detected' }),
    task: task.optional(),
    prompt: prompt.optional(),
    source: z.object({
      kind: z.enum(['upload', 'url']),
      url: z.string().optional(),
      sizeBytes: z.number().int().min(0).optional(),
      sha256: z.string().optional(),
      contentType: z.string().optional(),
    }),
    media: z
      .object({
        container: z.string(),
        duration: seconds,
        recordedAt: dateTime.optional().meta({
          description:
            'When it was recorded, by `creation_time` in the file; left out where that says nothing or cannot be true',
        }),
        video: z
          .object({
            codec: z.string(),
            width: z.number(),
            height: z.number(),
            fps: z.number(),
            rotation: z.number(),
          })
          .optional(),
        audio: z
          .object({
            codec: z.string(),
            channels: z.number(),
            sampleRate: z.number(),
            language: z.string().optional(),
          })
          .optional(),
      })
      .optional(),
    stages: z.object({ probe: stage, frames: stage, speech: stage, finalize: stage }),
    progress: z.number().min(0).max(1),
    etaSeconds: z.number().optional().meta({ description: 'When known: seconds until it is ready' }),
    warnings: z.array(fault).meta({
      description:
        'What went wrong without failing the whole; among them `media_truncated` (the file, its picture or its sound ends before its headers say), ' +
        '`media_damaged` (parts of the picture were left out) and `media_joined` (several recordings stand one after the other in the file, and not all is indexed)',
    }),
    error: fault.optional(),
    captions: z
      .object({
        source: z.enum(['upload', 'embedded']),
        language: z.string().optional(),
        cues: z.number().int().min(0),
        broken: z.number().int().min(1).optional().meta({
          description: 'How many more were left out because their times make no sense; there is then a warning, too',
        }),
        readings: z.number().int().min(1).optional().meta({
          description:
            'How many were left out because they are readings of a camera or drone, not what is said; there is then a warning, too',
        }),
      })
      .optional()
      .meta({ description: 'Captions that are indexed: of the uploader, or of a track in the file' }),
    models: z
      .object({
        clip: z.string().optional(),
        whisper: z.string().optional(),
        text: z.string().optional(),
        profile: z.string(),
        frames: z.array(z.string()).optional().meta({
          description: 'Every model that the frames are indexed with; search uses the `active` one of `/v1/models`',
        }),
      })
      .optional(),
    counts: z
      .object({
        frames: z.number().int().min(0),
        passages: z.number().int().min(0).meta({ description: 'Of speech that was transcribed' }),
        captions: z.number().int().min(0).meta({ description: 'Captions, which search finds as passages, too' }),
      })
      .meta({ description: 'What is indexed' }),
    createdAt: dateTime,
    updatedAt: dateTime,
    startedAt: dateTime.optional(),
    finishedAt: dateTime.optional(),
    links: z.object({
      self: z.string(),
      events: z.string(),
      source: z.string().optional(),
      transcript: z.string(),
    }),
  })
  .meta({
    id: 'Video',
    example: VIDEO_EXAMPLE,
  });
export type PublicVideo = z.output<typeof videoSchema>;

export const acceptedVideoSchema = videoSchema
  .extend({
    webhook: z
      .object({ id: z.string(), secret: z.string() })
      .optional()
      .meta({ description: 'Of `webhookUrl`; the secret is shown here only' }),
  })
  .meta({ id: 'AcceptedVideo', example: VIDEO_EXAMPLE });
export const videoListSchema = z
  .object({ videos: z.array(videoSchema), nextCursor: z.string().optional() })
  .meta({ id: 'VideoList' });

export const captionsQuery = z.object({
  language: language
    .optional()
    .meta({ description: 'Language of the captions, ISO 639-1; default: that of the video' }),
});
export const transcriptQuery = z.object({
  format: z.enum(['json', 'vtt', 'srt', 'txt']).default('json'),
  source: z
    .enum(['captions', 'speech'])
    .optional()
    .meta({ description: 'Default: captions where the video has them, else what was transcribed' }),
});
export const transcriptSchema = z
  .object({
    videoId: z.uuid(),
    language: z.string().optional(),
    source: z.enum(['captions', 'speech']),
    complete: z.boolean().meta({ description: 'False while speech is still being transcribed' }),
    passages: z.array(z.object({ start: seconds, end: seconds, text: z.string(), language: z.string().optional() })),
  })
  .meta({ id: 'Transcript' });

export const eventsQuery = z.object({
  follow: z
    .enum(['true', 'false'])
    .default('false')
    .transform((text) => text === 'true')
    .meta({ description: 'Stay connected after the video is ready, failed or cancelled' }),
});
