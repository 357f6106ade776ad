import { createHash } from 'node:crypto';
import { ProblemError } from '../problems.ts';
import type { SearchRequest } from '../schemas/index.ts';

/** Deeper than anyone pages; what comes after so many moments has little to do with the query. */
export const MAX_OFFSET = 1000;
/** Results of a page that its cursor remembers, from the last one: as long as one of them is there, the next page begins after it. */
const REMEMBERED = 10;
/** Letters of a digest: 30 bits, among a thousand results. */
const MARK_LETTERS = 5;
const MARKS = new RegExp(`.{${MARK_LETTERS}}`, 'g');

/** Where a page begins in a list that may have changed since: videos come and go while people read. */
export interface Place {
  offset: number;
  /** Marks of what came before, the last one first. */
  shown: string[];
}

/** Where the next page begins, bound to the request: all of it but `limit` and the cursor itself. `shown`: keys of all results up to there. */
export function toCursor(request: SearchRequest, shown: string[]): string {
  const marks = shown.slice(-REMEMBERED).reverse().map(markOf);
  return Buffer.from(`${shown.length}.${fingerprint(request)}.${marks.join('')}`).toString('base64url');
}

/** Throws `cursor_invalid` for what this search did not give out. */
export function placeOf(request: SearchRequest): Place {
  if (request.cursor === undefined) return { offset: 0, shown: [] };
  const [number = '', print, marks = ''] = Buffer.from(request.cursor, 'base64url').toString().split('.');
  const offset = Number(number);
  const isOurs = /^\d{1,4}$/.test(number) && offset > 0 && offset <= MAX_OFFSET && print === fingerprint(request);
  if (!isOurs) throw new ProblemError('cursor_invalid', 'A cursor goes with the request that it came from.');
  return { offset, shown: marks.match(MARKS) ?? [] };
}

/** How many of the results, named by their keys, come before the page. */
export function countBefore({ offset, shown }: Place, keys: string[]): number {
  const marks = shown.length > 0 ? keys.map(markOf) : [];
  for (const mark of shown) {
    const at = marks.indexOf(mark);
    if (at >= 0) return at + 1;
  }
  return offset;
}

const markOf = (key: string): string => createHash('sha256').update(key).digest('base64url').slice(0, MARK_LETTERS);

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
