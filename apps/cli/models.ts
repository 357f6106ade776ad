import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Argument, type Command } from 'commander';
import type { Config } from '#config';
import { PROFILES, type ProfileName, type ResolvedProfile, resolveProfile } from '#models';
import { type Context, jsonOption } from './command.ts';
import { fetchModels } from './embedded/index.ts';
import { configWith } from './environment.ts';
import { bytes } from './format.ts';

const NAMES = Object.keys(PROFILES) as ProfileName[];

export function addModels(program: Command, run: (work: (context: Context) => Promise<void>) => Promise<void>): void {
  const models = program.command('models').description('the models on this machine');
  models
    .command('list')
    .description('profiles, their models, and where they are')
    .addOption(jsonOption())
    .action(() => run(list));
  models
    .command('pull')
    .description('fetch the models of a profile, for later or for a machine without a network')
    .addArgument(new Argument('[profile]', 'default: MODEL_PROFILE').choices(NAMES))
    .addOption(jsonOption())
    .action((profile: ProfileName | undefined) => run((context) => pull(profile, context)));
}

async function list({ terminal, signal }: Context): Promise<void> {
  const config = configWith({});
  for (const profile of NAMES) {
    const here = await localModels({ ...config.models, profile }, signal);
    const used = profile === config.models.profile;
    terminal.result(`${profile}${used ? '  (MODEL_PROFILE)' : ''}`);
    for (const part of ['clip', 'whisper'] as const) {
      const { id, folder } = here?.[part] ?? { id: PROFILES[profile][part], folder: undefined };
      const sizeBytes = folder === undefined ? undefined : await folderBytes(folder);
      const where = sizeBytes === undefined ? 'not here' : `${bytes(sizeBytes).padStart(7)}  ${folder}`;
      terminal.result(`  ${part.padEnd(8)} ${id.padEnd(42)} ${where}`);
      terminal.record({ type: 'model', profile, part, id, present: folder !== undefined, sizeBytes, folder });
    }
    if (!here) terminal.result(`  get them: cuepoint models pull ${profile}`);
  }
}

async function pull(profile: ProfileName | undefined, { terminal, signal }: Context): Promise<void> {
  const config = configWith({ MODEL_PROFILE: profile });
  terminal.line(`Models of \`${config.models.profile}\`, from ${config.models.hubUrl} where they are not here yet…`);
  const models = await fetchModels(config.models, terminal, { allowFallback: false, signal });
  for (const part of ['clip', 'whisper'] as const) {
    const { id, folder } = models[part];
    const sizeBytes = await folderBytes(folder);
    terminal.result(`${part.padEnd(8)} ${id.padEnd(42)} ${bytes(sizeBytes).padStart(7)}  ${folder}`);
    terminal.record({ type: 'model', profile: models.profile, part, id, present: true, sizeBytes, folder });
  }
}

/** A profile's models if they are all on this machine. */
export async function localModels(models: Config['models'], signal: AbortSignal): Promise<ResolvedProfile | undefined> {
  try {
    return await resolveProfile({ ...models, offline: true, allowFallback: false, signal });
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

/** Bytes under a folder, links followed: the hub cache links to its blobs. */
async function folderBytes(folder: string): Promise<number> {
  let sum = 0;
  for (const name of await readdir(folder, { recursive: true })) {
    const found = await stat(join(folder, name)).catch(() => undefined);
    if (found?.isFile()) sum += found.size;
  }
  return sum;
}
