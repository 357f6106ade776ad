import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  cachedModel as cached,
  openClip,
  PROFILES,
  type PullProgress,
  pullModel,
  removeBroken,
  resolveProfile,
} from '#models';
import { startHub, type TestHub } from '../fixtures/hub.ts';

const root = join(import.meta.dirname, '../..');
const tiny = join(root, 'models/tiny');
const repo = PROFILES.base.clip;
const model = 'onnx/vision_model.onnx';
const files = ['config.json', 'tokenizer.json', model];
const { size } = statSync(join(tiny, 'clip', model));

let hub: TestHub;
let cacheDir: string;
/** Stands in for the speech detection: a file that is fetched and never opened here. */
let vadFolder: string;
beforeEach(async () => {
  cacheDir = mkdtempSync(join(tmpdir(), 'cuepoint-hub-'));
  vadFolder = join(cacheDir, 'vad');
  cpSync(join(tiny, 'clip/onnx/text_model.onnx'), join(vadFolder, 'onnx/model.onnx'));
  hub = await startHub({
    [repo]: join(tiny, 'clip'),
    [PROFILES.base.whisper]: join(tiny, 'whisper'),
    [PROFILES.base.vad as string]: vadFolder,
  });
});
afterEach(async () => {
  await hub[Symbol.asyncDispose]();
  rmSync(cacheDir, { recursive: true });
});
const pull = (more = {}) => pullModel({ repo, files, hubUrl: hub.url, cacheDir, ...more });
const cachedModel = () => cached(repo, [model], cacheDir);
/** A program that pulls, for processes of its own. */
const pullCode = (of: string[]) =>
  `import { pullModel } from '#models'; await pullModel(${JSON.stringify({ repo, files: of, hubUrl: hub.url, cacheDir })})`;
const blobs = () => readdirSync(join(cacheDir, 'models--Xenova--clip-vit-base-patch32/blobs'));
/** Bytes of the file that is on the way. */
const begun = () => {
  const name = blobs().find((blob) => blob.endsWith('incomplete'));
  return name ? statSync(join(cacheDir, 'models--Xenova--clip-vit-base-patch32/blobs', name)).size : 0;
};

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

  it('takes the weights that lie beside an ONNX file, and the first of several files that the repository has', async () => {
    const folder = join(cacheDir, 'repository');
    cpSync(join(tiny, 'clip'), folder, { recursive: true });
    writeFileSync(join(folder, 'onnx/text_model.onnx_data'), 'weights');
    await using other = await startHub({ 'a/b': folder });
    const choice = ['onnx/vision_model_fp16.onnx', 'onnx/vision_model_quantized.onnx', 'onnx/vision_model.onnx'];
    const pulled = await pull({ repo: 'a/b', hubUrl: other.url, files: [choice, 'onnx/text_model.onnx'] });
    expect(readdirSync(join(pulled, 'onnx')).sort()).toEqual([
      'text_model.onnx',
      'text_model.onnx_data',
      'vision_model_quantized.onnx',
    ]);
  });

  it('goes on where a connection was cut, in the same pull', async () => {
    let cuts = 2;
    hub.fault = (_, file) => (file === model && cuts-- > 0 ? 'cut' : undefined);
    await pull({ files: [model] });
    const starts = hub.asked.map(({ range }) => Number(/\d+/.exec(range ?? '0')?.[0]));
    expect(starts).toHaveLength(3);
    expect(starts[0]).toBe(0);
    expect(starts[1]).toBeGreaterThan(size / 10);
    expect(starts[2]).toBeGreaterThan(starts[1] as number);
  });

  it('keeps what came before it gave up, and takes no byte of it again', async () => {
    hub.fault = (_, file) => (file === model ? 'cut' : undefined);
    await expect(pull({ files: [model] })).rejects.toMatchObject({
      code: 'hub_unreachable',
      retryable: true,
      message: expect.stringMatching(/vision_model\.onnx.*are kept/),
    });
    expect(await cachedModel()).toBeUndefined();
    hub.fault = () => undefined;
    const kept = begun();
    const steps: number[] = [];
    await pull({ files: [model], onProgress: (step: PullProgress) => steps.push(step.loadedBytes) });
    expect(hub.asked.at(-1)?.range).toBe(`bytes=${kept}-`);
    expect(kept).toBeGreaterThan(size / 2);
    expect(steps.at(-1)).toBe(size);
  });

  it('goes on after its process was killed', async () => {
    hub.fault = (_, file) => (file === model ? 'stall' : undefined);
    const killed = spawn(process.execPath, ['--input-type=module', '-e', pullCode([model])], { cwd: root });
    const half = Math.floor(size / 2);
    await vi.waitFor(() => expect(begun()).toBe(half), { timeout: 15_000 });
    killed.kill('SIGKILL');
    await once(killed, 'exit');
    hub.fault = () => undefined;
    const folder = await pull({ files: [model] });
    expect(hub.asked.at(-1)?.range).toBe(`bytes=${half}-`);
    expect(readFileSync(join(folder, model)).equals(readFileSync(join(tiny, 'clip', model)))).toBe(true);
    expect(begun()).toBe(0);
  });

  it('does not believe what lies there from before: after a wrong beginning all is fetched anew', async () => {
    const blob = realpathSync(join(await pull({ files: [model] }), model));
    writeFileSync(`${blob}.cuepoint-incomplete`, Buffer.alloc(500_000, 7));
    rmSync(blob);
    await pull({ files: [model] });
    expect(hub.asked.slice(1).map(({ range }) => range)).toEqual(['bytes=500000-', undefined]);
    expect(readFileSync(blob).equals(readFileSync(join(tiny, 'clip', model)))).toBe(true);
  });

  it('replaces what is broken in the cache once that was found', async () => {
    const folder = await pull({ files: [model, 'config.json'] });
    const bytes = readFileSync(join(folder, model));
    bytes[bytes.length >> 1] = ~(bytes[bytes.length >> 1] ?? 0);
    writeFileSync(realpathSync(join(folder, model)), bytes);
    expect(await removeBroken(repo, cacheDir)).toEqual([model]);
    await pull({ files: [model, 'config.json'] });
    expect(await removeBroken(repo, cacheDir)).toEqual([]);
    expect(hub.downloads).toEqual([`${repo}/${model}`, `${repo}/config.json`, `${repo}/${model}`]);
  });

  it('follows a redirect to another host without giving it the token', async () => {
    hub.fault = (_, file) => (file ? 'redirect' : undefined);
    await pull({ accessToken: 'hf_secret' });
    expect(hub.asked.map(({ host, authorization }) => [host?.split(':')[0], authorization])).toEqual(
      files.map(() => ['localhost', undefined]),
    );
  });

  it('leaves no rest of a file that filled the disk', async () => {
    const limited = promisify(execFile)(
      'bash',
      ['-c', 'ulimit -f 500; exec "$0" --input-type=module -e "$1"', process.execPath, pullCode([model])],
      { cwd: root },
    );
    await expect(limited).rejects.toMatchObject({ stderr: expect.stringMatching(/disk_full.*|HF_HUB_CACHE/s) });
    expect(begun()).toBe(0);
    expect(await cachedModel()).toBeUndefined();
  });

  it('says that there is no room before it fetches anything', async ({ skip }) => {
    const small = mkdtempSync(join(tmpdir(), 'cuepoint-small-disk-'));
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'none', small], { stdio: 'ignore' });
    } catch {
      rmSync(small, { recursive: true });
      skip('mounting a small file system takes root');
    }
    try {
      const code = 'disk_full';
      await expect(pull({ cacheDir: small })).rejects.toMatchObject({ code, message: expect.stringMatching(/2 MB/) });
      expect(hub.downloads).toEqual([]);
    } finally {
      execFileSync('umount', [small]);
      rmSync(small, { recursive: true });
    }
  });

  it('says where it can not write', async () => {
    writeFileSync(join(cacheDir, 'file'), '');
    const unwritable = pull({ cacheDir: join(cacheDir, 'file') });
    await expect(unwritable).rejects.toMatchObject({
      code: 'cache_unwritable',
      message: expect.stringContaining('HF_HUB_CACHE'),
    });
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

  it('names a file that the repository lacks', async () => {
    const lacking = pull({ files: ['config.json', 'onnx/none.onnx'] });
    await expect(lacking).rejects.toMatchObject({
      code: 'model_not_found',
      message: expect.stringContaining('onnx/none.onnx'),
    });
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
    const run = () =>
      promisify(execFile)(process.execPath, ['--input-type=module', '-e', pullCode(files)], { cwd: root });
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
  // The passage encoder goes the same way as speech detection.
  const base = () => ({ profile: 'base', text: 'none', hubUrl: hub.url, cacheDir, allowFallback: true }) as const;

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

  it('go without an optional one that can not be had, and say so', async () => {
    const { vad } = PROFILES.base;
    hub.fault = (name) => (name === vad ? 404 : undefined);
    expect((await resolveProfile(base())).vad).toBeUndefined();
    hub.fault = (name) => (name === vad ? 'hang' : undefined);
    const begin = Date.now();
    const without = await resolveProfile(base());
    expect(Date.now() - begin).toBeLessThan(5000);
    expect(without).toMatchObject({ profile: 'base', notes: [expect.stringContaining(`${vad} (vad)`)] });
    hub.fault = () => undefined;
    const whole = await resolveProfile(base());
    expect(whole).toMatchObject({
      notes: [],
      vad: { id: expect.stringContaining(`${vad}@`), files: ['onnx/model.onnx'] },
    });
    expect(await resolveProfile({ ...base(), vad: 'none' })).toEqual({ ...whole, vad: undefined });
  });

  it('have an optional one that is asked for by name, or fail', async () => {
    const file = join(vadFolder, 'onnx/model.onnx');
    const tinyWith = (vad: string) =>
      resolveProfile({ profile: 'tiny', allowFallback: true, hubUrl: hub.url, cacheDir, vad });
    expect((await tinyWith(file)).vad).toMatchObject({ folder: join(vadFolder, 'onnx'), files: ['model.onnx'] });
    expect((await tinyWith(vadFolder)).vad).toMatchObject({ folder: vadFolder, files: ['onnx/model.onnx'] });
    expect((await resolveProfile({ profile: 'tiny', allowFallback: true })).vad).toBeUndefined();
    await expect(tinyWith('/no/such/file.onnx')).rejects.toMatchObject({ code: 'model_not_found' });
    await expect(tinyWith('somebody/else')).rejects.toMatchObject({ code: 'hub_refused' });
  });

  it('are only those asked for', async () => {
    const { clip, ...rest } = await resolveProfile({ ...base(), parts: ['clip'] });
    expect(clip.files).toContain('onnx/text_model.onnx');
    expect(rest).toEqual({ profile: 'base', fallbackReason: undefined, notes: [] });
    expect(hub.downloads.every((name) => name.startsWith(repo))).toBe(true);
  });

  it('are asked for at no hub where that is not wanted, and one that is there in part is named', async () => {
    const offline = () => resolveProfile({ ...base(), allowFallback: false, offline: true });
    await expect(offline()).rejects.toMatchObject({ code: 'model_not_found', message: expect.stringContaining(repo) });
    const { clip } = await resolveProfile(base());
    rmSync(join(clip.folder, 'tokenizer.json'));
    await expect(offline()).rejects.toMatchObject({
      code: 'model_incomplete',
      message: expect.stringContaining('tokenizer.json'),
    });
    const { questions } = hub;
    await offline().catch(() => {});
    expect(hub.questions).toBe(questions);
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
    await expect(resolveProfile({ ...base(), modelsDir: '/no/such/folder' })).rejects.toMatchObject({
      code: 'model_not_found',
      message: expect.stringContaining('/no/such/folder'),
    });
  });

  it('may be named by folder', async () => {
    const resolved = await resolveProfile({
      ...base(),
      clip: join(tiny, 'clip'),
      whisper: PROFILES.tiny.whisper,
      vad: 'none',
    });
    expect(resolved.clip.id).toMatch(/^clip@[0-9a-f]{8}$/);
    expect(resolved.whisper.folder).toBe(join(tiny, 'whisper'));
    expect(hub.downloads).toEqual([]);
  });
});
