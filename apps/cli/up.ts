import { relative } from 'node:path';
import { type Command, Option } from 'commander';
import { type Context, dataDirOption, jsonOption, type Run, verboseOption } from './command.ts';
import { Embedded } from './embedded/index.ts';
import { inherited } from './environment.ts';
import { aborted } from './interrupt.ts';

interface UpOptions {
  port: string;
  host: string;
  dataDir: string;
  verbose?: boolean;
}

export function addUp(program: Command, run: Run): void {
  const command = program.command('up').description('run everything on this machine: Redis, api and worker');
  command
    .addOption(new Option('--port <number>', 'port of the api (default: 8080, or a free one)').env('PORT'))
    .addOption(new Option('--host <address>', 'address the api listens on').env('HOST').default('127.0.0.1'))
    .addOption(dataDirOption())
    .addOption(verboseOption())
    .addOption(jsonOption())
    .action((options: UpOptions) => run((context) => up(options, context)));
}

async function up(options: UpOptions, { terminal, signal }: Context): Promise<void> {
  const started = Date.now();
  terminal.line('Starting…');
  await using embedded = await Embedded.start({
    what: 'up',
    settings: { HOST: options.host, PORT: options.port, DATA_DIR: options.dataDir },
    portRequired: options.port !== undefined,
    verbose: options.verbose ?? false,
    terminal,
    signal,
  });
  const { url, dataDir, models } = embedded;
  const bold = (text: string) => terminal.style('bold', text);
  const folder = relative('.', dataDir);
  const auth = inherited.API_KEYS ? " -H 'authorization: Bearer YOUR_KEY'" : '';
  terminal.line(`
${bold('Cuepoint is ready')} after ${((Date.now() - started) / 1000).toFixed(1)} s

  api      ${bold(url)}
  docs     ${url}/docs
  data     ${folder && !folder.startsWith('..') ? `./${folder}` : dataDir}
  models   ${models?.profile}${models?.fallbackReason ? ' (in place of the one asked for, see above)' : ''}

  curl${auth} -F file=@video.mp4 ${url}/v1/videos
  curl${auth} -H 'content-type: application/json' -d '{"query":"a person waves"}' ${url}/v1/search

Ctrl-C stops it.`);
  terminal.record({
    type: 'ready',
    url,
    docs: `${url}/docs`,
    dataDir,
    profile: models?.profile,
    fallbackReason: models?.fallbackReason,
    pid: process.pid,
  });
  await aborted(signal);
}
