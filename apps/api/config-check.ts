import { type Config, ConfigError } from '#config';

/** Throws ConfigError for a configuration the api must not run with. */
export function checkConfig(config: Config): asserts config is Config & { redisUrl: string } {
  if (!config.http.loopback && config.http.apiKeys.length === 0) {
    throw new ConfigError(
      `HOST is ${config.http.host}: on an address that others can reach, API_KEYS must be set (tenant=key, separated by commas).`,
    );
  }
  if (!config.redisUrl) {
    throw new ConfigError('No Redis: start with `cuepoint up`, which runs its own, or set REDIS_URL.');
  }
}
