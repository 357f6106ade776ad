import { ApiClient, findRunningApi } from './client.ts';
import type { Context } from './command.ts';
import { Embedded } from './embedded/index.ts';
import { configWith } from './environment.ts';
import { CliError } from './errors.ts';

export interface SessionOptions {
  api?: string;
  key?: string;
  dataDir: string;
}

/** Calls `work` with an api: the one named, the one that runs on the data folder, or an embedded one that lives as long as the work. */
export async function withApi(
  what: string,
  options: SessionOptions,
  { terminal, signal }: Context,
  work: (client: ApiClient) => Promise<void>,
): Promise<void> {
  const config = configWith({ DATA_DIR: options.dataDir });
  // On the machine that has the keys in its settings, they need not be typed again.
  const key = options.key ?? config.http.apiKeys[0]?.key;
  const known = options.api ?? (await findRunningApi(config.dataDir));
  if (known !== undefined) {
    if (!URL.canParse(known))
      throw new CliError('url_invalid', `${known} is not an address such as http://localhost:8080.`, 64);
    await use(new ApiClient(known, key), work);
    return;
  }
  terminal.line(`No api runs on ${config.dataDir}: starting one for the duration.`);
  await using embedded = await Embedded.start({
    what,
    settings: { DATA_DIR: options.dataDir, HOST: '127.0.0.1', PORT: '0' },
    portRequired: false,
    verbose: false,
    terminal,
    signal,
  });
  await use(new ApiClient(embedded.url, key), work);
}

async function use(client: ApiClient, work: (client: ApiClient) => Promise<void>): Promise<void> {
  try {
    await work(client);
  } finally {
    await client.close();
  }
}
