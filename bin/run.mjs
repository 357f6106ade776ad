// npm start | test | run demo | run bench | run eval: gets the checkout ready (bin/setup.mjs), then does what was asked under Node 24.
import { join } from 'node:path';
import { ROOT, setUpAndRun } from './setup.mjs';

const cli = join(ROOT, 'dist', 'apps', 'cli', 'main.js');
const commands = {
  up: [cli, 'up'],
  demo: [cli, 'demo'],
  test: [join(ROOT, 'node_modules', 'vitest', 'vitest.mjs'), 'run', '--root', ROOT],
  // Node 24 runs TypeScript as it is.
  bench: [join(ROOT, 'test', 'bench', 'main.ts')],
  eval: [join(ROOT, 'test', 'eval', 'main.ts')],
};
const [command, ...args] = process.argv.slice(2);
if (!Object.hasOwn(commands, command ?? '')) {
  process.stderr.write(`usage: node bin/run.mjs ${Object.keys(commands).join('|')} [arguments]\n`);
  process.exit(64);
}
await setUpAndRun([...commands[command], ...args]);
