import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { openWhisper, type Segment, type TranscribeOptions, type WhisperModel } from '#models';
import { concat, decode, noise, pieces, rate, samplePcm, sampleSentences, silence } from './audio.ts';
import { expectCallerFree } from './caller.ts';

const folder = join(import.meta.dirname, '../../models/tiny/whisper');
const options = { id: 'tiny', device: 'cpu' } as const;

// Seconds on free cores; a machine that runs much else beside may take a minute over one test.
vi.setConfig({ testTimeout: 180_000 });

let whisper: WhisperModel;
let sample: Float32Array;
const sentences = sampleSentences();
beforeAll(async () => {
  whisper = await openWhisper(folder, options);
  sample = samplePcm();
});
afterAll(async () => {
  await whisper.close();
});

async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of source) all.push(one);
  return all;
}
async function transcribe(pcm: Float32Array, pieceSize?: number, settings?: TranscribeOptions): Promise<Segment[]> {
  return collect(whisper.transcribe(pieces(pcm, pieceSize), settings));
}
/** In order, no overlap, inside the audio. */
function expectOrdered(segments: Segment[], audioMs: number): void {
  let last = 0;
  for (const { startMs, endMs } of segments) {
    expect(startMs).toBeGreaterThanOrEqual(last);
    expect(endMs).toBeGreaterThan(startMs);
    last = endMs;
  }
  expect(last).toBeLessThanOrEqual(audioMs);
}

describe('Whisper', () => {
  it('writes down what is said in the sample video, each sentence within 50 ms of its time, and leaves the caller free', async () => {
    const done: number[] = [];
    const onProgress = (doneMs: number) => done.push(doneMs);
    const segments = await expectCallerFree(() => transcribe(sample, undefined, { onProgress }));
    expect(segments.map(({ text }) => text)).toEqual(sentences.map(({ text }) => text));
    for (const [i, { start, end }] of sentences.entries()) {
      const segment = segments[i] as Segment;
      expect(Math.abs(segment.startMs - start * 1000), segment.text).toBeLessThan(50);
      expect(Math.abs(segment.endMs - end * 1000), segment.text).toBeLessThan(50);
    }
    const audioMs = Math.floor((sample.length / rate) * 1000);
    expect(done).toEqual([...done].sort((a, b) => a - b));
    expect(done.at(-1)).toBe(audioMs);
  });

  it('says the same for pieces of any size', async () => {
    const part = sample.slice(0, 40 * rate);
    const whole = await transcribe(part, part.length);
    expect(whole.length).toBeGreaterThan(4);
    expect(await transcribe(part, 12_345)).toEqual(whole);
  });

  it('keeps every sentence and its time in audio of many windows and long silences', async () => {
    const part = sample.slice(0, 60 * rate);
    const inPart = sentences.filter(({ end }) => end < 58);
    const times = 3;
    const segments = await transcribe(
      concat(
        ...Array(times)
          .fill([part, silence(13)])
          .flat(),
      ),
    );
    expectOrdered(segments, times * 73_000);
    expect(segments.map(({ text }) => text)).toEqual(
      Array(times)
        .fill(inPart.map(({ text }) => text))
        .flat(),
    );
    for (const [i, { startMs }] of segments.entries()) {
      const { start } = inPart[i % inPart.length] as { start: number };
      expect(Math.abs(startMs - (Math.floor(i / inPart.length) * 73 + start) * 1000)).toBeLessThan(50);
    }
  });

  it('neither loses nor doubles a sentence where talk goes on longer than a window', async () => {
    const clips = sentences.map(({ start, end }) => sample.slice((start - 0.05) * rate, (end + 0.25) * rate));
    const talk = concat(silence(1), ...clips);
    expect(talk.length).toBeGreaterThan(40 * rate);
    const segments = await transcribe(talk);
    expectOrdered(segments, (talk.length / rate) * 1000);
    const said = segments
      .map(({ text }) => text)
      .join(' ')
      .split(' ').length;
    const words = sentences
      .map(({ text }) => text)
      .join(' ')
      .split(' ').length;
    expect(Math.abs(said - words)).toBeLessThanOrEqual(words * 0.05);
    const right = sentences.filter(({ text }) => segments.some((segment) => segment.text === text)).length;
    expect(right).toBeGreaterThanOrEqual(sentences.length * 0.8);
  });

  it('hears nothing in silence, noise or an empty track', async () => {
    for (const pcm of [new Float32Array(0), silence(70), noise(70, -50), noise(40, -20)]) {
      expect(await transcribe(pcm)).toEqual([]);
    }
  });

  it('hears nothing where noise starts and stops', async () => {
    const pcm = concat(silence(5), noise(4, -25), silence(6), noise(0.5, -15), silence(3), noise(12, -35), silence(9));
    expect(await transcribe(pcm)).toEqual([]);
  });

  it('survives speech that it was never taught', async (context) => {
    const jfk = join(import.meta.dirname, '../../../shared/media/jfk.flac');
    if (!existsSync(jfk)) context.skip('the recording is not on this machine');
    const pcm = decode(jfk);
    expectOrdered(await transcribe(pcm), (pcm.length / rate) * 1000);
  });

  it('pulls audio only as windows are consumed', async () => {
    let pulled = 0;
    const endless = async function* () {
      for (;;) {
        pulled += 60;
        yield sample.slice(0, 60 * rate);
      }
    };
    const segments = whisper.transcribe(endless());
    await segments.next();
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(pulled).toBeLessThanOrEqual(10 * 60);
    await segments.return(undefined);
  });

  it('ends its source when the consumer stops early', async () => {
    let ended = false;
    const source = async function* () {
      try {
        for (;;) yield sample.slice(0, 60 * rate);
      } finally {
        ended = true;
      }
    };
    for await (const { text } of whisper.transcribe(source())) {
      expect(text).toBe(sentences[0]?.text);
      break;
    }
    expect(ended).toBe(true);
  });

  it('stops at once when aborted, even while its source is silent, and answers the next call', async () => {
    const abort = new AbortController();
    const stuck = async function* () {
      yield sample.slice(0, 60 * rate);
      await new Promise(() => {});
    };
    setTimeout(() => abort.abort(), 100);
    const call = collect(whisper.transcribe(stuck(), {}, abort.signal));
    await expect(call).rejects.toThrow('aborted');
    expect(await transcribe(sample.slice(8 * rate, 12 * rate))).toHaveLength(1);
  });

  it('passes on what goes wrong with its source', async () => {
    const broken = async function* () {
      yield silence(1);
      throw new Error('ffmpeg died');
    };
    await expect(collect(whisper.transcribe(broken()))).rejects.toThrow('ffmpeg died');
  });

  it('refuses a language that it does not know', async () => {
    expect(whisper.languages).toEqual(['en']);
    await expect(transcribe(silence(1), undefined, { language: 'xx' })).rejects.toMatchObject({
      code: 'language_unsupported',
    });
  });

  it('tells the decoder its task and the words before', async () => {
    const part = sample.slice(8 * rate, 20 * rate);
    const [plain, translated, prompted, both] = [
      await transcribe(part),
      await transcribe(part, undefined, { task: 'translate' }),
      await transcribe(part, undefined, { prompt: 'the number seven' }),
      await transcribe(part, undefined, { task: 'translate', prompt: ' the number seven\n' }),
    ].map((segments) => JSON.stringify(segments));
    expect(new Set([plain, translated, prompted, both]).size).toBe(4);
  });

  it('of English alone refuses other languages, and to translate', async () => {
    const copy = mkdtempSync(join(tmpdir(), 'cuepoint-whisper-'));
    cpSync(folder, copy, { recursive: true });
    const file = join(copy, 'generation_config.json');
    const { lang_to_id: _languages, task_to_id: _tasks, ...generation } = JSON.parse(readFileSync(file, 'utf8'));
    writeFileSync(file, JSON.stringify({ ...generation, is_multilingual: false }));
    try {
      await using english = await openWhisper(copy, { id: 'english', device: 'cpu' });
      expect(english.languages).toEqual([]);
      const asked = (settings: TranscribeOptions) => collect(english.transcribe(pieces(silence(1)), settings));
      const refused = { code: 'language_unsupported', message: expect.stringContaining('en') };
      await expect(asked({ language: 'de' })).rejects.toMatchObject(refused);
      await expect(asked({ task: 'translate' })).rejects.toMatchObject(refused);
      expect(await asked({ language: 'en', prompt: 'seven' })).toEqual([]);
    } finally {
      rmSync(copy, { recursive: true });
    }
  });
});

describe('an inference thread that dies', () => {
  it('fails its calls as worth another try, and the next call gets a new one', async () => {
    const started = new Promise<Worker>((resolve) => process.once('worker', resolve));
    await using own = await openWhisper(folder, { ...options, threads: 1 });
    const worker = await started;
    const call = collect(own.transcribe(pieces(sample)));
    setTimeout(() => worker.postMessage(null), 100); // no message of ours: an exception that nobody catches
    await expect(call).rejects.toMatchObject({ code: 'inference_failed', retryable: true });
    expect(await collect(own.transcribe(pieces(sample.slice(8 * rate, 12 * rate))))).toHaveLength(1);
  });
});

describe('a Whisper folder that is not whole', () => {
  const change = (file: string, edit: (json: Record<string, unknown>) => void) => (copy: string) => {
    const json = JSON.parse(readFileSync(join(copy, file), 'utf8'));
    edit(json);
    writeFileSync(join(copy, file), JSON.stringify(json));
  };
  const decoder = 'onnx/decoder_model_merged_quantized.onnx';
  const broken: Record<string, [(copy: string) => void, string, string]> = {
    'a missing file': [
      (copy) => rmSync(join(copy, 'generation_config.json')),
      'model_incomplete',
      'generation_config.json',
    ],
    'a cut-off model': [(copy) => truncateSync(join(copy, decoder), 1_000_000), 'model_incomplete', decoder],
    'features of another model': [
      change('preprocessor_config.json', (json) => Object.assign(json, { feature_size: 128 })),
      'model_invalid',
      'preprocessor_config.json',
    ],
    'a decoder of another model': [
      change('config.json', (json) => Object.assign(json, { decoder_layers: 4 })),
      'model_invalid',
      decoder,
    ],
  };
  for (const [name, [breakIt, code, file]] of Object.entries(broken)) {
    it(`is refused by name: ${name}`, async () => {
      const copy = mkdtempSync(join(tmpdir(), 'cuepoint-whisper-'));
      try {
        cpSync(folder, copy, { recursive: true });
        breakIt(copy);
        await expect(openWhisper(copy, options)).rejects.toMatchObject({
          code,
          message: expect.stringContaining(file),
        });
      } finally {
        rmSync(copy, { recursive: true });
      }
    });
  }
});
