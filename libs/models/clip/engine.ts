import { join } from 'node:path';
import type { Engine, EngineSpec, Reply } from '../engine.ts';
import { ModelError } from '../errors.ts';
import { checkFolder } from '../folder.ts';
import { freeGpuBytes, picturesPerRun, type RuntimeInfo } from '../runtime.ts';
import { type InferenceSession, openSessions, run, Tensor } from '../sessions.ts';
import { floats, floatTensor } from '../tensors.ts';
import { checkVocabulary, foreignTokenizer, TextTokenizer, unknownToken } from '../tokenizer.ts';
import { CLIP_FILES, type ClipConfig, readClipConfig } from './config.ts';
import { ImagePreprocessor } from './image.ts';
import type { Picture } from './resample.ts';

export interface ClipInfo extends RuntimeInfo {
  dimension: number;
  frameSize: number;
  fit: ClipConfig['fit'];
  logitScale: number;
  logitBias: number | undefined;
  /** Pictures of one run; abort is looked at between runs. */
  batch: number;
}

/** The CLIP towers in the inference thread. Embeddings come back one after the other in one buffer, L2-normalised. */
export class ClipEngine implements Engine {
  readonly #config: ClipConfig;
  readonly #image: InferenceSession | undefined;
  readonly #text: InferenceSession | undefined;
  readonly #preprocessor: ImagePreprocessor;
  readonly #tokenizer: TextTokenizer;
  readonly #runtime: RuntimeInfo;
  readonly #batch: number;
  /** Known from config.json or the first run. */
  #dimension: number;

  private constructor(
    config: ClipConfig,
    tokenizer: TextTokenizer,
    towers: { image?: InferenceSession; text?: InferenceSession },
    runtime: RuntimeInfo,
    batch: number,
  ) {
    this.#config = config;
    this.#image = towers.image;
    this.#text = towers.text;
    this.#preprocessor = new ImagePreprocessor(config);
    this.#tokenizer = tokenizer;
    this.#runtime = runtime;
    this.#batch = batch;
    this.#dimension = config.dimension ?? 0;
  }

  get info(): ClipInfo {
    const { frameSize, fit, logitScale, logitBias } = this.#config;
    return { dimension: this.#dimension, frameSize, fit, logitScale, logitBias, batch: this.#batch, ...this.#runtime };
  }

  /** Opens the towers asked for and runs each once, so that the first real call is no slower and mismatched files show here. */
  static async open({ folder, towers, runtime }: EngineSpec & { kind: 'clip' }): Promise<ClipEngine> {
    const wanted = (['image', 'text'] as const).filter((tower) => towers === 'both' || towers === tower);
    await checkFolder(folder, CLIP_FILES.json);
    const config = await readClipConfig(folder);
    const tokenizer = await TextTokenizer.open(folder, config.positions);
    checkVocabulary(folder, tokenizer, config.vocabulary);
    if (config.padToMax && tokenizer.padId === undefined) {
      throw new ModelError(
        'model_invalid',
        `tokenizer_config.json in ${folder} names no pad_token that tokenizer.json has.`,
      );
    }
    const parts = wanted.map((tower) => {
      // A query is a few tokens long: another thread hardly gains, and takes a core from all else that a search does at the same time.
      const isShort = tower === 'text' && !config.padToMax;
      return { file: CLIP_FILES[tower], boundedInputs: true, threads: isShort && runtime.interactive ? 1 : undefined };
    });
    const opened = await openSessions(folder, parts, runtime);
    const { device } = opened.runtime;
    const batch = picturesPerRun(device, device === 'cpu' ? undefined : await freeGpuBytes());
    const sessions = Object.fromEntries(wanted.map((tower, i) => [tower, opened.sessions[i]]));
    const engine = new ClipEngine(config, tokenizer, sessions, opened.runtime, batch);
    for (const [i, tower] of wanted.entries()) {
      try {
        if (tower === 'text') await engine.#warmUpText();
        else await engine.#encodePixels(new Float32Array(3 * config.imageSize ** 2), 1);
      } catch (error) {
        await engine.close();
        const reason = error instanceof Error ? error.message : String(error);
        if (unknownToken.test(reason)) throw foreignTokenizer(folder, reason);
        throw new ModelError(
          'model_invalid',
          `${join(folder, opened.runtime.files[i] as string)} does not fit its config.json: ${reason}`,
        );
      }
    }
    return engine;
  }

  /** Frames that are already scaled: RGB of `frameSize`², one after the other. */
  async encodeImages(
    { rgb, count }: { rgb: Uint8Array; count: number },
    signal: AbortSignal,
  ): Promise<Reply<Float32Array>> {
    const bytes = this.#config.frameSize ** 2 * 3;
    return this.#encodeRuns(count, signal, (first, size) => this.#preprocessor.frames(rgb, first * bytes, size));
  }

  /** Pictures of any size, prepared as the model's image processor does. */
  async encodePictures({ pictures }: { pictures: Picture[] }, signal: AbortSignal): Promise<Reply<Float32Array>> {
    return this.#encodeRuns(pictures.length, signal, (first, size) =>
      this.#preprocessor.pictures(pictures.slice(first, first + size)),
    );
  }

  /** One text a run: its embedding then depends on nothing but itself. */
  async encodeTexts({ texts }: { texts: string[] }, signal: AbortSignal): Promise<Reply<Float32Array>> {
    const dimension = this.#dimension;
    const out = new Float32Array(texts.length * dimension);
    for (const [i, text] of texts.entries()) {
      signal.throwIfAborted();
      out.set(await this.#encodeText(text), i * dimension);
    }
    return { value: out, transfer: [out.buffer] };
  }

  async close(): Promise<void> {
    await this.#image?.release();
    await this.#text?.release();
  }

  async #encodeRuns(
    count: number,
    signal: AbortSignal,
    pixels: (first: number, size: number) => Float32Array,
  ): Promise<Reply<Float32Array>> {
    const dimension = this.#dimension;
    const out = new Float32Array(count * dimension);
    for (let first = 0; first < count; first += this.#batch) {
      signal.throwIfAborted();
      const size = Math.min(this.#batch, count - first);
      out.set(await this.#encodePixels(pixels(first, size), size), first * dimension);
    }
    return { value: out, transfer: [out.buffer] };
  }

  async #encodePixels(pixels: Float32Array, count: number): Promise<Float32Array> {
    if (!this.#image) throw new ModelError('inference_failed', 'this CLIP was opened without its image tower');
    const { imageSize } = this.#config;
    const input = floatTensor(this.#image, 'pixel_values', pixels, [count, 3, imageSize, imageSize]);
    return this.#normalisedRows(await run(this.#image, { pixel_values: input }), 'image_embeds', count);
  }

  /** Once as it will be used, and once with the tokeniser's last token, which the model must know: not every config.json says how many it has. */
  async #warmUpText(): Promise<void> {
    await this.#encodeText('');
    const [, ...ids] = this.#tokenizer.encode('');
    await this.#encodeIds([this.#tokenizer.maxId, ...ids]);
  }

  async #encodeText(text: string): Promise<Float32Array> {
    const { maxTokens, padId } = this.#tokenizer;
    const ids = this.#tokenizer.encode(text);
    if (!this.#config.padToMax) return this.#encodeIds(ids);
    return this.#encodeIds([...ids, ...new Array<number>(maxTokens - ids.length).fill(padId as number)]);
  }

  async #encodeIds(ids: number[]): Promise<Float32Array> {
    if (!this.#text) throw new ModelError('inference_failed', 'this CLIP was opened without its text tower');
    const shape = [1, ids.length];
    const feeds: Record<string, Tensor> = { input_ids: new Tensor('int64', BigInt64Array.from(ids, BigInt), shape) };
    // SigLIP was trained without a mask: its padding is part of the text (transformers' SiglipProcessor gives none).
    if (this.#text.inputNames.includes('attention_mask')) {
      feeds.attention_mask = new Tensor('int64', new BigInt64Array(ids.length).fill(1n), shape);
    }
    return this.#normalisedRows(await run(this.#text, feeds), 'text_embeds', 1);
  }

  /** CLIP exports name their projection; SigLIP's pooled output is its embedding. */
  #normalisedRows(outputs: InferenceSession.ReturnType, name: string, count: number): Float32Array {
    const output = outputs[name] ?? outputs.pooler_output;
    const rows = output && floats(output);
    if (this.#dimension === 0 && rows) this.#dimension = rows.length / count;
    const dimension = this.#dimension;
    if (!rows || rows.length !== count * dimension) {
      throw new ModelError(
        'model_invalid',
        `its output is not ${name} of ${dimension} numbers (${output?.dims ?? 'none'})`,
      );
    }
    for (let start = 0; start < rows.length; start += dimension) {
      let sum = 0;
      for (let i = start; i < start + dimension; i++) sum += (rows[i] as number) ** 2;
      const scale = 1 / Math.max(Math.sqrt(sum), 1e-12);
      for (let i = start; i < start + dimension; i++) rows[i] = (rows[i] as number) * scale;
    }
    return rows;
  }
}
