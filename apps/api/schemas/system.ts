import { z } from 'zod';
import 'zod-openapi';

const searchState = z.object({
  state: z.enum(['loading', 'ready', 'failed']),
  profile: z.string().optional(),
  model: z.string().optional(),
  fallbackReason: z
    .string()
    .optional()
    .meta({ description: 'Set when another profile than the one asked for is used' }),
  reason: z.string().optional().meta({ description: 'Why it failed, or what it waits for' }),
});
const worker = z.object({
  id: z.string(),
  ready: z.boolean(),
  profile: z.string().optional(),
  fallbackReason: z.string().optional(),
  models: z
    .object({ clip: z.string().optional(), whisper: z.string().optional(), text: z.string().optional() })
    .optional(),
  device: z.string().optional(),
  note: z.string().optional().meta({ description: 'While not ready: what it waits for' }),
  eventLoopP99Ms: z.number().optional(),
  rssBytes: z.number().optional(),
});
export const healthSchema = z
  .object({
    status: z.enum(['ready', 'not_ready']),
    reasons: z.array(z.string()).meta({ description: 'Why it is not ready' }),
    warnings: z.array(z.string()).meta({ description: 'What works, but not as it should' }),
    redis: z.enum(['ok', 'failed']),
    index: z.enum(['ok', 'failed']),
    blobs: z.enum(['ok', 'failed']).meta({ description: 'Where media are kept' }),
    search: searchState,
    workers: z.array(worker),
  })
  .meta({ id: 'Health' });
export const liveSchema = z.object({ status: z.literal('live') }).meta({ id: 'Live' });
export const systemSchema = z
  .object({
    version: z.string(),
    mode: z.enum(['embedded', 'cluster']),
    profile: z.string().meta({ description: 'The profile in use, or asked for while it loads' }),
    fallbackReason: z.string().optional(),
    models: z.object({ clip: z.string().optional(), whisper: z.string().optional(), text: z.string().optional() }),
    search: searchState,
    workers: z.array(worker),
    limits: z.object({ maxUploadBytes: z.number(), maxQueryLength: z.number(), maxSearchLimit: z.number() }),
  })
  .meta({ id: 'System' });
export type SearchState = z.output<typeof searchState>;
