import { fileURLToPath } from 'node:url';
import { Option } from 'commander';
import type { Terminal } from './terminal.ts';

/** What every command gets. */
export interface Context {
  terminal: Terminal;
  /** Aborts when the person wants it to end. */
  signal: AbortSignal;
}

// Options that several commands share, with the environment variable that stands in for each.
export const jsonOption = () => new Option('--json', 'JSON lines on stdout, for programs');
export const dataDirOption = () =>
  new Option('--data-dir <folder>', 'folder of everything that is kept')
    .env('DATA_DIR')
    // One and the same from wherever it is called: `npm start` runs in the checkout, `cuepoint search` anywhere.
    .default(fileURLToPath(new URL('../../../.data', import.meta.url)), '.data of the checkout');
export const apiOption = () =>
  new Option(
    '--api <url>',
    'address of a running api (default: the one `cuepoint up` runs, else one for the duration)',
  ).env('CUEPOINT_URL');
export const keyOption = () => new Option('--key <key>', 'API key').env('CUEPOINT_KEY');
export const verboseOption = () => new Option('--verbose', 'show what api and worker log, not only warnings');
