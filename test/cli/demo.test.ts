import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { ROOT, Running } from './processes.ts';

type Cited = { n: number; moment: { start: number; end: number } };

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

  // What the README shows of it.
  const blocks = readFileSync(join(ROOT, 'README.md'), 'utf8')
    .split('```')
    .filter((_, i) => i % 2 === 1);
  const printed =
    blocks
      .find((block) => block.startsWith('\n✓'))
      ?.trim()
      .split('\n') ?? [];
  expect(printed.length).toBeGreaterThan(0);
  for (const line of printed) expect(stderr).toContain(line);
  const [found, answer] = blocks.filter((block) => block.startsWith('json')).map((block) => JSON.parse(block.slice(4)));
  const { start, end } = found.moments[0];
  expect(queries.find(({ query }) => query === 'a red car while they count to twelve')?.hit).toMatchObject({
    start,
    end,
  });
  expect(answers.find(({ question }) => question === 'What is said after the rainbow?')).toMatchObject({
    answer: answer.answer,
    citations: answer.citations.map(({ n, moment }: Cited) => ({ n, start: moment.start, end: moment.end })),
  });
});
