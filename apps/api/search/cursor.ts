import { createHash } from 'node:crypto';
import { ProblemError } from '../problems.ts';
import type { SearchRequest } from '../schemas/index.ts';

/** Deeper than anyone pages; what comes after so many moments has little to do with the query. */
export const MAX_OFFSET = 1000;

/** Where the next page begins, bound to the request: all of it but `limit` and the cursor itself. */
export function toCursor(request: SearchRequest, offset: number): string {
  return Buffer.from(`${offset}.${fingerprint(request)}`).toString('base64url');
}

/** Moments before the page. Throws `cursor_invalid` for what this search did not give out. */
export function offsetOf(request: SearchRequest): number {
  if (request.cursor === undefined) return 0;
  const [number = '', print] = Buffer.from(request.cursor, 'base64url').toString().split('.');
  const offset = Number(number);
  const isOurs = /^\d{1,4}$/.test(number) && offset > 0 && offset <= MAX_OFFSET && print === fingerprint(request);
  if (!isOurs) throw new ProblemError('cursor_invalid', 'A cursor goes with the request that it came from.');
  return offset;
}

function fingerprint({ cursor: _, limit: __, ...rest }: SearchRequest): string {
  const sorted = (value: unknown): unknown =>
    value && typeof value === 'object' && !Array.isArray(value)
      ? Object.fromEntries(
          Object.entries(value)
            .sort(([a], [b]) => (a < b ? -1 : 1))
            .map(([key, one]) => [key, sorted(one)]),
        )
      : value;
  return createHash('sha256')
    .update(JSON.stringify(sorted(rest)))
    .digest('base64url')
    .slice(0, 22);
}
