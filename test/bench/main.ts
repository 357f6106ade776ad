/**
 * `npm run bench -- [encoders] [ingest] [search] [--quick] [--minutes N] [--name NAME]`: the promises about speed and memory as ratios, measured in
 * one run on one machine: compare within one run only. Printed as a table, and written to bench/results/. Exits with 1 where a bar is missed.
 */
import { parseArgs } from 'node:util';
import { encoders } from './encoders.ts';
import { ingest } from './ingest.ts';
import { benchModels } from './models.ts';
import { product } from './product.ts';
import { kept, print, progress, type Row, save } from './report.ts';
import { search } from './search.ts';

const PARTS = ['encoders', 'ingest', 'search'] as const;
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean' }, minutes: { type: 'string' }, name: { type: 'string' } },
});
const wanted = positionals.length > 0 ? positionals : [...PARTS];
const unknown = wanted.find((part) => !(PARTS as readonly string[]).includes(part));
if (unknown) {
  process.stderr.write(`usage: npm run bench -- [${PARTS.join('] [')}] [--quick] [--minutes N] [--name NAME]\n`);
  process.exit(64);
}
const quick = values.quick ?? false;
const minutes = Number(values.minutes ?? (quick ? 2 : 10));

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
if (wanted.includes('search')) await measure(search(quick ? 10_000 : 100_000));

console.log(`\nModels: ${models.name}\nWritten to ${file}`);
const missed = rows.filter((row) => !kept(row)).length;
if (missed > 0) console.log(`${missed} missed`);
process.exitCode = missed > 0 ? 1 : 0;
