import { appendFile, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clockGoesBack } from '#video';
import { codecs, makeVideo, remux, tempDir } from '../fixtures/media.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
const at = (name: string) => join(dir.path, name);
beforeAll(async () => {
  dir = await tempDir();
});
afterAll(() => dir[Symbol.asyncDispose]());

const goesBack = (path: string, container: string) => clockGoesBack(path, { container, durationMs: 4000, startMs: 0 });
async function joined(name: string, ...parts: (string | Buffer)[]): Promise<string> {
  const bytes = parts.map((part) => (typeof part === 'string' ? readFile(part) : part));
  await writeFile(at(name), Buffer.concat(await Promise.all(bytes)));
  return at(name);
}

describe('recordings joined end to end are noticed', () => {
  test.each([
    ['transport stream', 'plain.ts', 'mpegts', []],
    ['transport stream of a camera', 'camera.m2ts', 'mpegts', ['-f', 'mpegts', '-mpegts_m2ts_mode', '1']],
    ['program stream', 'film.vob', 'mpeg', ['-f', 'vob']],
    ['program stream (MPEG-1)', 'film.mpg', 'mpeg', ['-f', 'mpeg']],
  ])('%s', async (_, name, container, output) => {
    const part = await makeVideo(dir.path, { name, audio: 'tone', codec: codecs.mpeg2, output });
    expect(await goesBack(part, container)).toBe(false);
    expect(await goesBack(await joined(`twice-${name}`, part, part), container)).toBe(true);
  });

  test('not where a clock goes on, leaps ahead or turns over, nor for rubbish in between', async () => {
    const first = await makeVideo(dir.path, { name: 'first.ts' });
    const later = await remux(first, at('later.ts'), '-output_ts_offset', '600');
    expect(await goesBack(await joined('leap.ts', first, later), 'mpegts')).toBe(false);
    expect(await goesBack(await joined('back.ts', later, first), 'mpegts')).toBe(true);
    const turning = await remux(first, at('turning.ts'), '-output_ts_offset', `${2 ** 33 / 90_000 - 3}`);
    expect(await goesBack(turning, 'mpegts')).toBe(false);
    // A packet with a reference of 20 hours, on its own
    const lone = Buffer.alloc(188, 0xff);
    lone.set([0x47, 0x01, 0x00, 0x20, 183, 0x10, 0xc0, 0, 0, 0, 0x7e, 0]);
    expect(await goesBack(await joined('lone.ts', first, lone, later), 'mpegts')).toBe(false);
    expect(await goesBack(await joined('rubbish.ts', first, Buffer.alloc(100_003, 0x47), later), 'mpegts')).toBe(false);
    expect(await goesBack(await joined('twice.mp4', first, first), 'mov')).toBe(false); // has an index
  });

  test('in a file of which only some places are read, by a short part at its end', async () => {
    const part = await makeVideo(dir.path, { name: 'end.ts' });
    const path = await joined('large.ts', part);
    await truncate(path, 2 ** 29);
    expect(await goesBack(path, 'mpegts')).toBe(false);
    await appendFile(path, await readFile(part));
    expect(await goesBack(path, 'mpegts')).toBe(true);
  });
});
