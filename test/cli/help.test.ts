import { expect, test } from 'vitest';
import { run } from './processes.ts';

test.each([[['--help']], [['demo', '--help']]])('the words of cuepoint %j fit in 80 columns', async (args) => {
  const { status, stdout } = await run(args);
  expect(status).toBe(0);
  expect(stdout).toContain('Usage: cuepoint');
  expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([]);
});
