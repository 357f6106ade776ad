import { mkdirSync, rmdirSync, symlinkSync } from 'node:fs';
import { userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { socketPath } from '../../apps/cli/embedded/sockets.ts';
import { tempDir } from '../fixtures/media.ts';

it('a data folder has one place for its sockets, whatever it is called and wherever temporary files go, and its path is short enough', async () => {
  await using temp = await tempDir();
  const deep = join(temp.path, 'ü'.repeat(60));
  mkdirSync(deep);
  const link = join(temp.path, 'link');
  symlinkSync(deep, link);
  vi.stubEnv('TMPDIR', deep);
  const path = socketPath(deep, 'up.sock');
  vi.unstubAllEnvs();
  const folder = dirname(path);
  // Looked at before it is removed.
  expect(folder).toMatch(new RegExp(`^/tmp/cuepoint-${userInfo().uid}-[0-9a-f]{16}$`));
  expect(socketPath(link, 'up.sock')).toBe(path);
  expect(Buffer.byteLength(path)).toBeLessThan(104);
  rmdirSync(folder); // empty, or it stays
});
