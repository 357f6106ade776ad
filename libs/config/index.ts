import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { z } from 'zod';

const bytes = z
  .string()
  .regex(/^\d+(\.\d+)?\s*([kmgt]i?b?)?$/i, 'a size such as 500MB or 20GB')
  .transform((text) => {
    const [, number, unit = ''] = /^([\d.]+)\s*([a-z]?)/i.exec(text) ?? [];
    return Math.floor(Number(number) * 1024 ** ' kmgt'.indexOf(unit.toLowerCase() || ' '));
  });
const flag = z.enum(['true', 'false', '1', '0']).transform((text) => text === 'true' || text === '1');
const reach = z.enum(['none', 'loopback', 'all']);

/** One of the things to look for in every frame; a request names them too. */
export const label = z.string().trim().min(1).max(100);
export const MAX_LABELS = 200;
/** Labels between commas, each once. */
export const labelList = z
  .string()
  .transform((text) => [
    ...new Set(
      text
        .split(',')
        .map((one) => one.trim())
        .filter(Boolean),
    ),
  ])
  .pipe(z.array(label).max(MAX_LABELS));

/** Every setting there is, by the name of its environment variable. */
const environment = z.object({
  HOST: z.string().default('127.0.0.1').describe('Address the api listens on'),
  PORT: z.coerce.number().int().min(0).max(65535).default(8080).describe('Port of the api; 0 picks a free one'),
  PUBLIC_URL: z
    .url()
    .optional()
    .describe('Address under which clients reach the api, for links in answers and webhooks'),
  DATA_DIR: z.string().default('.data').describe('Folder of everything the embedded shape keeps'),
  REDIS_URL: z
    .string()
    .optional()
    .describe('Redis or Valkey (redis://, rediss://, unix:/path); left out, `cuepoint up` runs its own'),
  QDRANT_URL: z.url().optional().describe('Qdrant; left out, vectors live in LanceDB under DATA_DIR'),
  QDRANT_API_KEY: z.string().optional().describe('Key for Qdrant'),
  QDRANT_QUANTIZATION: z
    .enum(['none', 'int8', 'binary'])
    .default('none')
    .describe(
      'Vectors searched in memory: as they are, as bytes (int8) or bits (binary); hits are compared again in full',
    ),
  QDRANT_ON_DISK: flag.default(false).describe('Qdrant reads full vectors and graphs from disk'),
  QDRANT_REPLICATION: z.coerce.number().int().min(1).optional().describe('Copies that a Qdrant cluster keeps'),
  QDRANT_SHARDS: z.coerce
    .number()
    .int()
    .min(1)
    .optional()
    .describe('Parts that a Qdrant cluster spreads a collection over'),
  SEARCH_MEMORY: bytes
    .default(512 * 1024 ** 2)
    .describe('Rows of LanceDB that the api keeps in memory, a table whole or not at all; 0: none'),
  S3_BUCKET: z.string().optional().describe('Bucket for media; left out, media live under DATA_DIR'),
  S3_ENDPOINT: z.url().optional().describe('Address of an S3-compatible store other than AWS'),
  S3_REGION: z.string().default('us-east-1').describe('Region of the bucket'),
  S3_ACCESS_KEY_ID: z.string().optional().describe("Key id; left out, the AWS SDK's own chain is used"),
  S3_SECRET_ACCESS_KEY: z.string().optional().describe('Secret of that key'),
  API_KEYS: z
    .string()
    .default('')
    .transform((text) =>
      text
        .split(',')
        .map((pair) => pair.trim())
        .filter(Boolean),
    )
    .pipe(z.array(z.string().regex(/^[a-z0-9_-]{1,64}=.{16,}$/i, 'tenant=key pairs, keys of 16 characters or more')))
    .transform((pairs) =>
      pairs.map((pair) => ({ tenant: pair.slice(0, pair.indexOf('=')), key: pair.slice(pair.indexOf('=') + 1) })),
    )
    .describe('Comma-separated tenant=key pairs; required unless the api listens on loopback'),
  SIGNING_SECRET: z
    .string()
    .min(16)
    .optional()
    .describe('Signs expiring media links; left out, made once and kept in DATA_DIR'),
  MODEL_PROFILE: z.enum(['tiny', 'base', 'large']).default('base').describe('Named set of models'),
  MODEL_FALLBACK_REASON: z
    .string()
    .optional()
    .describe('Set by `cuepoint up` for api and worker: why MODEL_PROFILE is not the one that was asked for'),
  CLIP_MODEL: z.string().optional().describe('Hub id or folder in place of the profile’s CLIP'),
  CLIP_LOGIT_SCALE: z.coerce
    .number()
    .min(10, 'the scale itself, 10 or more: a checkpoint stores its logarithm')
    .max(1000)
    .optional()
    .describe('What CLIP_MODEL multiplies cosines with, in place of what its config.json says'),
  CLIP_LOGIT_BIAS: z.coerce
    .number()
    .min(-100)
    .max(0)
    .optional()
    .describe('What CLIP_MODEL, a SigLIP, adds to them: labels are judged by its sigmoid then'),
  WHISPER_MODEL: z.string().optional().describe('Hub id or folder in place of the profile’s Whisper'),
  VAD_MODEL: z
    .string()
    .optional()
    .describe(
      'Hub id, folder or ONNX file in place of the profile’s speech detection; none: pauses are found by loudness',
    ),
  TEXT_MODEL: z
    .string()
    .optional()
    .describe('Hub id or folder in place of the profile’s passage encoder; none: passages are found by their words'),
  MODELS_DIR: z.string().optional().describe('Folder with models, for machines without a network'),
  HF_ENDPOINT: z
    .url()
    .transform((url) => url.replace(/\/+$/, ''))
    .default('https://huggingface.co')
    .describe('Model hub or a mirror of it'),
  HF_TOKEN: z.string().optional().describe('Access token for the hub, for models that ask for one'),
  HF_HOME: z.string().optional().describe('Shared Hugging Face folder'),
  HF_HUB_CACHE: z.string().optional().describe('Cache folder for models'),
  DEVICE: z.enum(['auto', 'cpu', 'cuda', 'tensorrt', 'coreml', 'dml']).default('auto').describe('Where models run'),
  THREADS: z.coerce
    .number()
    .int()
    .min(1)
    .optional()
    .describe('Threads of one onnxruntime session; default: the cores there are'),
  HWACCEL: z
    .string()
    .regex(/^[a-z0-9]+$/)
    .default('none')
    .describe(
      'Decode on a GPU: none, auto, or a name that `ffmpeg -hwaccels` lists; software where that does not work',
    ),
  FFMPEG_PATH: z.string().optional().describe('ffmpeg, when it is not on the PATH'),
  FFPROBE_PATH: z.string().optional().describe('ffprobe, when it is not on the PATH'),
  MAX_UPLOAD: bytes.default(20 * 1024 ** 3).describe('Largest upload'),
  MIN_FREE_DISK: bytes.default(1024 ** 3).describe('Uploads are refused when less than this would be left'),
  SAMPLING: z
    .enum(['interval', 'adaptive'])
    .default('interval')
    .describe(
      'interval: one frame each FRAME_INTERVAL_SECONDS; adaptive: one at each change of scene, at most one an interval',
    ),
  FRAME_INTERVAL_SECONDS: z.coerce
    .number()
    .min(0.001)
    .max(86_400)
    .default(1)
    .describe('One frame is sampled in each interval'),
  FRAMES_PER_SECOND: z.coerce
    .number()
    .positive()
    .max(1000)
    .optional()
    .describe('The same as a rate; takes the place of FRAME_INTERVAL_SECONDS'),
  MAX_FRAME_GAP_SECONDS: z.coerce
    .number()
    .positive()
    .max(86_400)
    .default(10)
    .describe('Adaptive sampling takes a frame this often even where no scene changes'),
  SHARD_MINUTES: z.coerce
    .number()
    .positive()
    .default(10)
    .describe('Length of the part of a video that one job works on'),
  FRAMES_CONCURRENCY: z.coerce
    .number()
    .int()
    .min(0)
    .default(1)
    .describe('Frame shards that one worker does at a time; 0: none, for speech-only workers'),
  SPEECH_CONCURRENCY: z.coerce
    .number()
    .int()
    .min(0)
    .default(1)
    .describe('Speech shards that one worker does at a time; 0: none'),
  LLM_MODEL: z
    .string()
    .optional()
    .describe('Chat model that writes answers and chapter titles; left out, answers are extractive'),
  LLM_BASE_URL: z
    .url({ protocol: /^https?$/ })
    .default('https://api.openai.com/v1')
    .describe('OpenAI-compatible endpoint, `/v1` included: OpenAI, Gemini, vLLM, llama.cpp, Ollama …'),
  LLM_API_KEY: z
    .string()
    .regex(/^[\x21-\x7e]+$/, 'visible ASCII characters only')
    .optional()
    .describe('Key for that endpoint'),
  LLM_TIMEOUT_SECONDS: z.coerce
    .number()
    .positive()
    .max(3600)
    .default(60)
    .describe('Longest wait for the chat model, all calls of one question and their retries together'),
  LLM_MAX_TOKENS: z.coerce
    .number()
    .int()
    .min(16)
    .default(800)
    .describe('Tokens of one answer at most, thoughts included'),
  LLM_CONTEXT_TOKENS: z.coerce
    .number()
    .int()
    .min(2048)
    .default(8192)
    .describe('Context of the chat model, question and answer included'),
  LLM_IMAGES: z.coerce
    .number()
    .int()
    .min(0)
    .max(50)
    .default(0)
    .describe('Frames shown to the chat model with a question; 0: text only'),
  LLM_IMAGE_SIZE: z.coerce
    .number()
    .int()
    .min(64)
    .max(480)
    .default(480)
    .describe('Longest edge in pixels of frames shown to the chat model; they are kept at 480'),
  LLM_INPUT_PRICE: z.coerce.number().min(0).optional().describe('Price of a million tokens read, for `usage.cost`'),
  LLM_OUTPUT_PRICE: z.coerce.number().min(0).optional().describe('Price of a million tokens written'),
  LABELS: labelList
    .prefault('')
    .describe('What to look for in each video and moment, between commas (a car,a dog): at most 200 labels'),
  WEBHOOK_ADDRESSES: reach
    .optional()
    .describe(
      'Private addresses webhooks may reach: none, loopback or all (default: loopback if embedded without API_KEYS, else none)',
    ),
  INGEST_ADDRESSES: reach.default('none').describe('Private addresses that ingest by url may reach'),
  LOG_LEVEL: z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])
    .default('info')
    .describe('Least important line that is logged'),
  LOG_PRETTY: flag.default(false).describe('Logs for people in place of JSON'),
});

/** A chat model reads so much at least: the rules, the question, and some of what was found. */
const LEAST_READ_TOKENS = 1024;

/** With what settings ask of each other. */
const consistent = environment
  .refine(({ CLIP_LOGIT_SCALE: scale, CLIP_LOGIT_BIAS: bias }) => bias === undefined || scale !== undefined, {
    path: ['CLIP_LOGIT_BIAS'],
    error: 'means nothing without CLIP_LOGIT_SCALE',
  })
  .refine(
    ({ LLM_MODEL: model, LLM_CONTEXT_TOKENS: context, LLM_MAX_TOKENS: answer }) =>
      !model || context - answer >= LEAST_READ_TOKENS,
    { path: ['LLM_CONTEXT_TOKENS'], error: `must be at least ${LEAST_READ_TOKENS} more than LLM_MAX_TOKENS` },
  );

/** The configuration as the program uses it: parsed, complete, with defaults. */
export type Config = ReturnType<typeof shape>;

function shape(env: z.output<typeof environment>) {
  const dataDir = resolve(env.DATA_DIR);
  // Whole microseconds: what times are compared in.
  const frameIntervalMs =
    Math.round(env.FRAMES_PER_SECOND ? 1e6 / env.FRAMES_PER_SECOND : env.FRAME_INTERVAL_SECONDS * 1e6) / 1000;
  const loopback = ['127.0.0.1', 'localhost', '::1'].includes(env.HOST);
  return {
    http: {
      host: env.HOST,
      port: env.PORT,
      publicUrl: env.PUBLIC_URL,
      loopback,
      apiKeys: env.API_KEYS,
      signingSecret: env.SIGNING_SECRET,
      maxUploadBytes: env.MAX_UPLOAD,
      minFreeDiskBytes: env.MIN_FREE_DISK,
    },
    dataDir,
    /** Undefined in the embedded shape until `cuepoint up` has started its own server. */
    redisUrl: env.REDIS_URL,
    lance: { heldBytes: env.SEARCH_MEMORY },
    qdrant: env.QDRANT_URL
      ? {
          url: env.QDRANT_URL,
          apiKey: env.QDRANT_API_KEY,
          quantization: env.QDRANT_QUANTIZATION,
          onDisk: env.QDRANT_ON_DISK,
          replication: env.QDRANT_REPLICATION,
          shards: env.QDRANT_SHARDS,
        }
      : undefined,
    s3: env.S3_BUCKET
      ? {
          bucket: env.S3_BUCKET,
          endpoint: env.S3_ENDPOINT,
          region: env.S3_REGION,
          accessKeyId: env.S3_ACCESS_KEY_ID,
          secretAccessKey: env.S3_SECRET_ACCESS_KEY,
        }
      : undefined,
    models: {
      profile: env.MODEL_PROFILE,
      fallbackReason: env.MODEL_FALLBACK_REASON,
      clip: env.CLIP_MODEL,
      /** Of the model that `clip` names, and no other. */
      clipLogits: env.CLIP_MODEL ? { scale: env.CLIP_LOGIT_SCALE, bias: env.CLIP_LOGIT_BIAS } : undefined,
      whisper: env.WHISPER_MODEL,
      vad: env.VAD_MODEL,
      text: env.TEXT_MODEL,
      modelsDir: env.MODELS_DIR && resolve(env.MODELS_DIR),
      hubUrl: env.HF_ENDPOINT,
      accessToken: env.HF_TOKEN,
      cacheDir: env.HF_HUB_CACHE ?? join(env.HF_HOME ?? join(homedir(), '.cache', 'huggingface'), 'hub'),
      device: env.DEVICE,
      threads: env.THREADS,
    },
    ffmpeg: { ffmpegPath: env.FFMPEG_PATH, ffprobePath: env.FFPROBE_PATH, hwaccel: env.HWACCEL },
    indexing: {
      frameIntervalMs,
      /** Undefined: one frame an interval. The gap is a multiple of the interval. */
      adaptive:
        env.SAMPLING === 'adaptive'
          ? {
              maxGapMs: Math.max(1, Math.round((env.MAX_FRAME_GAP_SECONDS * 1000) / frameIntervalMs)) * frameIntervalMs,
            }
          : undefined,
      shardMs: Math.round(env.SHARD_MINUTES * 60_000),
      framesConcurrency: env.FRAMES_CONCURRENCY,
      speechConcurrency: env.SPEECH_CONCURRENCY,
    },
    /** Undefined without a chat model: answers are extractive then. */
    llm: env.LLM_MODEL
      ? {
          baseUrl: env.LLM_BASE_URL,
          model: env.LLM_MODEL,
          apiKey: env.LLM_API_KEY,
          timeoutMs: env.LLM_TIMEOUT_SECONDS * 1000,
          maxTokens: env.LLM_MAX_TOKENS,
          contextTokens: env.LLM_CONTEXT_TOKENS,
          images: env.LLM_IMAGES,
          imageSize: env.LLM_IMAGE_SIZE,
          inputPrice: env.LLM_INPUT_PRICE,
          outputPrice: env.LLM_OUTPUT_PRICE,
        }
      : undefined,
    labels: env.LABELS,
    outgoing: {
      webhooks: env.WEBHOOK_ADDRESSES ?? (loopback && !env.API_KEYS.length ? ('loopback' as const) : ('none' as const)),
      ingest: env.INGEST_ADDRESSES,
    },
    log: { level: env.LOG_LEVEL, pretty: env.LOG_PRETTY },
  };
}

/** A setting is wrong; the message names each one and says what it takes. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly code = 'config_invalid';
}

/** Reads and checks the environment. The only reader of process.env in the product. Empty values count as not set. */
export function loadConfig(env: Record<string, string | undefined> = process.env): Config {
  const set = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''));
  const parsed = consistent.safeParse(set);
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `  ${issue.path.join('.')}: ${issue.message}`);
    throw new ConfigError(`The configuration is not valid:\n${problems.join('\n')}`);
  }
  return shape(parsed.data);
}

/** Name and meaning of every setting. README.md and .env.example say the same: a test compares them. */
export function describeSettings(): { name: string; description: string }[] {
  return Object.entries(environment.shape).map(([name, schema]) => ({ name, description: schema.description ?? '' }));
}

/** Version of the product, from package.json. */
export const VERSION: string = JSON.parse(
  readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'),
).version;
