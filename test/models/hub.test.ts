import { execFile } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openClip, PROFILES, type PullProgress, pullModel, resolveProfile } from '#models';
import { startHub, type TestHub } from '../fixtures/hub.ts';

const root = join(import.meta.dirname, '../..');
const tiny = join(root, 'models/tiny');
const repo = PROFILES.base.clip;
const files = ['config.json', 'tokenizer.json', 'onnx/vision_model.onnx'];

let hub: TestHub;
let cacheDir: string;
beforeEach(async () => {
  hub = await startHub({ [repo]: join(tiny, 'clip'), [PROFILES.base.whisper]: join(tiny, 'whisper') });
  cacheDir = mkdtempSync(join(tmpdir(), 'cuepoint-hub-'));
});
afterEach(async () => {
  await hub[Symbol.asyncDispose]();
  rmSync(cacheDir, { recursive: true });
});
const pull = (more = {}) => pullModel({ repo, files, hubUrl: hub.url, cacheDir, ...more });
const blobs = () => readdirSync(join(cacheDir, 'models--Xenova--clip-vit-base-patch32/blobs'));

describe('fetching a model', () => {
  it('brings its files into the cache, in the layout other tools read, and tells how far it is', async () => {
    const progress: PullProgress[] = [];
    const folder = await pull({ onProgress: (step: PullProgress) => progress.push(step) });
    for (const file of files) {
      const original = readFileSync(join(tiny, 'clip', file));
      expect(readFileSync(join(folder, file)).equals(original)).toBe(true);
      const last = progress.findLast((step) => step.file === file);
      expect(last).toEqual({ repo, file, loadedBytes: original.length, totalBytes: original.length });
    }
    expect(folder).toMatch(/models--Xenova--clip-vit-base-patch32\/snapshots\/[0-9a-f]{40}$/);
    expect(readFileSync(join(folder, '../../refs/main'), 'utf8')).toBe(folder.slice(-40));
    expect(blobs()).toHaveLength(files.length);
  });

  it('fetches nothing twice', async () => {
    await pull();
    await pull();
    expect(hub.downloads).toHaveLength(files.length);
  });

  it('fetches a second weights file only where the repository has one', async () => {
    const folder = await pull({ optionalFiles: ['onnx/vision_model.onnx_data', 'preprocessor_config.json'] });
    expect(readdirSync(folder)).toContain('preprocessor_config.json');
  });

  it('leaves nothing behind that looks whole when it is cut off, and is worth another try', async () => {
    hub.fault = (_, file) => (file?.endsWith('.onnx') ? 'cut' : undefined);
    await expect(pull()).rejects.toMatchObject({ retryable: true });
    expect(blobs().every((name) => /^[0-9a-f]{40}$/.test(name))).toBe(true);
    hub.fault = () => undefined;
    await pull();
    expect(hub.downloads.filter((name) => name.endsWith('config.json'))).toHaveLength(1);
  });

  it('refuses bytes that do not match the checksum', async () => {
    for (const broken of ['config.json', 'onnx/vision_model.onnx']) {
      hub.fault = (_, file) => (file === broken ? 'corrupt' : undefined);
      await expect(pull()).rejects.toMatchObject({
        code: 'model_incomplete',
        message: expect.stringContaining(broken),
      });
    }
  });

  it('says what the hub refused, and what to do', async () => {
    const answers = [
      [401, 'hub_refused', 'HF_TOKEN', false],
      [403, 'hub_refused', 'terms', false],
      [404, 'hub_refused', 'no such model', false],
      [429, 'hub_refused', 'too many', true],
      [500, 'hub_unreachable', '500', true],
    ] as const;
    for (const [status, code, hint, retryable] of answers) {
      hub.fault = () => status;
      await expect(pull()).rejects.toMatchObject({ code, retryable, message: expect.stringContaining(hint) });
    }
  });

  it('names a file that the repository lacks', async () => {
    const lacking = pull({ files: ['config.json', 'onnx/none.onnx'] });
    await expect(lacking).rejects.toMatchObject({
      code: 'model_not_found',
      message: expect.stringContaining('onnx/none.onnx'),
    });
  });

  it('gives up on a hub that does not answer', async () => {
    hub.fault = () => 'hang';
    const begin = Date.now();
    await expect(pull({ connectTimeoutMs: 300 })).rejects.toMatchObject({ code: 'hub_unreachable', retryable: true });
    expect(Date.now() - begin).toBeLessThan(2000);
  });

  it('stops when aborted, even while it waits for another downloader', async () => {
    hub.fault = (_, file) => (file ? 'hang' : undefined);
    const [first, second] = [new AbortController(), new AbortController()];
    const downloading = pull({ signal: first.signal });
    const waiting = pull({ signal: second.signal });
    setTimeout(() => second.abort(), 200);
    await expect(waiting).rejects.toThrow('aborted');
    first.abort();
    await expect(downloading).rejects.toThrow('aborted');
  });

  it('is done once by two processes at once', async () => {
    const code = `import { pullModel } from '#models'; await pullModel(${JSON.stringify({ repo, files, hubUrl: hub.url, cacheDir })})`;
    const run = () => promisify(execFile)(process.execPath, ['--input-type=module', '-e', code], { cwd: root });
    await Promise.all([run(), run()]);
    expect(hub.downloads).toHaveLength(files.length);
  });

  it('takes over from a downloader that was killed', async () => {
    const lock = join(cacheDir, '.locks/models--Xenova--clip-vit-base-patch32.cuepoint.lock');
    mkdirSync(join(cacheDir, '.locks'));
    writeFileSync(lock, JSON.stringify({ pid: 2 ** 22 + 1, host: hostname() }));
    await pull();
    writeFileSync(lock, JSON.stringify({ pid: process.pid, host: 'elsewhere' }));
    utimesSync(lock, new Date(0), new Date(0));
    await pull();
  });
});

describe('the models of a profile', () => {
  const base = () => ({ profile: 'base', hubUrl: hub.url, cacheDir, allowFallback: true }) as const;

  it('come from the hub, then from the cache with no network', async () => {
    const fetched = await resolveProfile(base());
    expect(fetched.profile).toBe('base');
    expect(fetched.fallbackReason).toBeUndefined();
    expect(fetched.clip.id).toMatch(/^Xenova\/clip-vit-base-patch32@[0-9a-f]{8}$/);
    hub.fault = () => 500;
    expect(await resolveProfile(base())).toEqual(fetched);
    await using clip = await openClip(fetched.clip.folder, { id: fetched.clip.id, device: 'cpu', towers: 'text' });
    expect(await clip.encodeTexts(['a red car'])).toHaveLength(1);
  });

  it('are the bundled ones, with a reason, where the hub can not be reached and nothing is cached', async () => {
    const down = await startHub({});
    await down[Symbol.asyncDispose]();
    const begin = Date.now();
    const resolved = await resolveProfile({ ...base(), hubUrl: down.url });
    expect(Date.now() - begin).toBeLessThan(4000);
    expect(resolved.profile).toBe('tiny');
    expect(resolved.clip.folder).toBe(join(tiny, 'clip'));
    expect(resolved.fallbackReason).toContain(`"base"`);
    expect(resolved.fallbackReason).toContain(down.url);
    const strict = resolveProfile({ ...base(), hubUrl: down.url, allowFallback: false });
    await expect(strict).rejects.toMatchObject({ code: 'hub_unreachable' });
  });

  it('start on the bundled ones within seconds where the network swallows everything', async () => {
    hub.fault = () => 'hang';
    const begin = Date.now();
    expect((await resolveProfile(base())).profile).toBe('tiny');
    expect(Date.now() - begin).toBeLessThan(6000);
  });

  it('are the bundled ones where a proxy turns the request away', async () => {
    hub.fault = () => 403;
    expect(await resolveProfile(base())).toMatchObject({
      profile: 'tiny',
      fallbackReason: expect.stringContaining('403'),
    });
  });

  it('are an error, not a fallback, where the hub refuses a model somebody named, a token, or for now', async () => {
    hub.fault = () => 403;
    const named = resolveProfile({ ...base(), clip: 'somebody/else' });
    await expect(named).rejects.toMatchObject({ code: 'hub_refused' });
    await expect(resolveProfile({ ...base(), accessToken: 'hf_x' })).rejects.toMatchObject({ code: 'hub_refused' });
    hub.fault = () => 429;
    await expect(resolveProfile(base())).rejects.toMatchObject({ code: 'hub_refused', retryable: true });
  });

  it('are the bundled ones for "tiny", with an id that names their content', async () => {
    const resolved = await resolveProfile({ profile: 'tiny', allowFallback: false });
    expect(resolved).toMatchObject({ profile: 'tiny', clip: { folder: join(tiny, 'clip') } });
    expect(resolved.clip.id).toMatch(/^cuepoint\/tiny-clip@[0-9a-f]{8}$/);
    expect(resolved.whisper.id).toMatch(/^cuepoint\/tiny-whisper@[0-9a-f]{8}$/);
  });

  it('come from MODELS_DIR with no network, and a file that is missing there is named', async () => {
    const modelsDir = join(cacheDir, 'models');
    cpSync(join(tiny, 'clip'), join(modelsDir, PROFILES.base.clip), { recursive: true });
    cpSync(join(tiny, 'whisper'), join(modelsDir, PROFILES.base.whisper), { recursive: true });
    hub.fault = () => 500;
    const resolved = await resolveProfile({ ...base(), modelsDir });
    expect(resolved.clip.folder).toBe(join(modelsDir, PROFILES.base.clip));
    const generation = join(modelsDir, PROFILES.base.whisper, 'generation_config.json');
    truncateSync(generation);
    const broken = resolveProfile({ ...base(), modelsDir });
    await expect(broken).rejects.toMatchObject({
      code: 'model_incomplete',
      message: expect.stringContaining('generation_config.json'),
    });
  });

  it('may be named by folder', async () => {
    const resolved = await resolveProfile({ ...base(), clip: join(tiny, 'clip'), whisper: PROFILES.tiny.whisper });
    expect(resolved.clip.id).toMatch(/^clip@[0-9a-f]{8}$/);
    expect(resolved.whisper.folder).toBe(join(tiny, 'whisper'));
    expect(hub.downloads).toEqual([]);
  });
});
