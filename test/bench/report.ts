/** A measured line of the table, and how the table is printed and kept. */
import { mkdir, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { join } from 'node:path';

export const ROOT = new URL('../../', import.meta.url).pathname;

export interface Row {
  part: string;
  measure: string;
  value: number;
  unit: string;
  /** What is promised: at least or at most so much. */
  bar?: { atLeast: number } | { atMost: number };
  /** What was compared, how often. */
  note?: string;
}

export function kept({ value, bar }: Row): boolean {
  if (!bar) return true;
  return 'atLeast' in bar ? value >= bar.atLeast : value <= bar.atMost;
}

/** Shows what is going on, on one line that the next one replaces; a line each where output is no terminal. */
export function progress(text: string): void {
  process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${text}` : `${text}\n`);
}

export function print(rows: Row[]): void {
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  const lines = rows.map((row) => {
    const { part, measure, value, unit, bar, note } = row;
    const promise = !bar ? '' : 'atLeast' in bar ? `>= ${bar.atLeast}` : `<= ${bar.atMost}`;
    return [part, measure, `${digits(value)} ${unit}`, promise, !bar ? '' : kept(row) ? 'ok' : 'MISS', note ?? ''];
  });
  const table = [['part', 'measure', 'value', 'bar', '', ''], ...lines];
  const widths = table[0]?.map((_, column) => Math.max(...table.map((line) => (line[column] ?? '').length))) ?? [];
  for (const line of table)
    console.log(
      line
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    );
}

const digits = (value: number) => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : 2));

/** Writes bench/results/<name>.json; the path. */
export async function save(name: string, rows: Row[], models: string): Promise<string> {
  const folder = join(ROOT, 'bench/results');
  await mkdir(folder, { recursive: true });
  const file = join(folder, `${name}.json`);
  const [cpu] = cpus();
  const machine = {
    cpu: cpu?.model,
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 2 ** 30),
    platform: `${process.platform} ${process.arch}`,
    node: process.version,
  };
  const results = rows.map((row) => ({ ...row, ...(row.bar ? { kept: kept(row) } : {}) }));
  await writeFile(file, `${JSON.stringify({ date: new Date().toISOString(), machine, models, results }, null, 2)}\n`);
  return file;
}

export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}
