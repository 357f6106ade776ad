/** The api as a process. `cuepoint up` starts it with an IPC channel and waits for `{type:'listening', url}`. */
import { ConfigError, loadConfig } from '#config';
import { checkConfig } from './config-check.ts';

/** sysexits(3): the configuration is wrong; starting again will not help. */
const EX_CONFIG = 78;
const GRACE_MS = 10_000;

try {
  const config = loadConfig();
  checkConfig(config);
  // Only now: what is wrong with the configuration is told at once, and the rest takes a second to load.
  const { createApp } = await import('./app.ts');
  const { useScratchFolder } = await import('#store');
  await useScratchFolder();
  const api = await createApp(config);
  api.log.info({ url: api.url }, 'listening');
  process.send?.({ type: 'listening', url: api.url });

  let ending = false;
  const end = async (why: string) => {
    if (ending) return;
    ending = true;
    api.log.info({ why }, 'shutting down');
    setTimeout(() => process.exit(1), GRACE_MS + 5_000).unref();
    await api.close(GRACE_MS).catch((error) => api.log.error({ err: error }, 'shutting down went wrong'));
    process.exit(0);
  };
  process.on('SIGTERM', () => end('SIGTERM'));
  process.on('SIGINT', () => end('SIGINT'));
  // The supervisor is gone, kill -9 included: nobody is left who would end this process.
  process.on('disconnect', () => end('the parent process is gone'));
  if (process.send && !process.connected) void end('the parent process is gone');
} catch (error) {
  const wrong = error instanceof ConfigError;
  process.stderr.write(`cuepoint api: ${wrong ? error.message : (error as Error).stack}\n`);
  process.exit(wrong ? EX_CONFIG : 1);
}
