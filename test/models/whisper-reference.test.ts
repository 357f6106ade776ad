import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { Tokenizer } from '@huggingface/tokenizers';
import { describe, expect, it, vi } from 'vitest';
import { readWhisperConfig } from '../../libs/models/whisper/config.ts';
import { LogMel } from '../../libs/models/whisper/features.ts';
import { textTokens } from '../../libs/models/whisper/prompt.ts';
import { decode, rate, samplePcm } from './audio.ts';

// Goldens by `python -m tools.goldens whisper`; versions of the reference are in golden/versions.json.
vi.setConfig({ testTimeout: 180_000 });

const golden = (file: string) => JSON.parse(readFileSync(join(import.meta.dirname, 'golden', file), 'utf8'));
const shared = join(import.meta.dirname, '../../../shared');

interface Formula {
  seconds: number;
  sines: [hertz: number, glide: number, amplitude: number, swells: number][];
  noise: number;
  seed: number;
}
interface Reference {
  tokens: number[];
  avgLogprob: number;
  noSpeech: number;
}
interface Clip {
  cut?: [number, number];
  formula?: Formula;
  tiny: Reference;
  random: Reference;
  language: string;
}

/** The sound of a formula, as tools/goldens/whisper.py makes it. */
function sound({ seconds, sines, noise, seed }: Formula): Float32Array {
  let state = seed;
  return Float32Array.from({ length: seconds * rate }, (_, i) => {
    const t = i / rate;
    let sum = 0;
    for (const [hertz, glide, amplitude, swells] of sines) {
      const swell = swells ? Math.sin(Math.PI * swells * t) ** 2 : 1;
      sum += amplitude * swell * Math.sin(2 * Math.PI * (hertz * t + (glide * t * t) / 2));
    }
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return sum + (noise * state) / 2 ** 31;
  });
}

/** Asks a thread of whisper-thread.ts. */
async function ask<T>(data: object, questions: object[]): Promise<T[]> {
  const gate = new Int32Array(new SharedArrayBuffer(8));
  const worker = new Worker(new URL('./whisper-thread.ts', import.meta.url), {
    workerData: { gate, ...data },
    execArgv: [],
  });
  try {
    const answers: T[] = [];
    for (const question of questions) {
      answers.push(
        await new Promise<T>((resolve, reject) => {
          worker.once('message', resolve).once('error', reject);
          worker.postMessage(question);
        }),
      );
    }
    return answers;
  } finally {
    await worker.terminate();
  }
}

describe('log-mel features', () => {
  for (const melBins of [80, 128]) {
    it(`are those of transformers within 1e-3, ${melBins} bins`, () => {
      const reference = golden('whisper-mel.json')[melBins] as { formula: Formula; frames: Record<string, number[]> };
      const config = { melBins, sampleRate: rate, hopLength: 160, fftSize: 400, windowSamples: 480_000, frames: 3000 };
      const out = new Float32Array(melBins * config.frames).fill(Number.NaN);
      new LogMel(config).extract(sound(reference.formula), out);
      expect(out.some(Number.isNaN)).toBe(false);
      let worst = 0;
      for (const [frame, values] of Object.entries(reference.frames)) {
        for (const [mel, value] of values.entries()) {
          worst = Math.max(worst, Math.abs(value - (out[mel * config.frames + Number(frame)] ?? Infinity)));
        }
      }
      expect(worst).toBeLessThan(1e-3);
    });
  }
});

describe('decoding, on 30 clips of speech, silence, tones and noise', () => {
  const clips = golden('whisper-tokens.json') as Clip[];
  const sample = samplePcm();
  const windows = clips.map(({ cut, formula }) =>
    cut ? sample.slice(Math.round(cut[0] * rate), Math.round(cut[1] * rate)) : sound(formula as Formula),
  );
  type Answer = { decoded: Reference[]; languages: string[] };
  // In batches, so that rows that end early leave it.
  const batches = (options: object) =>
    [0, 10, 20].map((from) => ({ windows: windows.slice(from, from + 10), options }));
  const check = (answers: Answer[], model: 'tiny' | 'random') => {
    const decoded = answers.flatMap((answer) => answer.decoded);
    expect(decoded).toHaveLength(30);
    for (const [i, clip] of clips.entries()) {
      const { tokens, avgLogprob, noSpeech } = decoded[i] as Reference;
      expect(tokens, `clip ${i}`).toEqual(clip[model].tokens);
      expect(Math.abs(avgLogprob - clip[model].avgLogprob), `clip ${i}`).toBeLessThan(2e-3);
      expect(noSpeech, `clip ${i}`).toBeCloseTo(clip[model].noSpeech, 4);
    }
  };

  it('gives token for token what generate of transformers gives, tiny model', async () => {
    const folder = join(import.meta.dirname, '../../models/tiny/whisper');
    check(await ask<Answer>({ folder }, batches({ language: 'en', task: 'transcribe' })), 'tiny');
  });

  it('does so for random weights of other sizes, translating from German, and detects the same languages', async () => {
    const folder = join(import.meta.dirname, 'golden/whisper-random');
    const answers = await ask<Answer>({ folder }, batches({ language: 'de', task: 'translate' }));
    check(answers, 'random');
    expect(answers.flatMap(({ languages }) => languages)).toEqual(clips.map(({ language }) => language));
  });
});

describe('a prompt', () => {
  const { texts, clips } = golden('whisper-prompts.json') as {
    texts: Record<string, number[]>;
    clips: (Reference & { cut: [number, number]; prompt: number[] })[];
  };

  it('is the tokens that get_prompt_ids of transformers makes of it, and none that are orders to the decoder', async () => {
    const config = await readWhisperConfig(join(import.meta.dirname, '../../models/tiny/whisper'));
    const tokenizer = new Tokenizer(config.tokenizer, config.tokenizerConfig);
    const tokens = (text: string) => textTokens(tokenizer, text, config.decoder.endToken);
    for (const [text, expected] of Object.entries(texts)) expect(tokens(text), text).toEqual(expected);
    expect(tokens(' \n')).toEqual([]);
    expect(tokens('<|endoftext|>the number seven<|startoftranscript|><|0.00|>').slice(-2)).toEqual([344, 478]);
    expect(Math.max(...tokens('<|en|> seven <|nospeech|>'))).toBeLessThan(config.decoder.endToken);
  });

  it('of any length that is kept has the same tokens follow as in generate of transformers', async () => {
    const sample = samplePcm();
    const questions = clips.map(({ cut: [from, to], prompt }) => {
      const windows = [sample.slice(Math.round(from * rate), Math.round(to * rate))];
      return { windows, options: { language: 'de', task: 'translate', prompt } };
    });
    const folder = join(import.meta.dirname, 'golden/whisper-random');
    const answers = await ask<{ decoded: Reference[] }>({ folder }, questions);
    for (const [i, { tokens, avgLogprob }] of clips.entries()) {
      const [decoded] = answers[i]?.decoded ?? [];
      expect(decoded?.tokens, `clip ${i}`).toEqual(tokens);
      expect(Math.abs((decoded?.avgLogprob ?? Number.NaN) - avgLogprob), `clip ${i}`).toBeLessThan(2e-3);
    }
  });
});

describe('Silero VAD', () => {
  const vadFile = join(shared, 'models/silero-vad/silero_vad.onnx');
  const jfk = join(shared, 'media/jfk.flac');
  it('gives the probabilities and spans of speech of the Python original, for pieces of any size', async (context) => {
    if (!existsSync(vadFile)) context.skip('silero_vad.onnx is not on this machine');
    const sounds: Record<string, Float32Array> = { sample: samplePcm().slice(0, 60 * rate) };
    if (existsSync(jfk)) sounds.jfk = decode(jfk);
    else console.log('jfk.flac is not on this machine: the sample alone is checked');
    const references = golden('silero.json') as Record<
      string,
      { probabilities: number[]; speech: [start: number, end: number][] }
    >;
    for (const [name, pcm] of Object.entries(sounds)) {
      const reference = references[name];
      if (!reference) throw new Error(`no golden of ${name}`);
      const [answer, inPieces] = await ask<{ probabilities: number[]; active: boolean[] }>({ vadFile }, [
        { pcm, pieces: pcm.length },
        { pcm, pieces: 7777 },
      ]);
      expect(inPieces).toEqual(answer);
      const { probabilities, active } = answer as { probabilities: number[]; active: boolean[] };
      expect(probabilities).toHaveLength(reference.probabilities.length);
      const worst = Math.max(...probabilities.map((p, i) => Math.abs(p - (reference.probabilities[i] as number))));
      expect(worst).toBeLessThan(1e-3);
      const wanted = active.map((_, frame) => {
        const middle = frame * 160 + 80;
        return reference.speech.some(([start, end]) => start <= middle && middle < end);
      });
      expect(active).toHaveLength(Math.ceil(pcm.length / 160));
      expect(active).toEqual(wanted);
    }
  });
});
