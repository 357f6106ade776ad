import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ROOT, Running, temporaryFolder } from './processes.ts';

// A small checkout of its own, with the packages of this one: what is broken here is broken for nobody else.
const folder = temporaryFolder();
const inside = (...path: string[]) => join(folder.path, ...path);
const setUp = (env: Record<string, string> = {}) => Running.start([inside('bin', 'setup.mjs')], env);

beforeAll(async () => {
  for (const name of ['bin', 'libs/config', 'package.json', 'package-lock.json', 'tsconfig.json'])
    cpSync(join(ROOT, name), inside(name), { recursive: true });
  mkdirSync(inside('apps', 'cli'), { recursive: true });
  writeFileSync(
    inside('apps', 'cli', 'main.ts'),
    "import { VERSION } from '#config';\nprocess.stdout.write(VERSION);\n",
  );
  mkdirSync(inside('node_modules'));
  for (const name of readdirSync(join(ROOT, 'node_modules')))
    if (name !== '.cuepoint-setup') symlinkSync(join(ROOT, 'node_modules', name), inside('node_modules', name));
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

test('what was deleted from the build is built again', async () => {
  rmSync(inside('dist', 'libs', 'config', 'index.js'));
  expect((await setUp().ended()).stderr).toContain('built in');
  expect(existsSync(inside('dist', 'libs', 'config', 'index.js'))).toBe(true);
});

test('of two set-ups at once one works and the other waits, and both succeed', async () => {
  rmSync(inside('dist'), { recursive: true });
  const both = await Promise.all([setUp().ended(), setUp().ended()]);
  expect(both.map(({ status }) => status)).toEqual([0, 0]);
  expect(both.filter(({ stderr }) => stderr.includes('built in'))).toHaveLength(1);
});

test('a set-up that is stopped stops what it runs and leaves no lock', async () => {
  rmSync(inside('dist'), { recursive: true });
  const running = setUp();
  await running.says('building');
  running.signal('SIGTERM');
  expect((await running.ended()).status).toBe(143);
  expect(existsSync(inside('.setup-lock.tmp'))).toBe(false);
});

test('the lock of a set-up that was killed is taken over', async () => {
  rmSync(inside('dist'), { recursive: true, force: true });
  mkdirSync(inside('.setup-lock.tmp'));
  // No process has this id: it is above the largest that Linux gives out.
  writeFileSync(inside('.setup-lock.tmp', 'holder'), JSON.stringify({ pid: 2 ** 22 + 1, host: hostname() }));
  const { status, stderr } = await setUp().ended();
  expect(stderr).toContain('built in');
  expect(status).toBe(0);
});

test('a package that was deleted is installed again', async () => {
  rmSync(inside('node_modules', 'commander'));
  const { status, stderr } = await setUp({ PATH: programs({ npm: 'exit 1' }) }).ended();
  expect(stderr).toContain('installing packages (npm ci');
  expect(stderr).toContain('Packages could not be installed');
  expect(status).toBe(1);
  symlinkSync(join(ROOT, 'node_modules', 'commander'), inside('node_modules', 'commander'));
});

test('without ffmpeg and Redis, and no way to install them, set-up gives the command to type before it does anything else', async () => {
  rmSync(inside('node_modules', '.cuepoint-setup'));
  const { status, stderr } = await setUp({ PATH: programs({ 'apt-get': 'exit 100', sudo: 'exit 1' }) }).ended();
  expect(stderr).toMatch(
    /^ {2}(sudo )?apt-get update && .*apt-get install -y --no-install-recommends ffmpeg redis-server$/m,
  );
  expect(stderr).not.toContain('packages');
  expect(status).toBe(69);
  expect(existsSync(inside('.setup-lock.tmp'))).toBe(false);
});

test('a command that does not exist is a usage error', async () => {
  const { status, stderr } = await Running.start([join(ROOT, 'bin', 'run.mjs'), 'fly']).ended();
  expect(status).toBe(64);
  expect(stderr).toContain('usage:');
});

/** A PATH of these programs only: shell scripts. With `npm` among them, ffmpeg and Redis are there too. */
function programs(scripts: Record<string, string>): string {
  const path = inside(`path-${Object.keys(scripts).join('-')}`);
  mkdirSync(path);
  const empty = { ffmpeg: '', ffprobe: '', 'redis-server': '' };
  for (const [name, script] of Object.entries('npm' in scripts ? { ...empty, ...scripts } : scripts)) {
    writeFileSync(join(path, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(path, name), 0o755);
  }
  return path;
}
