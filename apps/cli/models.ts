import { Argument, type Command } from 'commander';
import type { Config } from '#config';
import { inspectProfile, PARTS, type PartState, PROFILES, type ProfileName, removeBroken, tryModels } from '#models';
import { type Context, jsonOption, type Run } from './command.ts';
import { fetchModels } from './embedded/index.ts';
import { configWith } from './environment.ts';
import { bytes } from './format.ts';
import { bench } from './models-bench.ts';

const NAMES = Object.keys(PROFILES) as ProfileName[];

export function addModels(program: Command, run: Run): void {
  const models = program.command('models').description('the models on this machine');
  const add = (
    name: string,
    description: string,
    act: (profile: ProfileName | undefined, context: Context) => Promise<void>,
  ) =>
    models
      .command(name)
      .description(description)
      .addArgument(new Argument('[profile]', 'default: MODEL_PROFILE').choices(NAMES))
      .addOption(jsonOption())
      .action((profile: ProfileName | undefined) => run((context) => act(profile, context)));
  models
    .command('list')
    .description('profiles, the models they need, where those are, and whether they are whole')
    .addOption(jsonOption())
    .action(() => run(list));
  add('pull', 'fetch the models of a profile, go on with what was interrupted, and replace what is broken', pull);
  add('verify', 'check every file of every model in use, open them and run them once', verify);
  add('bench', 'load the models of a profile and measure them on this machine, in half a minute', bench);
}

/** A profile's settings: a model named in place of the profile's own counts for the one in use. */
function settingsOf(config: Config, profile: ProfileName, signal: AbortSignal) {
  const named =
    profile === config.models.profile ? {} : { clip: undefined, whisper: undefined, vad: undefined, text: undefined };
  return { ...config.models, ...named, profile, allowFallback: false, signal };
}

async function list({ terminal, signal }: Context): Promise<void> {
  const config = configWith({});
  for (const profile of NAMES) {
    const parts = await inspectProfile(settingsOf(config, profile, signal));
    terminal.result(`${profile}${profile === config.models.profile ? '  (MODEL_PROFILE)' : ''}`);
    for (const { part, name, state, folder, files, sizeBytes, begunBytes, optional } of parts) {
      const begun = begunBytes > 0 ? `, ${bytes(begunBytes)} fetched so far` : '';
      const broken = files.find(({ problem }) => problem);
      const where =
        state === 'not here'
          ? `not here${begun}${optional ? ' (optional)' : ''}`
          : `${bytes(sizeBytes).padStart(7)}  ${folder}${broken ? `: ${broken.file} ${broken.problem}` : ''}${begun}`;
      terminal.result(`  ${part.padEnd(8)} ${name.padEnd(42)} ${where}`);
      terminal.record({
        type: 'model',
        profile,
        part,
        id: name,
        optional,
        state,
        sizeBytes,
        begunBytes,
        folder,
        files,
      });
    }
    if (parts.some(({ state }) => state !== 'here')) terminal.result(`  get them: cuepoint models pull ${profile}`);
  }
}

async function pull(profile: ProfileName | undefined, { terminal, signal }: Context): Promise<void> {
  const config = configWith({ MODEL_PROFILE: profile });
  const settings = settingsOf(config, config.models.profile, signal);
  for (const { name } of await inspectProfile(settings)) {
    for (const file of await removeBroken(name, settings.cacheDir, signal))
      terminal.line(terminal.style('yellow', `! ${name}: ${file} was broken and is fetched again`));
  }
  terminal.line(`Models of \`${settings.profile}\`, from ${settings.hubUrl} where they are not here yet…`);
  const models = await fetchModels(config.models, terminal, { allowFallback: false, signal });
  for (const note of models.notes) terminal.line(terminal.style('yellow', `! ${note}`));
  for (const { part, sizeBytes, folder } of await inspectProfile(settings)) {
    const found = models[part];
    if (!found) continue;
    terminal.result(`${part.padEnd(8)} ${found.id.padEnd(42)} ${bytes(sizeBytes).padStart(7)}  ${folder}`);
    terminal.record({ type: 'model', profile: models.profile, part, id: found.id, state: 'here', sizeBytes, folder });
  }
}

async function verify(profile: ProfileName | undefined, { terminal, signal }: Context): Promise<void> {
  const config = configWith({ MODEL_PROFILE: profile });
  const settings = settingsOf(config, config.models.profile, signal);
  let failed = 0;
  const say = (ok: boolean, part: string, text: string) =>
    terminal.result(`${terminal.style(ok ? 'green' : 'red', ok ? '✓' : '✗')} ${part.padEnd(8)} ${text}`);
  const states = await inspectProfile(settings, { thoroughly: true });
  for (const state of states) {
    const { part, name, optional, files } = state;
    const broken = files.filter(({ problem }) => problem);
    terminal.record({ type: 'model', profile: settings.profile, ...state });
    if (state.state === 'not here') {
      if (!optional) failed++;
      say(
        optional,
        part,
        `${name} is not on this machine${optional ? ', and optional' : ''}: cuepoint models pull ${settings.profile}`,
      );
    }
    for (const { file, problem } of broken) say(false, part, `${file} in ${state.folder} ${problem}`);
    failed += broken.length;
    if (state.state === 'here') say(true, part, `${name}: ${filesWords(state)}`);
  }
  // What is known to be broken is not loaded.
  const parts = PARTS.filter((part) => states.some((state) => state.part === part && state.state === 'here'));
  const { device, threads } = config.models;
  for (const { part, problem, tookMs } of await tryModels({ ...settings, parts }, { device, threads })) {
    terminal.record({
      type: 'trial',
      profile: settings.profile,
      part,
      ok: !problem,
      tookMs,
      ...(problem && { problem }),
    });
    say(
      !problem,
      part,
      problem ? `${problem.message} (${problem.code})` : `opens and runs (${(tookMs / 1000).toFixed(1)} s)`,
    );
    if (problem) failed++;
  }
  terminal.record({ type: 'summary', ok: failed === 0, failed });
  if (failed) process.exitCode = 1;
}

function filesWords({ files, sizeBytes }: PartState): string {
  const checked = files.filter(({ checksum }) => checksum === 'right').length;
  const how =
    checked === files.length ? 'all as fetched' : checked ? `${checked} as fetched` : 'no checksums to compare with';
  return `${files.length} files, ${bytes(sizeBytes)}, ${how}`;
}
