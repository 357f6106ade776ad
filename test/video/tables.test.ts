import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { probe } from '#video';
import { ffmpeg, makeVideo, tempDir } from '../fixtures/media.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
let first: string;
beforeAll(async () => {
  dir = await tempDir();
  first = await makeVideo(dir.path, { name: 'first.ts', seconds: 3, audio: 'tone' });
});
afterAll(() => dir[Symbol.asyncDispose]());

/** Does a recording move that goes on with the same, made anew with these options? */
async function moves(...output: string[]): Promise<boolean> {
  const [later, joined] = [join(dir.path, 'later.ts'), join(dir.path, 'joined.ts')];
  await ffmpeg('-i', first, '-map', '0', '-c', 'copy', '-output_ts_offset', '3', ...output, later);
  await writeFile(joined, Buffer.concat([await readFile(first), await readFile(later)]));
  return (await probe(joined)).moves ?? false;
}

describe('a transport stream goes on in tracks that are not read', () => {
  test.each([
    ['under other identifiers', ['-streamid', '0:0x300', '-streamid', '1:0x301']],
    ['in another channel', ['-mpegts_service_id', '7', '-mpegts_pmt_start_pid', '0x500', '-streamid', '0:0x300']],
    ['with sound in another codec', ['-c:a', 'ac3']],
    ['with sound in the place of the picture', ['-streamid', '0:0x101', '-streamid', '1:0x100']],
  ])('%s', async (_, output) => expect(await moves(...output)).toBe(true));

  test.each([
    ['the same in another channel', ['-mpegts_service_id', '7', '-mpegts_pmt_start_pid', '0x500']],
    ['one more sound', ['-map', '0:a', '-c:a:1', 'ac3']],
    ['no sound', ['-map', '-0:a']],
  ])('not where it goes on with %s', async (_, output) => expect(await moves(...output)).toBe(false));
});
