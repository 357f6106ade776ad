import { type Config, loadConfig } from '#config';

export type Settings = Record<string, string | undefined>;

/** The environment as it is handed on to the processes we start. Settings are still read in #config only. */
// biome-ignore lint/style/noProcessEnv: child processes inherit it
export const inherited: Settings = process.env;

/** The configuration with some settings replaced (command line options). Undefined replaces nothing. */
export function configWith(settings: Settings): Config {
  return loadConfig({ ...inherited, ...given(settings) });
}

export function given(settings: Settings): Settings {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
}
