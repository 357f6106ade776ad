/**
 * `npm run bench -- [encoders] [ingest] [search] [upkeep] [--quick] [--minutes N] [--frames N] [--passages N] [--name NAME]`: the promises about speed
 * and memory, most as ratios, measured in one run on one machine: compare within one run only. Printed as a table, and written to bench/results/. Exits with 1 where a bar is missed.
 */
import { parseArgs } from 'node:util';
import { encoders } from './encoders.ts';
import { ingest } from './ingest.ts';
import { benchModels } from './models.ts';
import { product } from './product.ts';
import { kept, print, progress, type Row, save } from './report.ts';
import { search } from './search.ts';
import { upkeep } from './upkeep.ts';

const PARTS = ['encoders', 'ingest', 'search', 'upkeep'] as const;
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean' },
    minutes: { type: 'string' },
    frames: { type: 'string' },
    passages: { type: 'string' },
    name: { type: 'string' },
  },
});
const wanted = positionals.length > 0 ? positionals : [...PARTS];
const unknown = wanted.find((part) => !(PARTS as readonly string[]).includes(part));
const quick = values.quick ?? false;
const minutes = Number(values.minutes ?? (quick ? 2 : 10));
/** Of the library that is searched; a video of it has a passage for each five frames. */
const frames = Number(values.frames ?? (quick ? 10_000 : 100_000));
const passages = Number(values.passages ?? Math.round(frames / 5));
const isCount = (value: number) => Number.isSafeInteger(value) && value > 0;
if (unknown || !(minutes > 0) || !isCount(frames) || !isCount(passages)) {
  const options = '[--quick] [--minutes N] [--frames N] [--passages N] [--name NAME]';
  process.stderr.write(`usage: npm run bench -- [${PARTS.join('] [')}] ${options}\n`);
  process.exit(64);
}

const models = await benchModels();
const rows: Row[] = [];
const name = values.name ?? `${wanted.join('-')}-${new Date().toISOString().slice(0, 19).replaceAll(':', '-')}`;
let file = '';
/** Shown as soon as it is measured. */
async function measure(part: Promise<Row[]>): Promise<void> {
  const measured = await part;
  progress('');
  print(measured);
  rows.push(...measured);
  file = await save(name, rows, models.name); // each time: a part that fails later loses nothing
}
if (wanted.includes('encoders')) {
  await measure(
    encoders(models, quick ? { rounds: 1, images: 16, windows: 2 } : { rounds: 3, images: 64, windows: 8 }),
  );
}
if (wanted.includes('ingest')) {
  await measure(ingest(models, { minutes, rounds: quick ? 1 : 2 }));
  await measure(product(quick ? 10 : 60));
}
if (wanted.includes('search')) {
  await measure(
    search(models, { frames, passages, ...(quick ? { requests: 40, seconds: 3 } : { requests: 300, seconds: 15 }) }),
  );
}
if (wanted.includes('upkeep')) await measure(upkeep(quick ? 100 : 1000));

console.log(`\nModels: ${models.name}\nWritten to ${file}`);
const missed = rows.filter((row) => !kept(row)).length;
if (missed > 0) console.log(`${missed} missed`);
process.exitCode = missed > 0 ? 1 : 0;
