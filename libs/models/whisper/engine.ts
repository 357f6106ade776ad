import { Tokenizer } from '@huggingface/tokenizers';
import type { Engine, EngineSpec, Reply } from '../engine.ts';
import { ModelError } from '../errors.ts';
import { checkFolder } from '../folder.ts';
import type { RuntimeInfo } from '../runtime.ts';
import { type InferenceSession, openSessions, run, Tensor } from '../sessions.ts';
import { readWhisperConfig, WHISPER_FILES, type WhisperConfig } from './config.ts';
import { Decoder } from './decoder.ts';
import { LogMel } from './features.ts';
import { type RawSegment, toSegments } from './segments.ts';

export interface WhisperInfo extends RuntimeInfo {
  sampleRate: number;
  windowSamples: number;
  languages: string[];
}
export interface WindowText {
  segments: RawSegment[];
  noSpeech: number;
}

/** Whisper in the inference thread: features, encoder, decoding. Only text and times leave it. */
export class WhisperEngine implements Engine {
  readonly info: WhisperInfo;
  readonly #config: WhisperConfig;
  readonly #encoder: InferenceSession;
  readonly #decoderSession: InferenceSession;
  readonly #decoder: Decoder;
  readonly #logMel: LogMel;
  readonly #tokenizer: Tokenizer;
  #features = new Float32Array(0);

  private constructor(config: WhisperConfig, [encoder, decoder]: InferenceSession[], runtime: RuntimeInfo) {
    this.#config = config;
    this.#encoder = encoder as InferenceSession;
    this.#decoderSession = decoder as InferenceSession;
    this.#decoder = new Decoder(this.#decoderSession, config.decoder);
    this.#logMel = new LogMel(config.features);
    this.#tokenizer = new Tokenizer(config.tokenizer, config.tokenizerConfig);
    const { sampleRate, windowSamples } = config.features;
    this.info = { sampleRate, windowSamples, languages: [...config.decoder.languages.keys()], ...runtime };
  }

  /** Opens the folder and runs one silent window, so that the first real one is no slower and mismatched files show here. */
  static async open({ folder, runtime }: EngineSpec & { kind: 'whisper' }): Promise<WhisperEngine> {
    const files = [WHISPER_FILES.encoder, WHISPER_FILES.decoder];
    await checkFolder(folder, WHISPER_FILES.json);
    const config = await readWhisperConfig(folder);
    const opened = await openSessions(folder, files, runtime);
    try {
      const engine = new WhisperEngine(config, opened.sessions, opened.runtime);
      const silence = new Float32Array(0);
      await engine.transcribe({ windows: [silence], language: engine.info.languages[0] }, new AbortController().signal);
      return engine;
    } catch (error) {
      for (const session of opened.sessions) await session.release();
      const reason = error instanceof Error ? error.message : String(error);
      throw new ModelError(
        'model_invalid',
        `${files.join(' and ')} in ${folder} do not fit their config.json: ${reason}`,
      );
    }
  }

  /** Transcribes windows as one batch; detects their language together where none is given and the model knows several. */
  async transcribe(
    { windows, language }: { windows: Float32Array[]; language?: string },
    signal: AbortSignal,
  ): Promise<Reply<{ texts: WindowText[]; language: string | undefined }>> {
    const { decoder } = this.#config;
    const encoded = await this.#encode(windows, signal);
    let spoken = language;
    if (spoken === undefined && decoder.languages.size > 0) {
      const only = decoder.languages.size === 1 ? this.info.languages[0] : undefined;
      spoken = only ?? (await this.#decoder.detectLanguage(encoded));
    }
    const prompt = [decoder.startToken];
    if (spoken !== undefined && decoder.languages.size > 0) prompt.push(decoder.languages.get(spoken) as number);
    if (decoder.languages.size > 0 && decoder.transcribeToken !== undefined) prompt.push(decoder.transcribeToken);
    const decoded = await this.#decoder.decode(encoded, prompt, signal);
    const decodeText = (ids: number[]) => this.#tokenizer.decode(ids, { skip_special_tokens: true });
    const texts = decoded.map((row) => ({ segments: toSegments(row, decoder, decodeText), noSpeech: row.noSpeech }));
    return { value: { texts, language: spoken }, transfer: [] };
  }

  async close(): Promise<void> {
    await this.#encoder.release();
    await this.#decoderSession.release();
  }

  async #encode(windows: Float32Array[], signal: AbortSignal): Promise<Tensor> {
    const { melBins, frames } = this.#config.features;
    const size = melBins * frames;
    if (this.#features.length < windows.length * size) this.#features = new Float32Array(windows.length * size);
    for (const [i, pcm] of windows.entries())
      this.#logMel.extract(pcm, this.#features.subarray(i * size, (i + 1) * size));
    signal.throwIfAborted();
    const features = this.#features.subarray(0, windows.length * size);
    const input = new Tensor('float32', features, [windows.length, melBins, frames]);
    const { last_hidden_state: encoded } = await run(this.#encoder, { input_features: input });
    return encoded as Tensor;
  }
}
