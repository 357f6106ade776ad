import { Command, CommanderError } from 'commander';
import { ConfigError, VERSION } from '#config';
import { addAsk } from './ask.ts';
import type { Context } from './command.ts';
import { addDemo } from './demo.ts';
import { addDoctor } from './doctor.ts';
import { CliError, problemOf } from './errors.ts';
import { addIndex } from './index-videos.ts';
import { Interrupted, interruption } from './interrupt.ts';
import { addLabels } from './labels.ts';
import { addModels } from './models.ts';
import { addReindex } from './reindex.ts';
import { addSearch } from './search.ts';
import { Terminal } from './terminal.ts';
import { addUp } from './up.ts';

const terminal = new Terminal(process.argv.includes('--json'));
// `… | head` closes its end when it has enough.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => process.exit(0));

/** Runs a command's work with signals heard, and turns how it ends into an exit status and readable words. */
async function run(work: (context: Context) => Promise<void>): Promise<void> {
  let status = 0;
  const signal = interruption(() => {
    terminal.close();
    terminal.line('\nStopping… (Ctrl-C again: at once)');
  });
  try {
    await work({ terminal, signal });
  } catch (error) {
    // What fails while all is being stopped fails because of that.
    status = explain(signal.aborted ? signal.reason : error);
  }
  terminal.close();
  process.exitCode ||= status;
  // Idle connections must not keep the command from ending.
  if (process.stdout.writableLength === 0) process.exit();
  process.stdout.end(() => process.exit());
}

function explain(thrown: unknown): number {
  const error = thrown instanceof SuppressedError ? thrown.suppressed : thrown;
  terminal.close();
  if (error instanceof Interrupted) return error.signal === 'SIGINT' ? 130 : 143;
  const problem = problemOf(error);
  terminal.line(`${terminal.style('red', `✗ ${problem.code}:`)} ${problem.message}`);
  terminal.record({ type: 'error', ...problem });
  if (error instanceof CliError) return error.exitStatus;
  if (error instanceof ConfigError) return 78;
  if (problem.code === 'internal' && error instanceof Error) terminal.line(error.stack ?? '');
  return 1;
}

const program = new Command('cuepoint')
  .description('Ask long videos anything; get the second it happens.')
  .version(VERSION)
  .showHelpAfterError('(cuepoint --help says what there is)')
  .configureHelp({ minWidthToWrap: 30 }) // what commands do, in 80 columns
  .configureOutput({ writeErr: (text) => process.stderr.write(text) })
  .exitOverride();
for (const add of [addUp, addIndex, addReindex, addSearch, addAsk, addLabels, addModels, addDoctor, addDemo])
  add(program, run);

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  // Help and version are no errors; what was typed wrongly is EX_USAGE.
  process.exitCode = error.exitCode === 0 ? 0 : 64;
}
