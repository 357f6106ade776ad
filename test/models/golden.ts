import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

/** A packed file of test/models/golden (made by tools/goldens). */
export const goldenText = (file: string) =>
  gunzipSync(readFileSync(join(import.meta.dirname, 'golden', file))).toString();
export const golden = (file: string): unknown => JSON.parse(goldenText(file));
