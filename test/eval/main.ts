/** `npm run eval`: how well the product finds what it is asked for, measured through its HTTP API as a user's client meets it. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Dataset, FORMATS, type Format, readDataset, readSample } from './datasets.ts';
import type { Stretch } from './metrics.ts';
import { CACHE, cacheName, Product } from './product.ts';
import { type Asked, byKind, type Figures, latencies, ofAbsent } from './report.ts';

const HELP = `usage: npm run eval [-- <folder or annotation file>] [options]

Without a folder: the sample. A folder has videos and a .jsonl file, one question a line:
  {"video": "a.mp4", "query": "a red car", "spans": [[12.5, 18]], "kind": "seen"}
Lines of one query are one question, asked over all videos; "spans": [] is a question that nothing answers.
tools/library makes such a folder.

  --format <name>     jsonl (default), qvhighlights or charades
  --videos <folder>   where the videos are, if not beside the annotation file
  --compare <a=b>     also with another setting: a field of the search request (limit=20, modalities=["frames"])
                      or a variable of the environment (FRAME_INTERVAL_SECONDS=2); may be given more than once
  --set <a=b>         the same for all runs
  --first <n>         only the first questions
  --alone             also each modality alone
  --json              figures as JSON on standard output
  --out <file>        every question with what was found, as JSON
  --fresh             index again, what was kept of earlier runs or not
`;
const SAMPLE = new URL('../fixtures/sample/', import.meta.url).pathname;
/** Most that is looked at in a list of results. */
const LIMIT = 10;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    format: { type: 'string', default: 'jsonl' },
    videos: { type: 'string' },
    compare: { type: 'string', multiple: true, default: [] },
    set: { type: 'string', multiple: true, default: [] },
    first: { type: 'string' },
    alone: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    out: { type: 'string' },
    fresh: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

interface Setting {
  name: string;
  /** Of the environment of the product. */
  env: Record<string, string>;
  /** Of each search request. */
  body: Record<string, unknown>;
}

/** `NAME=text` is of the environment, `name=json` of the request. */
function setting(texts: string[]): Setting {
  const made: Setting = { name: texts.join(' ') || 'defaults', env: {}, body: {} };
  for (const text of texts) {
    const [, name = '', value = ''] = /^([A-Za-z]\w*)=(.*)$/s.exec(text) ?? [];
    if (!name) throw new Error(`“${text}” is not name=value.`);
    if (name === name.toUpperCase()) made.env[name] = value;
    else made.body[name] = JSON.parse(value);
  }
  return made;
}

async function evaluate(dataset: Dataset, { env, body }: Setting): Promise<Asked[]> {
  const settings = { MODEL_PROFILE: 'tiny', LOG_LEVEL: 'error', ...env };
  const dataDir = join(CACHE, cacheName(dataset.name, ...Object.entries(settings).flat()));
  if (values.fresh) await (await import('node:fs/promises')).rm(dataDir, { recursive: true, force: true });
  await using product = await Product.start(dataDir, settings);
  const ids = await product.index(dataset.videos, say);
  const names = new Map([...ids].map(([name, id]) => [id, name]));
  const asked: Asked[] = [];
  for (const question of dataset.questions) {
    const within = question.within === undefined ? undefined : [ids.get(question.within)];
    const startedAt = performance.now();
    const { moments, steps } = await product.search({
      query: question.query,
      limit: LIMIT,
      ...(within && { videoIds: within }),
      ...body,
    });
    asked.push({
      question,
      found: moments.map(
        ({ videoId, start, end }): Stretch => ({ video: names.get(videoId) ?? '', span: [start, end] }),
      ),
      confidence: Math.max(0, ...moments.map(({ confidence }) => confidence)),
      latencyMs: performance.now() - startedAt,
      steps: steps ?? {},
    });
    if (asked.length % 20 === 0) say(`${asked.length} of ${dataset.questions.length} questions asked`);
  }
  say('');
  return asked;
}

function say(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

function table(title: string, rows: Record<string, object>): void {
  const names = [...new Set(Object.values(rows).flatMap((row) => Object.keys(row)))];
  const cell = (value: unknown) =>
    typeof value !== 'number'
      ? String(value ?? '')
      : Number.isNaN(value)
        ? '–'
        : String(Math.round(value * 1000) / 1000);
  const lines = [
    ['', ...names],
    ...Object.entries(rows).map(([name, row]) => [
      name,
      ...names.map((key) => cell((row as Record<string, unknown>)[key])),
    ]),
  ];
  const widths = lines[0]?.map((_, i) => Math.max(...lines.map((line) => line[i]?.length ?? 0))) ?? [];
  console.log(`\n${title}`);
  for (const line of lines) {
    console.log(
      line.map((text, i) => (i === 0 ? text.padEnd(widths[i] ?? 0) : text.padStart(widths[i] ?? 0))).join('  '),
    );
  }
}

/** What the defaults promise on a library of tools/library with the tiny models. */
function promises(kinds: Record<string, Figures>, absent: Record<string, { AUROC: number }>) {
  const single = kinds['single facts'];
  const all = absent.all;
  if (!single || !all) return [];
  return [
    { promise: 'single facts seen or said: recall at 5 (IoU .5) of .85', ok: single['R@5 .5'] >= 0.85 },
    { promise: 'single facts: mean error of the start under 1.5 s', ok: single['start err mean'] < 1.5 },
    { promise: 'present against absent: AUROC of .9', ok: all.AUROC >= 0.9 },
  ];
}

async function main(): Promise<void> {
  if (values.help) {
    console.log(HELP);
    return;
  }
  const [path] = positionals;
  if (!FORMATS.includes(values.format as Format)) throw new Error(`--format is one of ${FORMATS.join(', ')}.`);
  const dataset = path ? await readDataset(values.format as Format, path, values.videos) : await readSample(SAMPLE);
  if (values.first) dataset.questions.length = Math.min(dataset.questions.length, Number(values.first));
  const settings = [setting(values.set), ...values.compare.map((text) => setting([...values.set, text]))];
  if (values.alone) {
    for (const modality of ['frames', 'passages']) {
      settings.push(setting([...values.set, `modalities=["${modality}"]`]));
    }
  }
  const runs = [];
  for (const one of settings) {
    const asked = await evaluate(dataset, one);
    runs.push({ name: one.name, asked, kinds: byKind(asked), absent: ofAbsent(asked), latency: latencies(asked) });
  }
  const results = runs.map(({ asked: _, ...rest }) => rest);
  const checks = path && runs[0] ? promises(runs[0].kinds, runs[0].absent) : [];
  if (values.out) {
    await mkdir(join(values.out, '..'), { recursive: true });
    await writeFile(values.out, JSON.stringify(runs, null, 1));
  }
  if (values.json) {
    console.log(JSON.stringify({ dataset: dataset.name, leftOut: dataset.leftOut, runs: results, checks }, null, 2));
  } else {
    console.log(`${dataset.name}: ${dataset.videos.size} videos, ${dataset.questions.length} questions`);
    if (dataset.leftOut) console.log(`left out, as their videos are not there: ${dataset.leftOut} questions`);
    for (const { name, kinds, absent, latency } of results) {
      table(`${name}: questions that have an answer`, kinds);
      if (Object.keys(absent).length) table(`${name}: questions that have none`, absent);
      table(`${name}: milliseconds`, latency);
    }
    if (results.length > 1) {
      const last = (kinds: Record<string, Figures>) => kinds.all ?? (Object.values(kinds)[0] as Figures);
      table('Side by side, all questions', Object.fromEntries(results.map(({ name, kinds }) => [name, last(kinds)])));
    }
    for (const { promise, ok } of checks) console.log(`${ok ? 'ok  ' : 'MISS'} ${promise}`);
  }
  if (checks.some(({ ok }) => !ok)) process.exitCode = 1;
}

try {
  await main();
} catch (error) {
  console.error(`eval: ${(error as Error).message}`);
  process.exitCode = 1;
}
