/** The embedded shape: our own Redis, api and worker as child processes of this one, which keeps them running. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { PROFILES, type ResolvedProfile } from '#models';
import { ApiClient, type ApiFile, apiFilePath } from '../client.ts';
import { configWith, given, inherited, type Settings } from '../environment.ts';
import { CliError } from '../errors.ts';
import type { Terminal } from '../terminal.ts';
import { DataDirLock } from './data-dir-lock.ts';
import { LogFile } from './log-file.ts';
import { logLine } from './log-line.ts';
import { fetchModels } from './models.ts';
import { portIsFree } from './ports.ts';
import { redisServer } from './redis-server.ts';
import { message, Service } from './service.ts';

export { fetchModels } from './models.ts';
export { portIsFree } from './ports.ts';
export { findProgram } from './redis-server.ts';
export { killAll } from './service.ts';
export { socketPath } from './sockets.ts';

export interface EmbeddedOptions {
  /** Name of the command, for whoever finds the data folder in use. */
  what: string;
  /** In place of the environment's. */
  settings: Settings;
  /** The port was asked for by name: being busy is an error then. */
  portRequired: boolean;
  verbose: boolean;
  terminal: Terminal;
  signal: AbortSignal;
}

const LOADING_PATIENCE_MS = 60_000;
const script = (app: string) => fileURLToPath(new URL(`../../${app}/main.js`, import.meta.url));

export class Embedded implements AsyncDisposable {
  url = '';
  models: ResolvedProfile | undefined;
  readonly dataDir: string;
  readonly #options: EmbeddedOptions;
  /** What was started, in order; ended in the opposite one. */
  readonly #started: { name: string; stop: () => Promise<void> }[] = [];
  private constructor(options: EmbeddedOptions, dataDir: string) {
    this.#options = options;
    this.dataDir = dataDir;
  }

  /** Resolves when the api listens and the worker takes jobs. What was begun is taken back when that fails. */
  static async start(options: EmbeddedOptions): Promise<Embedded> {
    const config = configWith(options.settings);
    if (!config.http.loopback && config.http.apiKeys.length === 0)
      throw new CliError(
        'keys_required',
        `On ${config.http.host} others can reach the api, so it needs keys: set API_KEYS=tenant=key, or leave --host out.`,
        78,
      );
    const embedded = new Embedded(options, config.dataDir);
    try {
      await embedded.#start();
      return embedded;
    } catch (error) {
      await embedded[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #start(): Promise<void> {
    const { settings, signal, terminal, what } = this.#options;
    const config = configWith(settings);
    makeDataDir(this.dataDir);
    const lock = await DataDirLock.take(this.dataDir, what);
    this.#started.push({ name: 'lock', stop: () => lock[Symbol.asyncDispose]() });

    // Models may take minutes to come, Redis a moment: at once.
    const fetching = fetchModels(config.models, terminal, { allowFallback: true, signal });
    fetching.catch(() => {});
    const redisUrl = config.redisUrl ?? (await this.#startRedis());
    const models = await fetching;
    this.models = models;
    for (const note of models.notes) terminal.line(terminal.style('yellow', `! ${note}`));
    if (models.fallbackReason) terminal.line(terminal.style('yellow', `! ${models.fallbackReason}`));
    signal.throwIfAborted();

    let port = config.http.port;
    if (port !== 0 && !(await portIsFree(config.http.host, port))) {
      if (this.#options.portRequired)
        throw new CliError('port_in_use', `Port ${port} of ${config.http.host} is in use by another program.`, 69);
      terminal.line(terminal.style('yellow', `! port ${port} is in use; taking a free one`));
      port = 0;
    }
    const base: Settings = {
      ...inherited,
      ...given(settings),
      DATA_DIR: this.dataDir,
      REDIS_URL: redisUrl,
      LOG_PRETTY: 'false',
      // Resolved once, here: api and worker can't end up with different models.
      MODEL_PROFILE: models.profile,
      ...(!models.vad && { VAD_MODEL: 'none' }),
      ...(!models.text && { TEXT_MODEL: 'none' }),
      // What fell back is not asked for again; a model named by its folder was had, and stays.
      ...(models.fallbackReason && {
        MODEL_FALLBACK_REASON: models.fallbackReason,
        ...(models.clip.id.startsWith(PROFILES.tiny.clip) && { CLIP_MODEL: '' }),
        ...(models.whisper.id.startsWith(PROFILES.tiny.whisper) && { WHISPER_MODEL: '' }),
      }),
    };
    const api = this.#service(
      'api',
      () => ({ ...base, PORT: String(port) }),
      async (child, over) => {
        const { url } = await message<{ type: 'listening'; url: string }>(child, 'listening', over);
        this.url = url.replace(/\/$/, '');
        // Started again, it keeps its address.
        port = Number(new URL(url).port) || port;
      },
    );
    const worker = this.#service(
      'worker',
      () => base,
      async (child, over) => {
        await message(child, 'ready', over);
      },
    );
    await withSignal(Promise.all([api.start(), worker.start()]), signal);
    await this.#loaded(signal);

    const file: ApiFile = { url: this.url, pid: process.pid };
    writeFileSync(apiFilePath(this.dataDir), JSON.stringify(file));
    this.#started.push({ name: 'api.json', stop: async () => rmSync(apiFilePath(this.dataDir), { force: true }) });
  }

  /** Waits until api and worker have loaded their models. One that can't goes on trying, and we go on without it, saying why. */
  async #loaded(signal: AbortSignal): Promise<void> {
    const client = new ApiClient(this.url);
    const patience = Date.now() + LOADING_PATIENCE_MS;
    try {
      for (;;) {
        // An api that has died meanwhile is being started again.
        const reasons = await client.notReadyReasons(signal).catch((error: Error) => [error.message]);
        signal.throwIfAborted();
        if (reasons.length === 0) return;
        if (Date.now() > patience) {
          this.#news(`not ready yet: ${reasons.join('; ')}`);
          return;
        }
        await sleep(100, undefined, { signal });
      }
    } finally {
      await client.close();
    }
  }

  async #startRedis(): Promise<string> {
    const log = new LogFile(join(this.dataDir, 'logs', 'redis.log'));
    const { service, url } = await redisServer(this.dataDir, {
      onLine: (line) => log.write(line),
      onNews: (text) => this.#news(text),
    });
    this.#started.push({ name: 'redis', stop: () => service.stop() });
    await service.start();
    return url;
  }

  #service(
    app: 'api' | 'worker',
    env: () => Settings,
    ready: (child: import('node:child_process').ChildProcess, signal: AbortSignal) => Promise<void>,
  ): Service {
    const { terminal, verbose } = this.#options;
    const log = new LogFile(join(this.dataDir, 'logs', `${app}.log`));
    const service = new Service({
      name: app,
      command: () => ({ file: process.execPath, args: ['--enable-source-maps', script(app)], env: env(), ipc: true }),
      ready,
      onLine: (line) => {
        log.write(line);
        const words = logLine(app, line, verbose ? 'info' : 'warn', terminal);
        if (words) terminal.line(words);
      },
      onNews: (text) => this.#news(text),
    });
    this.#started.push({ name: app, stop: () => service.stop() });
    return service;
  }

  #news(text: string): void {
    const { terminal } = this.#options;
    terminal.line(terminal.style('yellow', `! ${text}`));
  }

  /** Ends api and worker, then Redis, then lets go of the data folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    const late = this.#started.filter(({ name }) => name === 'api' || name === 'worker' || name === 'api.json');
    await Promise.all(late.map(({ stop }) => stop()));
    for (const name of ['redis', 'lock']) await this.#started.find((part) => part.name === name)?.stop();
    this.#started.length = 0;
  }
}

/** Throws CliError `data_dir_unusable` where nothing can be kept. */
function makeDataDir(dataDir: string): void {
  try {
    mkdirSync(dataDir, { recursive: true });
    // A folder that is there already may be on a file system that takes no writes, or someone else's.
    rmSync(mkdtempSync(join(dataDir, '.try-')), { recursive: true });
  } catch (error) {
    const why = existsSync(dataDir) && !statSync(dataDir).isDirectory() ? 'it is a file' : (error as Error).message;
    throw new CliError(
      'data_dir_unusable',
      `${dataDir} can't be used as the data folder: ${why}. Choose another with --data-dir or DATA_DIR.`,
      73,
    );
  }
}

/** The promise, or the signal's reason as soon as it aborts. */
function withSignal<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  promise.catch(() => {});
  return new Promise<T>((resolve, reject) => {
    signal.throwIfAborted();
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    promise.then(resolve, reject);
  });
}
