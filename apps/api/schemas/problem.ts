import { z } from 'zod';
import 'zod-openapi';

export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.number().int(),
    detail: z.string(),
    code: z.string().meta({ description: 'Stable; match on this' }),
    instance: z.string().meta({ description: 'Path of the request' }),
    requestId: z.string().meta({ description: 'Names the request in the server log' }),
    errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
  })
  .meta({
    id: 'Problem',
    description: 'RFC 9457 problem',
  });
