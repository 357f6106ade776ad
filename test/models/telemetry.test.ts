import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { tempDir } from '../fixtures/media.ts';

const root = join(import.meta.dirname, '../..');
const OPEN_AND_ENCODE = `
  import { openClip } from '#models';
  await using clip = await openClip('models/tiny/clip', { id: 'tiny', device: 'cpu', towers: 'text' });
  await clip.encodeTexts(['a red car']);
`;

it('onnxruntime keeps no device id and no log of what it would report', async () => {
  await using home = await tempDir();
  // As a user's shell has it: in CI, onnxruntime is silent by itself.
  const env = { PATH: process.env.PATH, HOME: home.path, TMPDIR: home.path, XDG_CACHE_HOME: home.path };
  const args = ['--input-type=module', '-e', OPEN_AND_ENCODE];
  await promisify(execFile)(process.execPath, args, { cwd: root, env });
  expect(readdirSync(home.path)).toEqual([]);
});
