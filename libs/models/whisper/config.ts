import { z } from 'zod';
import { ModelError } from '../errors.ts';
import { readModelJson } from '../folder.ts';

const ids = z.array(z.number()).nullish();
const modelSchema = z.object({
  model_type: z.literal('whisper'),
  num_mel_bins: z.number(),
  d_model: z.number(),
  decoder_layers: z.number(),
  decoder_attention_heads: z.number(),
  max_source_positions: z.number(),
  max_target_positions: z.number(),
  vocab_size: z.number(),
  decoder_start_token_id: z.number(),
  eos_token_id: z.number(),
  suppress_tokens: ids,
  begin_suppress_tokens: ids,
});
const generationSchema = z.object({
  no_timestamps_token_id: z.number(),
  decoder_start_token_id: z.number().optional(),
  eos_token_id: z.union([z.number(), z.array(z.number()).transform((list) => list[0])]).optional(),
  suppress_tokens: ids,
  begin_suppress_tokens: ids,
  max_initial_timestamp_index: z.number().nullish(),
  max_length: z.number().optional(),
  lang_to_id: z.record(z.string(), z.number()).optional(),
  task_to_id: z.record(z.string(), z.number()).optional(),
});
const preprocessorSchema = z.object({
  feature_size: z.number(),
  sampling_rate: z.number(),
  hop_length: z.number(),
  n_fft: z.number(),
  n_samples: z.number(),
  nb_max_frames: z.number(),
});
const tokenizerSchema = z.looseObject({
  added_tokens: z.array(z.looseObject({ id: z.number(), content: z.string(), special: z.boolean() })),
});

/** Numbers of the log-mel features (preprocessor_config.json). */
export interface FeatureConfig {
  melBins: number;
  sampleRate: number;
  hopLength: number;
  fftSize: number;
  windowSamples: number;
  frames: number;
}
/** Numbers of the decoder (config.json, generation_config.json, tokenizer.json). */
export interface DecoderConfig {
  layers: number;
  heads: number;
  headSize: number;
  /** Most tokens of one sequence, prompt included. */
  maxTokens: number;
  startToken: number;
  endToken: number;
  /** First timestamp token, `<|0.00|>`; all above are timestamps too. */
  firstTimestamp: number;
  /** Latest first timestamp a window may open with, in steps. */
  maxInitialTimestamp: number | undefined;
  msPerTimestamp: number;
  transcribeToken: number | undefined;
  /** ISO 639-1 code to language token; empty for a model of one language without language tokens. */
  languages: Map<string, number>;
  noSpeechToken: number | undefined;
  /** Never chosen: the model's list, and all special tokens that are no answer. */
  suppressed: number[];
  suppressedFirst: number[];
}
export interface WhisperConfig {
  features: FeatureConfig;
  decoder: DecoderConfig;
  tokenizer: object;
  tokenizerConfig: object;
}

/** Files a Whisper folder must have. */
export const WHISPER_FILES = {
  json: [
    'config.json',
    'generation_config.json',
    'preprocessor_config.json',
    'tokenizer.json',
    'tokenizer_config.json',
  ],
  encoder: 'onnx/encoder_model.onnx',
  decoder: 'onnx/decoder_model_merged.onnx',
};

/** Reads and cross-checks a Whisper folder's JSON files. Throws ModelError. */
export async function readWhisperConfig(folder: string): Promise<WhisperConfig> {
  const model = await readModelJson(folder, 'config.json', modelSchema);
  const generation = await readModelJson(folder, 'generation_config.json', generationSchema);
  const audio = await readModelJson(folder, 'preprocessor_config.json', preprocessorSchema);
  const tokenizer = await readModelJson(folder, 'tokenizer.json', tokenizerSchema);
  const tokenizerConfig = await readModelJson(folder, 'tokenizer_config.json', z.looseObject({}));

  if (audio.feature_size !== model.num_mel_bins) {
    const message = `preprocessor_config.json in ${folder} makes ${audio.feature_size} mel bins, config.json wants ${model.num_mel_bins}.`;
    throw new ModelError('model_invalid', message);
  }
  // The encoder halves the frames: its second convolution has stride 2 (Radford et al. 2022, section 2.2).
  if (audio.nb_max_frames !== 2 * model.max_source_positions) {
    const message = `preprocessor_config.json in ${folder} makes ${audio.nb_max_frames} frames, config.json wants ${2 * model.max_source_positions}.`;
    throw new ModelError('model_invalid', message);
  }
  const special = new Map(
    tokenizer.added_tokens.filter((token) => token.special).map(({ content, id }) => [content, id]),
  );
  const endToken = generation.eos_token_id ?? model.eos_token_id;
  const firstTimestamp = generation.no_timestamps_token_id + 1;
  const specialNoAnswer = [...special.values()].filter((id) => id !== endToken && id < firstTimestamp);
  return {
    features: {
      melBins: audio.feature_size,
      sampleRate: audio.sampling_rate,
      hopLength: audio.hop_length,
      fftSize: audio.n_fft,
      windowSamples: audio.n_samples,
      frames: audio.nb_max_frames,
    },
    decoder: {
      layers: model.decoder_layers,
      heads: model.decoder_attention_heads,
      headSize: model.d_model / model.decoder_attention_heads,
      maxTokens: Math.min(generation.max_length ?? Infinity, model.max_target_positions),
      startToken: generation.decoder_start_token_id ?? model.decoder_start_token_id,
      endToken,
      firstTimestamp,
      maxInitialTimestamp: generation.max_initial_timestamp_index ?? undefined,
      msPerTimestamp: ((audio.n_samples / audio.sampling_rate) * 1000) / model.max_source_positions,
      transcribeToken: generation.task_to_id?.transcribe,
      languages: new Map(
        Object.entries(generation.lang_to_id ?? {}).map(([token, id]) => [token.replace(/^<\||\|>$/g, ''), id]),
      ),
      // Renamed when Whisper became multilingual v2; both names are in use.
      noSpeechToken: special.get('<|nospeech|>') ?? special.get('<|nocaptions|>'),
      suppressed: [...(generation.suppress_tokens ?? model.suppress_tokens ?? []), ...specialNoAnswer],
      suppressedFirst: generation.begin_suppress_tokens ?? model.begin_suppress_tokens ?? [],
    },
    tokenizer,
    tokenizerConfig,
  };
}
