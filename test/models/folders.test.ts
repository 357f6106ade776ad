/** Model folders that are not what they should be: each is refused by the name of its file, and nothing else is affected. */
import { execFile } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { inspectProfile, openClip, openWhisper, resolveProfile, tryModels } from '#models';

const root = join(import.meta.dirname, '../..');
const tiny = join(root, 'models/tiny');
const runtime = { device: 'cpu' } as const;
const [vision, text] = ['onnx/vision_model.onnx', 'onnx/text_model.onnx'];
// What the processor takes where both are there.
const decoder = 'onnx/decoder_model_merged_quantized.onnx';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cuepoint-folder-'));
  cpSync(join(tiny, 'clip'), join(folder, 'clip'), { recursive: true });
  cpSync(join(tiny, 'whisper'), join(folder, 'whisper'), { recursive: true });
});
afterEach(() => rmSync(folder, { recursive: true }));

type Model = 'clip' | 'whisper';
const open = (model: Model) =>
  model === 'clip'
    ? openClip(join(folder, 'clip'), { id: 'own', towers: 'both', ...runtime })
    : openWhisper(join(folder, 'whisper'), { id: 'own', ...runtime });
const replaced = (content: string | Buffer) => (path: string) => writeFileSync(path, content);
const edited = (change: (json: never) => void) => (path: string) => {
  const json = JSON.parse(readFileSync(path, 'utf8'));
  change(json as never);
  writeFileSync(path, JSON.stringify(json));
};
const linked = (path: string) => {
  rmSync(path);
  symlinkSync(path, path);
};
/** The smallest model with a tensor whose data are in a file of their own (onnx.proto3: ModelProto, GraphProto, TensorProto). */
const withExternalData = (dataFile: string) => {
  const field = (number: number, value: string | Buffer) => {
    const bytes = Buffer.from(value);
    return Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);
  };
  const varint = (number: number, value: number) => Buffer.from([number << 3, value]);
  const entry = (key: string, value: string) => field(13, Buffer.concat([field(1, key), field(2, value)]));
  const where = Buffer.concat([entry('location', dataFile), entry('length', '4'), varint(14, 1)]);
  const tensor = Buffer.concat([varint(1, 1), varint(2, 1), field(8, 'w'), where]);
  const shape = field(2, field(1, varint(1, 1)));
  const type = (name: string) =>
    Buffer.concat([field(1, name), field(2, field(1, Buffer.concat([varint(1, 1), shape])))]);
  const node = Buffer.concat([field(1, 'w'), field(2, 'image_embeds'), field(4, 'Identity')]);
  const graph = Buffer.concat([field(1, node), field(2, 'g'), field(5, tensor), field(12, type('image_embeds'))]);
  return Buffer.concat([varint(1, 8), field(7, graph), field(8, varint(2, 13))]);
};

interface Case {
  what: string;
  model: Model;
  file: string;
  break: (path: string) => void;
  code: 'model_incomplete' | 'model_invalid';
  says: RegExp;
}
const gitLfs = 'version https://git-lfs.github.com/spec/v1\noid sha256:0123456789abcdef\nsize 351530510\n';
const cases: Case[] = [
  { what: 'is missing', model: 'clip', file: vision, break: rmSync, code: 'model_incomplete', says: /is missing/ },
  {
    what: 'is empty',
    model: 'clip',
    file: vision,
    break: replaced(''),
    code: 'model_incomplete',
    says: /is empty/,
  },
  {
    what: 'is empty JSON',
    model: 'whisper',
    file: 'config.json',
    break: replaced('{}'),
    code: 'model_invalid',
    says: /model_type/,
  },
  {
    what: 'is cut-off JSON',
    model: 'whisper',
    file: 'tokenizer.json',
    break: (path) => truncateSync(path, 500),
    code: 'model_incomplete',
    says: /whole JSON/,
  },
  {
    what: 'is cut off',
    model: 'whisper',
    file: decoder,
    break: (path) => truncateSync(path, 900_000),
    code: 'model_incomplete',
    says: /cut off or broken/,
  },
  {
    what: 'is a web page',
    model: 'clip',
    file: vision,
    break: replaced('<!DOCTYPE html><html><body>404</body></html>'),
    code: 'model_incomplete',
    says: /web page/,
  },
  {
    what: 'is a Git LFS pointer',
    model: 'clip',
    file: vision,
    break: replaced(gitLfs),
    code: 'model_incomplete',
    says: /Git LFS pointer/,
  },
  {
    what: 'is a Git LFS pointer',
    model: 'whisper',
    file: 'tokenizer.json',
    break: replaced(gitLfs),
    code: 'model_incomplete',
    says: /Git LFS pointer/,
  },
  {
    what: 'holds zeros',
    model: 'whisper',
    file: 'onnx/encoder_model.onnx',
    break: replaced(Buffer.alloc(1_000_000)),
    code: 'model_incomplete',
    says: /zeros/,
  },
  {
    what: 'is something else',
    model: 'clip',
    file: vision,
    break: replaced('{"a": 1}'),
    code: 'model_incomplete',
    says: /no ONNX file/,
  },
  {
    what: 'is a link to itself',
    model: 'clip',
    file: vision,
    break: linked,
    code: 'model_incomplete',
    says: /leads back to itself/,
  },
  {
    what: 'is a folder',
    model: 'clip',
    file: 'config.json',
    break: (path) => {
      rmSync(path);
      mkdirSync(path);
    },
    code: 'model_incomplete',
    says: /is no file/,
  },
  {
    what: 'lacks its weights',
    model: 'clip',
    file: vision,
    break: replaced(withExternalData('vision_model.onnx_data')),
    code: 'model_incomplete',
    says: /vision_model\.onnx_data/,
  },
  {
    what: 'is of another size',
    model: 'clip',
    file: 'config.json',
    break: edited((json: { projection_dim: number }) => (json.projection_dim = 64)),
    code: 'model_invalid',
    says: /config\.json/,
  },
  {
    what: 'is of another size',
    model: 'whisper',
    file: 'preprocessor_config.json',
    break: edited((json: { feature_size: number }) => (json.feature_size = 128)),
    code: 'model_invalid',
    says: /128 mel bins/,
  },
  {
    what: 'is another model’s',
    model: 'whisper',
    file: 'tokenizer.json',
    break: (path) => cpSync(join(tiny, 'clip/tokenizer.json'), path),
    code: 'model_invalid',
    says: /tokenizer\.json/,
  },
  {
    what: 'is another model’s',
    model: 'whisper',
    file: decoder,
    break: (path) => cpSync(join(tiny, 'clip', text), path),
    code: 'model_invalid',
    says: /decoder_model_merged/,
  },
];

describe('a model folder', () => {
  it.each(cases)(
    'of $model whose $file $what is refused by name',
    async ({ model, file, break: breakIt, code, says }) => {
      breakIt(join(folder, model, file));
      const failure = await open(model).then(
        async (opened) => {
          await opened.close();
          return undefined;
        },
        (error: unknown) => error as Error,
      );
      expect(failure).toMatchObject({ name: 'ModelError', code });
      expect(failure?.message).toContain(file);
      expect(failure?.message).toContain(join(folder, model));
      expect(failure?.message).toMatch(says);
    },
  );

  it('may be mended while the process runs: the next opening is a new one', async () => {
    const file = join(folder, 'clip', vision);
    writeFileSync(file, gitLfs);
    await expect(open('clip')).rejects.toMatchObject({ code: 'model_incomplete' });
    cpSync(join(tiny, 'clip', vision), file);
    await (await open('clip')).close();
  });

  it('that this user may not read is refused with that reason', async ({ skip }) => {
    // root may read anything: a child process gives that up.
    if (process.getuid?.() !== 0 && process.platform === 'win32') skip('this system has no such permissions');
    const file = join(folder, 'clip', 'tokenizer.json');
    for (const path of [folder, join(folder, 'clip')]) chmodSync(path, 0o755);
    chmodSync(file, 0);
    const code = `import { resolveProfile } from '#models';
      if (process.getuid() === 0) process.setuid(65534);
      await resolveProfile({ profile: 'tiny', clip: ${JSON.stringify(join(folder, 'clip'))}, allowFallback: false })
        .catch(({ code, message }) => console.log(code, message));`;
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', code], { cwd: root });
    expect(stdout).toMatch(/model_incomplete tokenizer\.json in .* may not be read by this user/);
  });

  it('is told apart from no folder at all', async () => {
    await expect(openClip(join(folder, 'none'), { id: 'x', towers: 'text', ...runtime })).rejects.toMatchObject({
      code: 'model_not_found',
    });
    await expect(resolveProfile({ profile: 'tiny', clip: '/none', allowFallback: true })).rejects.toMatchObject({
      code: 'model_not_found',
    });
  });

  it('is looked through file by file, and tried', async () => {
    writeFileSync(join(folder, 'clip', text), gitLfs);
    rmSync(join(folder, 'clip', 'config.json'));
    const own = { clip: join(folder, 'clip'), whisper: join(folder, 'whisper') };
    const options = { profile: 'tiny', ...own, device: 'cpu', allowFallback: false } as const;
    const [clip, whisper] = await inspectProfile(options, { thoroughly: true });
    expect(clip?.state).toBe('partly');
    expect(clip?.files.filter(({ problem }) => problem).map(({ file }) => file)).toEqual(['config.json', text]);
    expect(whisper).toMatchObject({ state: 'here', sizeBytes: expect.any(Number) });
    const trials = await tryModels(options, runtime);
    expect(trials).toMatchObject([
      { part: 'clip', problem: { code: 'model_incomplete' } },
      { part: 'whisper', problem: undefined },
    ]);
  });

  it('whose weights were changed into no numbers is refused when tried', async () => {
    // All of the image tower's largest weights become NaN; the file stays well-formed.
    const file = join(folder, 'clip', vision);
    const bytes = readFileSync(file);
    bytes.fill(0xff, Math.floor(bytes.length * 0.4), Math.floor(bytes.length * 0.6));
    writeFileSync(file, bytes);
    const options = { profile: 'tiny', clip: join(folder, 'clip'), parts: ['clip'], allowFallback: false } as const;
    const [trial] = await tryModels({ ...options, parts: ['clip'] }, runtime);
    expect(trial?.problem?.code).toMatch(/model_in(valid|complete)/);
  });
});
