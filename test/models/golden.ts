import { cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

const goldens = join(import.meta.dirname, 'golden');

/** A packed file of test/models/golden (made by tools/goldens). */
export const goldenText = (file: string) => gunzipSync(readFileSync(join(goldens, file))).toString();
export const golden = (file: string): unknown => JSON.parse(goldenText(file));

/** A copy of a small random model under `scratch`, its tokenizer.json unpacked. */
export function goldenModel(name: string, scratch: string): string {
  const folder = mkdtempSync(join(scratch, `${name}-`));
  cpSync(join(goldens, name), folder, { recursive: true });
  writeFileSync(join(folder, 'tokenizer.json'), goldenText(`${name}/tokenizer.json.gz`));
  return folder;
}

/** The largest difference of two vectors’ numbers. */
export function difference(a: ArrayLike<number> | undefined, b: ArrayLike<number> | undefined): number {
  if (!a || !b || a.length !== b.length) return Infinity;
  return Array.from(a).reduce((worst, value, i) => Math.max(worst, Math.abs(value - (b[i] as number))), 0);
}
