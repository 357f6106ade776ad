import { fileURLToPath } from 'node:url';
import { type Command, Option } from 'commander';
import type { Terminal } from './terminal.ts';

/** What every command gets. */
export interface Context {
  terminal: Terminal;
  /** Aborts when the person wants it to end. */
  signal: AbortSignal;
}
/** Runs a command's work; main.ts has what it does with how that ends. */
export type Run = (work: (context: Context) => Promise<void>) => Promise<void>;

// Options that several commands share, with the environment variable that stands in for each.
export const jsonOption = () => new Option('--json', 'JSON lines on stdout, for programs');
export const dataDirOption = () =>
  new Option('--data-dir <folder>', 'folder of everything that is kept')
    .env('DATA_DIR')
    // One and the same from wherever it is called: `npm start` runs in the checkout, `cuepoint search` anywhere.
    .default(fileURLToPath(new URL('../../../.data', import.meta.url)), '.data of the checkout');
const apiOption = () =>
  new Option(
    '--api <url>',
    'address of a running api (default: the one `cuepoint up` runs, else one for the duration)',
  ).env('CUEPOINT_URL');
const keyOption = () => new Option('--key <key>', 'API key').env('CUEPOINT_KEY');
export const verboseOption = () => new Option('--verbose', 'show what api and worker log, not only warnings');

/** A command that asks an api: the options of `withApi` (session.ts), and `--json`. */
export const withApiOptions = (command: Command): Command =>
  command.addOption(dataDirOption()).addOption(apiOption()).addOption(keyOption()).addOption(jsonOption());
