/** Which models are measured, and the peers that measure against them. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfig } from '#config';
import { PROFILES, resolveProfile } from '#models';
import { progress, ROOT } from './report.ts';

export interface BenchModels {
  /** For the table: what these are. */
  name: string;
  clip: string;
  whisper: string;
  /** Embeds passages; left out where there is none. */
  text?: string | undefined;
}

/**
 * BENCH_MODELS names a folder that tools/random_models wrote; else the models of `base` where this machine has them or the hub can be
 * reached; else `tiny`, whose ratios say little of a real model's.
 */
export async function benchModels(): Promise<BenchModels> {
  const folder = process.env.BENCH_MODELS;
  const { clip, whisper, text } = PROFILES.base;
  if (folder) {
    const models = {
      name: `random weights (${clip}, ${whisper})`,
      clip: join(folder, clip),
      whisper: join(folder, whisper),
      ...(text && existsSync(join(folder, text)) && { text: join(folder, text) }),
    };
    for (const path of [models.clip, models.whisper]) {
      if (!existsSync(join(path, 'config.json'))) throw new Error(`BENCH_MODELS: there is no model in ${path}`);
    }
    return models;
  }
  const { models } = loadConfig();
  const found = await resolveProfile({
    ...models,
    profile: 'base',
    allowFallback: true,
    onProgress: ({ repo, file, loadedBytes, totalBytes }) =>
      progress(`${repo}/${file}: ${Math.floor((100 * loadedBytes) / Math.max(1, totalBytes))} %`),
  });
  if (found.fallbackReason) {
    console.log(
      'No models of full size here and no hub to fetch them from: measuring the bundled tiny ones, which says little of real speed.\n' +
        'Make some with random weights, which are as fast as trained ones:\n' +
        '  pip install -r tools/random_models/requirements.txt && python -m tools.random_models build/random_models\n' +
        '  BENCH_MODELS=build/random_models npm run bench\n',
    );
  }
  const folders = { clip: found.clip.folder, whisper: found.whisper.folder, text: found.text?.folder };
  return { name: `${found.clip.id}, ${found.whisper.id}`, ...folders };
}

/** Installs transformers.js beside the benchmark unless it is there. False when it can't be had, said on the screen. */
export async function installPeers(): Promise<boolean> {
  const folder = join(ROOT, 'test/bench/peers');
  if (existsSync(join(folder, 'node_modules/@huggingface/transformers'))) return true;
  progress('installing transformers.js to compare with (npm, up to two minutes)');
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const args = [
    'install',
    '--no-package-lock',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
    '--fetch-timeout=20000',
    '--fetch-retries=1',
  ];
  const failed = await new Promise<string | undefined>((resolve) => {
    const child = spawn(npm, args, {
      cwd: folder,
      env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip' },
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: 180_000,
      shell: process.platform === 'win32',
    });
    let words = '';
    child.stderr.on('data', (chunk) => (words += chunk));
    child.on('error', (error) => resolve(error.message));
    child.on('exit', (code) => resolve(code === 0 ? undefined : words.trim() || `npm ended with ${code}`));
  });
  if (failed) console.log(`transformers.js could not be installed (${failed}); what is compared with it is left out.`);
  return !failed;
}
