import { ProblemError } from '../problems.ts';

/** A search of 1000 videos for 200 labels is the largest request there is. A megabyte of small values took a second to be parsed and told what is wrong with each. */
const MAX_VALUES = 2_000;

/** Whether a JSON text is made of more values than any request of ours: commas and opening brackets outside of strings. */
export function hasTooManyValues(json: string): boolean {
  let count = 0;
  let isString = false;
  for (let at = 0; at < json.length && count <= MAX_VALUES; at++) {
    const letter = json[at];
    if (letter === '"') isString = !isString;
    else if (isString) at += letter === '\\' ? 1 : 0;
    else if (letter === ',' || letter === '[' || letter === '{') count++;
  }
  return count > MAX_VALUES;
}

export const tooManyValues = () => new ProblemError('request_invalid', `It has more than ${MAX_VALUES} values.`);

/** A field of a form as it came: @fastify/multipart parses one that calls itself application/json. Throws `multipart_invalid` for one that is nested too deep. */
export function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  try {
    return JSON.stringify(value);
  } catch (cause) {
    throw new ProblemError('multipart_invalid', 'A field of JSON is nested too deep.', { cause });
  }
}
