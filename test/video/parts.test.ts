import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { holdsSeveral, probe } from '#video';
import { ffmpeg, makeVideo, remux, tempDir } from '../fixtures/media.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
let video: string;
const at = (name: string) => join(dir.path, name);
beforeAll(async () => {
  dir = await tempDir();
  video = await makeVideo(dir.path, { seconds: 3, audio: 'tone' });
  await ffmpeg('-f', 'lavfi', '-i', 'sine=d=30:r=44100', '-c:a', 'libvorbis', at('long.ogg'));
  await ffmpeg('-f', 'lavfi', '-i', 'sine=d=10:r=48000', '-c:a', 'libvorbis', at('short.ogg'));
});
afterAll(() => dir[Symbol.asyncDispose]());

const several = async (path: string) => holdsSeveral(path, await probe(path));
async function joined(name: string, ...parts: (string | Buffer)[]): Promise<string> {
  const bytes = parts.map((part) => (typeof part === 'string' ? readFile(part) : part));
  await writeFile(at(name), Buffer.concat(await Promise.all(bytes)));
  return at(name);
}
const fragmented = ['-movflags', 'empty_moov+default_base_moof', '-frag_duration', '500000'];

describe('files joined with `cat` are noticed', () => {
  test.each([
    ['MP4', 'plain.mp4', []],
    ['fragmented MP4', 'fragments.mp4', fragmented],
    ['Matroska', 'plain.mkv', []],
    ['Matroska without sizes, as recorded live', 'live.mkv', ['-live', '1', '-f', 'matroska']],
  ])('%s', async (_, name, output) => {
    const part = await remux(video, at(name), ...output);
    expect(await several(part)).toBe(false);
    expect(await several(await joined(`twice-${name}`, part, part))).toBe(true);
  });

  test('WAV', async () => {
    await ffmpeg('-i', video, '-vn', at('part.wav'));
    expect(await several(at('part.wav'))).toBe(false);
    expect(await several(await joined('twice.wav', at('part.wav'), at('part.wav')))).toBe(true);
  });

  test('FLAC', async () => {
    await ffmpeg('-i', video, '-vn', at('part.flac'));
    expect(await several(at('part.flac'))).toBe(false);
    expect(await several(await joined('twice.flac', at('part.flac'), at('part.flac')))).toBe(true);
  });

  test('AAC, where its sample rate changes', async () => {
    await ffmpeg('-i', video, '-vn', '-ar', '48000', at('first.aac'));
    await ffmpeg('-i', video, '-vn', '-ar', '24000', at('second.aac'));
    expect(await several(await joined('same.aac', at('first.aac'), at('first.aac')))).toBe(false);
    expect(await several(await joined('rates.aac', at('first.aac'), at('second.aac')))).toBe(true);
  });

  test('Ogg, and its length is not that of its last part', async () => {
    expect(await several(at('long.ogg'))).toBe(false);
    const chain = await joined('chain.ogg', at('long.ogg'), at('short.ogg'));
    expect(await several(chain)).toBe(true);
    expect(Math.abs((await probe(chain)).durationMs - 30_000)).toBeLessThan(100);
  });
});

test('fragments of an MP4 that go back in time are noticed', async () => {
  const bytes = await readFile(await remux(video, at('once.mp4'), ...fragmented));
  const first = bytes.indexOf('moof') - 4;
  const second = bytes.indexOf('moof', first + 8) - 4;
  expect(await several(await joined('again.mp4', bytes, bytes.subarray(first, second)))).toBe(true);
});

test('what only looks like the beginning of another file is none', async () => {
  const live = await readFile(await remux(video, at('lone.mkv'), '-live', '1', '-f', 'matroska'));
  expect(await several(await joined('marked.mkv', live, Buffer.from('1a45dfa3', 'hex'), Buffer.alloc(200)))).toBe(
    false,
  );
});
