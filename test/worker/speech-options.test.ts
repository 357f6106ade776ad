import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { openWhisper, type Segment, type TranscribeOptions } from '#models';
import { decodeAudio } from '#video';
import { ffmpeg, tempDir } from '../fixtures/media.ts';
import { collect, SAMPLE, startSystem, TENANT } from './harness.ts';

vi.setConfig({ testTimeout: 120_000 });

/** Three languages and random weights: it says something else for whatever it is told. Its tokeniser is given letters, so that a prompt has tokens. */
function babbler(dir: string): string {
  const folder = join(dir, 'babbler');
  cpSync(join(import.meta.dirname, '../models/golden/whisper-random'), folder, { recursive: true });
  const file = join(folder, 'tokenizer.json');
  const tokenizer = JSON.parse(readFileSync(file, 'utf8'));
  const letters = ['Ġ', ...'abcdefghijklmnopqrstuvwxyz'].map((letter, id) => [letter, id]);
  tokenizer.model.vocab = Object.fromEntries(letters);
  writeFileSync(file, JSON.stringify(tokenizer));
  return folder;
}

it('a video’s task and prompt reach the decoder: a translation is in English, of a video in the language that is spoken', async () => {
  await using dir = await tempDir();
  const sound = join(dir.path, 'speech.wav');
  await ffmpeg('-i', SAMPLE, '-t', '12', '-vn', '-ac', '1', '-ar', '16000', sound);
  const folder = babbler(dir.path);
  await using whisper = await openWhisper(folder, { id: 'babbler', device: 'cpu' });
  const audio = () => decodeAudio(sound, { startMs: 0, endMs: 12_000 });
  const said = async (options: TranscribeOptions): Promise<Segment[]> => collect(whisper.transcribe(audio(), options));
  const texts = (of: { startMs: number; text: string }[]) => of.map(({ startMs, text }) => ({ startMs, text }));
  const options = { task: 'translate', prompt: 'rubisco' } as const;
  const expected = await said(options);
  const [{ spoken } = { spoken: undefined }] = expected;
  expect(spoken).toMatch(/^(de|fr)$/); // what it takes the sample for
  for (const other of [{}, { task: options.task }, { prompt: options.prompt }])
    expect(texts(await said(other)), JSON.stringify(other)).not.toEqual(texts(expected));

  await using system = await startSystem({ WHISPER_MODEL: folder, FRAMES_CONCURRENCY: '0' });
  await system.startWorker();
  const { id } = await system.addVideo(sound, options);
  const video = await system.finished(id);
  expect(video).toMatchObject({ status: 'ready', warnings: [], language: spoken, ...options });
  const passages = await system.passages(video);
  expect(texts(passages)).toEqual(texts(expected));
  expect(new Set(passages.map(({ language }) => language))).toEqual(new Set(['en']));
  const inLanguage = (language = '') => system.index.listPassages(TENANT, id, { language });
  expect(await inLanguage('en')).toEqual(passages);
  expect(await inLanguage(spoken)).toEqual([]);

  // Trying again would not teach it another language: this is said at once.
  const foreign = await system.addVideo(sound, { language: 'sw' });
  expect(await system.finished(foreign.id, 15_000)).toMatchObject({
    status: 'failed',
    error: { code: 'language_unsupported' },
  });
});
