import type { Config } from '#config';
import { type ResolvedProfile, resolveProfile } from '#models';
import { bytes } from '../format.ts';
import type { Bar, Terminal } from '../terminal.ts';

/** Folders of the configured models, fetched from the hub where they are missing, with a bar a file. */
export async function fetchModels(
  models: Config['models'],
  terminal: Terminal,
  options: { allowFallback: boolean; signal: AbortSignal },
): Promise<ResolvedProfile> {
  const bars = new Map<string, Bar>();
  try {
    return await resolveProfile({
      ...models,
      allowFallback: options.allowFallback,
      signal: options.signal,
      onProgress: ({ repo, file, loadedBytes, totalBytes }) => {
        const key = `${repo}/${file}`;
        // Small files come and go at once: they need no bar.
        if (totalBytes < 1_000_000) return;
        let bar = bars.get(key);
        if (!bar) {
          bar = terminal.bar(`${repo.split('/').at(-1)} ${file.split('/').at(-1)}`);
          bars.set(key, bar);
        }
        if (loadedBytes < totalBytes)
          bar.update(loadedBytes / totalBytes, `${bytes(loadedBytes)} of ${bytes(totalBytes)}`);
        else bar.end(`  ${terminal.style('green', '✓')} ${key} (${bytes(totalBytes)})`);
      },
    });
  } finally {
    for (const bar of bars.values()) bar.end();
  }
}
