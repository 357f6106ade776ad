/** What the descriptions of all routes are made with. */
import type { z } from 'zod';
import type {
  ZodOpenApiContentObject,
  ZodOpenApiOperationObject,
  ZodOpenApiResponseObject,
  ZodOpenApiResponsesObject,
} from 'zod-openapi';
import { PROBLEMS, type ProblemCode, ProblemError, problemBody } from '../problems.ts';
import * as schemas from '../schemas/index.ts';

export type Answer = {
  status: number;
  description: string;
  schema?: z.ZodType;
  content?: ZodOpenApiContentObject;
  headers?: z.ZodObject;
};
type Operation = Omit<ZodOpenApiOperationObject, 'responses'> & {
  answers: Answer[];
  problems?: ProblemCode[];
  access?: 'key' | 'signed' | 'open';
};

const KEY_PROBLEMS: ProblemCode[] = ['key_missing', 'key_invalid', 'host_refused'];
const SIGNED_PROBLEMS: ProblemCode[] = [...KEY_PROBLEMS, 'signature_invalid', 'signature_expired'];
export const KEYS: Record<string, string[]>[] = [{ bearer: [] }, { apiKey: [] }];

/** One operation: its answers, and every problem it can give, grouped by status. */
export function operation({ answers, problems = [], access = 'key', ...rest }: Operation): ZodOpenApiOperationObject {
  const responses: Record<`${1 | 2 | 3 | 4 | 5}${string}`, ZodOpenApiResponseObject> & ZodOpenApiResponsesObject = {};
  for (const { status, description, schema, content, headers } of answers) {
    const body = content ?? (schema && { 'application/json': { schema } });
    responses[`${status}` as '200'] = { description, ...(headers && { headers }), ...(body && { content: body }) };
  }
  const gate = access === 'open' ? [] : access === 'signed' ? SIGNED_PROBLEMS : KEY_PROBLEMS;
  const always: ProblemCode[] = access === 'open' ? ['internal'] : ['internal', 'store_unavailable', 'shutting_down'];
  const codes = [...new Set([...gate, ...problems, ...always])];
  for (const [status, group] of Map.groupBy(codes, (code) => PROBLEMS[code][0])) {
    const key = `${status}` as '200';
    if (responses[key]) continue;
    responses[key] = {
      description: group.map((code) => `\`${code}\`: ${PROBLEMS[code][1]}.`).join(' '),
      content: { 'application/problem+json': { schema: schemas.problemSchema, example: problemExample(group[0]) } },
    };
  }
  const security = access === 'open' ? [] : access === 'signed' ? [...KEYS, { signature: [] }] : KEYS;
  return { ...rest, security, responses };
}

/** As the client would get it. */
function problemExample(code: ProblemCode = 'internal') {
  const detail = 'What exactly is wrong, in a sentence.';
  const requestId = '0a6f7c52-6c1e-4c0e-9a52-7a3f0f1f0b1e';
  return problemBody(new ProblemError(code, detail), `/v1/videos/${schemas.EXAMPLE_VIDEO_ID}`, requestId);
}

export const json = (schema: z.ZodType) => ({ required: true, content: { 'application/json': { schema } } });
export const video = (status: number, description: string): Answer => ({
  status,
  description,
  schema: schemas.videoSchema,
});
export const binary = { schema: { type: 'string', format: 'binary' } } as const;
export const text = { schema: { type: 'string' } } as const;
export const videoId = { path: schemas.videoIdParams };
export const signedVideoId = { path: schemas.videoIdParams, query: schemas.signedQuery };
