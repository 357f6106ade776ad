import type { VideoReply } from './catalog-scripts.ts';
import { STAGES, type Stage, type StageName, type Video } from './types.ts';

/** A video in Redis: a hash with a field for each top-level one (JSON), and its stages as `stage.<name>.<field>`. */

/** Fields that `undefined` in a patch removes. */
export const OPTIONAL: readonly string[] = [
  'language',
  'task',
  'prompt',
  'captionsFile',
  'captions',
  'media',
  'error',
  'models',
  'reindex',
  'startedAt',
  'finishedAt',
];
const FIXED: readonly string[] = ['id', 'tenant', 'stages', 'createdAt', 'updatedAt'];

export const json = (value: unknown): string => JSON.stringify(value);

/** Top-level fields of a patch as they are stored. */
export function fieldsOf(patch: Partial<Video>): Record<string, string> {
  const entries = Object.entries(patch).filter(([field, value]) => !FIXED.includes(field) && value !== undefined);
  return Object.fromEntries(entries.map(([field, value]) => [field, json(value)]));
}
export function stageFields(stage: StageName, patch: Partial<Stage>): { set: Record<string, string>; unset: string[] } {
  const set: Record<string, string> = {};
  const unset: string[] = [];
  for (const [field, value] of Object.entries(patch)) {
    if (value !== undefined) set[`stage.${stage}.${field}`] = json(value);
    else if (field === 'error') unset.push(`stage.${stage}.${field}`);
  }
  return { set, unset };
}
export function parseVideo([fields, progress]: VideoReply): Video | undefined {
  if (!fields.length) return undefined;
  const video: Record<string, unknown> = {};
  const stages: Record<string, Record<string, unknown>> = {};
  for (let index = 0; index < fields.length; index += 2) {
    const [field, text] = [fields[index] as string, fields[index + 1] as string];
    if (field === 'call') continue;
    const [, stage, stageField] = /^stage\.(\w+)\.(\w+)$/.exec(field) ?? [];
    if (stage && stageField) {
      stages[stage] ??= {};
      stages[stage][stageField] = JSON.parse(text);
    } else video[field] = JSON.parse(text);
  }
  const done = new Map<string, number>();
  for (let index = 0; index < progress.length; index += 2) {
    const stage = (progress[index] as string).split(':', 1)[0] as string;
    done.set(stage, (done.get(stage) ?? 0) + Number(progress[index + 1]));
  }
  for (const name of STAGES) {
    const stage = stages[name] as unknown as Stage;
    stage.doneMs = Math.min(stage.totalMs, Math.max(stage.doneMs, done.get(name) ?? 0));
  }
  return { ...video, stages } as unknown as Video;
}
