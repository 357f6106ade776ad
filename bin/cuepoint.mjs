#!/usr/bin/env node
// The `cuepoint` command: any Node ≥ 18 may start it; the work is done under Node 24.
import { join } from 'node:path';
import { ROOT, setUpAndRun } from './setup.mjs';

await setUpAndRun([join(ROOT, 'dist', 'apps', 'cli', 'main.js'), ...process.argv.slice(2)]);
