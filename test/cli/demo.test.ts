import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { ROOT, Running } from './processes.ts';

// A safety net for a busy machine; an idle one takes 20 s.
vi.setConfig({ testTimeout: 180_000 });

test('the demo finds what the sample shows and says, hears its webhook, and prints JSON lines only', async () => {
  const { status, records, stderr } = await Running.start([
    join(ROOT, 'bin', 'run.mjs'),
    'demo',
    '--exit',
    '--json',
  ]).ended();
  const queries = records.filter(({ type }) => type === 'query');
  expect(queries.length, stderr).toBeGreaterThanOrEqual(8);
  expect(queries.filter(({ ok }) => !ok)).toEqual([]);
  const answers = records.filter(({ type }) => type === 'answer');
  expect(answers.length).toBeGreaterThanOrEqual(4);
  expect(answers.filter(({ ok }) => !ok)).toEqual([]);
  expect(records).toContainEqual({ type: 'webhook', event: 'video.ready', signatureValid: true });
  expect(records.at(-1)).toMatchObject({ type: 'summary', passed: queries.length + answers.length + 1, failed: 0 });
  expect(records.at(-1)?.realtimeFactor).toBeGreaterThan(1);
  expect(status).toBe(0);
});
