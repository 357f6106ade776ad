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
    example: {
      type: 'urn:cuepoint:problem:video_not_found',
      title: 'There is no such video',
      status: 404,
      detail: 'No video has the id 0190f8a4-5a0e-7000-8000-000000000000.',
      code: 'video_not_found',
      instance: '/v1/videos/0190f8a4-5a0e-7000-8000-000000000000',
      requestId: 'req-7',
    },
  });
