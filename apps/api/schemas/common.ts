import { z } from 'zod';
import 'zod-openapi';
import { languageOf } from '#video';

export const EXAMPLE_VIDEO_ID = '0190f8a4-5a0e-7b63-9c1d-2f4a6b8c0d1e';

/** Path parameter of a video. What is no id at all is simply not found, so it is checked by the handlers, not here. */
export const videoIdParams = z.object({
  id: z.string().meta({ description: 'Id of the video', example: EXAMPLE_VIDEO_ID }),
});
export const webhookIdParams = z.object({ id: z.string().meta({ description: 'Id of the webhook' }) });
export const deliveryIdParams = webhookIdParams.extend({
  deliveryId: z.string().meta({ description: 'Id of the delivery: the `webhook-id` of its requests' }),
});

/** What people write, without the space around it. */
export const notEmpty = z.string().trim().min(1, 'must not be empty');

/** ISO 639-1 where there is such a code (`de` for `deu` and `ger`): so passages are kept, and compared. */
export const languageCode = z
  .string()
  .trim()
  .toLowerCase()
  .regex(/^[a-z]{2,3}$/, 'an ISO 639-1 code such as en')
  .overwrite((code) => (code.length === 3 && languageOf(code)) || code);
export const seconds = z.number().meta({ description: 'Seconds' });
export const dateTime = z.iso.datetime().meta({ description: 'RFC 3339 date and time, UTC' });
/** As clients give it: with any offset from UTC, as their languages write it. */
export const givenDateTime = z.iso
  .datetime({
    offset: true,
    error: 'must be a date and time such as 2025-11-23T16:00:00Z or 2025-11-23T17:00:00+01:00',
  })
  .max(40) // conversations keep it
  .meta({ description: 'RFC 3339 date and time' });

/** Either half of what a signed link carries. */
export const signedQuery = z.object({
  expires: z.string().optional().meta({ description: 'Unix time at which the link stops working' }),
  signature: z.string().optional().meta({ description: 'Stands in for the API key' }),
});

/** What the server itself sends requests to; which addresses it may reach is checked after DNS (`#net`). */
export const httpUrl = z.url({ protocol: /^https?$/, error: 'must be an http or https address' }).max(2048);
export const webhookSecret = z
  .string()
  .regex(/^whsec_[A-Za-z0-9+/]{32,88}={0,2}$/, 'must be whsec_ and the base64 of 24 to 64 bytes')
  .refine((text) => {
    const bytes = Buffer.from(text.slice('whsec_'.length), 'base64');
    return bytes.length >= 24 && bytes.length <= 64;
  }, 'must be whsec_ and the base64 of 24 to 64 bytes');
