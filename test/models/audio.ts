import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const rate = 16_000;
export interface Sentence {
  start: number;
  end: number;
  text: string;
}
const sample = join(import.meta.dirname, '../fixtures/sample');

/** What is said in the sample video, checked by its maker. Seconds. */
export function sampleSentences(): Sentence[] {
  return JSON.parse(readFileSync(join(sample, 'sample.json'), 'utf8')).sentences;
}
export function samplePcm(): Float32Array {
  return decode(join(sample, 'sample.mp4'));
}
export function decode(file: string): Float32Array {
  const args = ['-v', 'error', '-i', file, '-ar', String(rate), '-ac', '1', '-f', 'f32le', '-'];
  const bytes = execFileSync('ffmpeg', args, { maxBuffer: 2 ** 30 });
  return new Float32Array(Uint8Array.from(bytes).buffer);
}

/** The pieces of `pcm`, `size` samples each; copies, as a decoder gives them. */
export async function* pieces(pcm: Float32Array, size = 10 * rate): AsyncGenerator<Float32Array> {
  for (let i = 0; i < pcm.length; i += size) yield pcm.slice(i, i + size);
}
export function concat(...parts: Float32Array[]): Float32Array {
  const out = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
export const silence = (seconds: number) => new Float32Array(seconds * rate);

/** White noise with the loudness given, the same every time. */
export function noise(seconds: number, db: number, seed = 1): Float32Array {
  let state = seed;
  const scale = 10 ** (db / 20) * Math.sqrt(3);
  return Float32Array.from({ length: seconds * rate }, () => {
    state = Math.imul(state, 1_664_525) + 1_013_904_223;
    return (state / 2 ** 31) * scale;
  });
}
