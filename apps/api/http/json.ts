import { ProblemError } from '../problems.ts';

/** A search of 1000 videos for 200 labels is the largest request there is. A megabyte of wrong values took a second to tell them all. */
const MAX_VALUES = 2_000;

/** Whether a JSON value is made of more values than any request of ours. Counts no further than that. */
export function hasTooManyValues(json: unknown): boolean {
  const open = [json];
  for (let count = 0; open.length > 0; count++) {
    if (count > MAX_VALUES) return true;
    const next = open.pop();
    if (typeof next !== 'object' || next === null) continue;
    const values = Object.values(next);
    if (values.length > MAX_VALUES) return true;
    open.push(...values);
  }
  return false;
}

export const tooManyValues = () => new ProblemError('request_invalid', `It has more than ${MAX_VALUES} values.`);
