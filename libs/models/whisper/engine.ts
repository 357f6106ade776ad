import { basename, dirname } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import type { Engine, EngineSpec, Reply } from '../engine.ts';
import { ModelError } from '../errors.ts';
import { checkFolder } from '../folder.ts';
import { memoryBytes, type RuntimeInfo, windowsPerRun } from '../runtime.ts';
import { type InferenceSession, openSessions } from '../sessions.ts';
import { EnergyDetector } from '../vad/energy.ts';
import { checkSilero, SileroDetector, sileroRate } from '../vad/silero.ts';
import { readWhisperConfig, WHISPER_FILES, type WhisperConfig } from './config.ts';
import { Decoder } from './decoder.ts';
import { Encoder } from './encoder.ts';
import { type Task, textTokens } from './prompt.ts';
import { AudioStream, type Heard } from './stream.ts';
import { Transcriber } from './transcriber.ts';

export interface WhisperInfo extends RuntimeInfo {
  sampleRate: number;
  languages: string[];
  tasks: Task[];
  /** What tells speech from all else. */
  vad: 'silero' | 'energy';
}

/** Whisper in the inference thread: speech detection, features, encoder, decoding. Only text and times leave it. */
export class WhisperEngine implements Engine {
  readonly info: WhisperInfo;
  readonly #config: WhisperConfig;
  readonly #sessions: InferenceSession[];
  readonly #transcriber: Transcriber;
  readonly #tokenizer: Tokenizer;
  readonly #vad: InferenceSession | undefined;
  readonly #batch: number;
  readonly #streams = new Map<number, AudioStream>();

  private constructor(
    config: WhisperConfig,
    [encoder, decoder]: InferenceSession[],
    vad: InferenceSession | undefined,
    runtime: RuntimeInfo,
  ) {
    this.#config = config;
    this.#vad = vad;
    this.#sessions = [encoder, decoder, vad].filter((session) => session !== undefined);
    this.#tokenizer = new Tokenizer(config.tokenizer, config.tokenizerConfig);
    this.#transcriber = new Transcriber(
      config,
      new Encoder(encoder as InferenceSession, config.features),
      new Decoder(decoder as InferenceSession, config.decoder),
      (ids) => (ids.length > 0 ? this.#tokenizer.decode(ids, { skip_special_tokens: true }) : ''),
    );
    const { languages, tasks, layers, heads, headSize } = config.decoder;
    // Keys and values of the sound, fp32: the encoder gives a position for two frames (Radford et al. 2022, section 2.2).
    const bytes = layers * 2 * (config.features.frames / 2) * heads * headSize * 4;
    this.#batch = windowsPerRun(bytes, memoryBytes());
    this.info = {
      sampleRate: config.features.sampleRate,
      languages: [...languages.keys()],
      tasks: languages.size > 0 && tasks.translate !== undefined ? ['transcribe', 'translate'] : ['transcribe'],
      vad: vad ? 'silero' : 'energy',
      ...runtime,
    };
  }

  /** Opens the folder and runs one silent window, so that the first real one is no slower and mismatched files show here. */
  static async open({ folder, runtime, vadFile }: EngineSpec & { kind: 'whisper' }): Promise<WhisperEngine> {
    const parts = [{ file: WHISPER_FILES.encoder, boundedInputs: true }, { file: WHISPER_FILES.decoder }];
    await checkFolder(folder, WHISPER_FILES.json);
    const config = await readWhisperConfig(folder);
    const vad = vadFile && config.features.sampleRate === sileroRate ? await openVad(vadFile) : undefined;
    const opened = await openSessions(folder, parts, runtime).catch(async (error: unknown) => {
      await vad?.release();
      throw error;
    });
    try {
      const engine = new WhisperEngine(config, opened.sessions, vad, opened.runtime);
      await engine.#transcriber.warmUp();
      return engine;
    } catch (error) {
      for (const session of [...opened.sessions, vad]) await session?.release();
      const reason = error instanceof Error ? error.message : String(error);
      throw new ModelError(
        'model_invalid',
        `${opened.runtime.files.join(' and ')} in ${folder} do not fit their config.json: ${reason}`,
      );
    }
  }

  /** Opens a recording under a number of the caller's. It is to be finished or dropped. */
  async begin(
    { stream, language, task, prompt }: { stream: number; language?: string; task: Task; prompt?: string },
    _signal: AbortSignal,
  ): Promise<Reply<undefined>> {
    const tokens = textTokens(this.#tokenizer, prompt, this.#config.decoder.endToken);
    const detector = this.#vad ? new SileroDetector(this.#vad) : new EnergyDetector(this.info.sampleRate);
    const options = { language, task, prompt: tokens };
    this.#streams.set(
      stream,
      new AudioStream(this.#transcriber, detector, this.#config.features, options, this.#batch),
    );
    return { value: undefined, transfer: [] };
  }

  async push({ stream, pcm }: { stream: number; pcm: Float32Array }, signal: AbortSignal): Promise<Reply<Heard>> {
    return { value: await this.#stream(stream).push(pcm, signal), transfer: [] };
  }

  async finish({ stream }: { stream: number }, signal: AbortSignal): Promise<Reply<Heard>> {
    return { value: await this.#stream(stream).finish(signal), transfer: [] };
  }

  async drop({ stream }: { stream: number }, _signal: AbortSignal): Promise<Reply<undefined>> {
    this.#streams.delete(stream);
    return { value: undefined, transfer: [] };
  }

  async close(): Promise<void> {
    for (const session of this.#sessions) await session.release();
  }

  #stream(number: number): AudioStream {
    const stream = this.#streams.get(number);
    // The thread died in between and this is another one; the audio it has heard is gone.
    if (!stream) throw new ModelError('inference_failed', 'the whisper thread started anew within a recording', true);
    return stream;
  }
}

/** Its steps are so small that more threads than one only cost. */
async function openVad(file: string): Promise<InferenceSession> {
  const { sessions } = await openSessions(dirname(file), [{ file: basename(file) }], { device: 'cpu', threads: 1 });
  const [session] = sessions as [InferenceSession];
  try {
    checkSilero(session, file);
  } catch (error) {
    await session.release();
    throw error;
  }
  return session;
}
