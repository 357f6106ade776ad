import { cpSync, mkdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ROOT, Running, temporaryFolder } from './processes.ts';

// A small checkout of its own, with the packages of this one: what is broken here is broken for nobody else.
const folder = temporaryFolder();
const inside = (...path: string[]) => join(folder.path, ...path);
const setUp = () => Running.start([inside('bin', 'setup.mjs')]);

beforeAll(async () => {
  for (const name of ['bin', 'libs/config', 'package.json', 'package-lock.json', 'tsconfig.json'])
    cpSync(join(ROOT, name), inside(name), { recursive: true });
  mkdirSync(inside('apps', 'cli'), { recursive: true });
  writeFileSync(
    inside('apps', 'cli', 'main.ts'),
    "import { VERSION } from '#config';\nprocess.stdout.write(VERSION);\n",
  );
  symlinkSync(join(ROOT, 'node_modules'), inside('node_modules'));
  const { status, stderr } = await setUp().ended();
  expect(stderr).toContain('built in');
  expect(status).toBe(0);
});
afterAll(() => folder[Symbol.asyncDispose]());

test('set-up of a checkout that is ready says nothing and takes under two seconds', async () => {
  const { status, stdout, stderr, tookMs } = await setUp().ended();
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '' });
  expect(tookMs).toBeLessThan(2_000);
});

test('a source that changed is built again', async () => {
  utimesSync(inside('libs', 'config', 'index.ts'), new Date(), new Date());
  expect((await setUp().ended()).stderr).toContain('built in');
  expect((await setUp().ended()).stderr).toBe('');
});

test('of two set-ups at once one works and the other waits, and both succeed', async () => {
  rmSync(inside('dist'), { recursive: true });
  const both = await Promise.all([setUp().ended(), setUp().ended()]);
  expect(both.map(({ status }) => status)).toEqual([0, 0]);
  expect(both.filter(({ stderr }) => stderr.includes('built in'))).toHaveLength(1);
});

test('the lock of a set-up that was killed is taken over', async () => {
  rmSync(inside('dist'), { recursive: true });
  mkdirSync(inside('.setup-lock.tmp'));
  // No process has this id: it is above the largest that Linux gives out.
  writeFileSync(inside('.setup-lock.tmp', 'holder'), JSON.stringify({ pid: 2 ** 22 + 1, host: hostname() }));
  const { status, stderr } = await setUp().ended();
  expect(stderr).toContain('built in');
  expect(status).toBe(0);
});

test('a command that does not exist is a usage error', async () => {
  const { status, stderr } = await Running.start([join(ROOT, 'bin', 'run.mjs'), 'fly']).ended();
  expect(status).toBe(64);
  expect(stderr).toContain('usage:');
});
