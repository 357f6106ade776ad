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
/** Early exports have few of these; what is missing is known from config.json, the tokenizer or the published method. */
const generationSchema = z.object({
  no_timestamps_token_id: z.number().nullish(),
  decoder_start_token_id: z.number().nullish(),
  eos_token_id: z.union([z.number(), z.array(z.number()).transform((list) => list[0])]).nullish(),
  prev_sot_token_id: z.number().nullish(),
  suppress_tokens: ids,
  begin_suppress_tokens: ids,
  max_initial_timestamp_index: z.number().nullish(),
  max_length: z.number().nullish(),
  is_multilingual: z.boolean().nullish(),
  lang_to_id: z.record(z.string(), z.number()).nullish(),
  task_to_id: z.record(z.string(), z.number()).nullish(),
  no_speech_threshold: z.number().nullish(),
  logprob_threshold: z.number().nullish(),
  compression_ratio_threshold: z.number().nullish(),
  // A single number here is transformers' sampling default, not Whisper's list.
  temperature: z.union([z.array(z.number()).min(1), z.number().transform(() => undefined)]).nullish(),
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
  vocabulary: number;
  /** Most tokens of one sequence, prompt included. */
  maxTokens: number;
  /** Most tokens that are chosen for one window. */
  maxNewTokens: number;
  startToken: number;
  endToken: number;
  /** Opens a prompt: `<|startofprev|>`. */
  previousToken: number | undefined;
  /** First timestamp token, `<|0.00|>`; all above are timestamps too. */
  firstTimestamp: number;
  /** Latest first timestamp a window may open with, in steps. */
  maxInitialTimestamp: number;
  msPerTimestamp: number;
  tasks: { transcribe: number | undefined; translate: number | undefined };
  /** ISO 639-1 code to language token; empty for a model of one language without language tokens. */
  languages: Map<string, number>;
  noSpeechToken: number;
  /** Never chosen: the model's list, and the special tokens that open a sequence. */
  suppressed: number[];
  suppressedFirst: number[];
  thresholds: Thresholds;
}
/** When to try again or not to believe (Radford et al. 2022, section 4.5; openai/whisper transcribe.py). */
export interface Thresholds {
  /** A window is silent when its no-speech probability is over this and its mean log-probability under `logprob`. */
  noSpeech: number;
  logprob: number;
  /** Text that deflate makes smaller than by this says something over and over. */
  compressionRatio: number;
  /** Tried in turn until a window passes. */
  temperatures: number[];
}
export interface WhisperConfig {
  features: FeatureConfig;
  decoder: DecoderConfig;
  tokenizer: object;
  tokenizerConfig: object;
}

const published: Thresholds = {
  noSpeech: 0.6,
  logprob: -1,
  compressionRatio: 2.4,
  temperatures: [0, 0.2, 0.4, 0.6, 0.8, 1],
};
const maxInitialTimestampMs = 1000;

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
  const startToken = generation.decoder_start_token_id ?? model.decoder_start_token_id;
  const endToken = generation.eos_token_id ?? model.eos_token_id;
  const noTimestamps = generation.no_timestamps_token_id ?? special.get('<|notimestamps|>');
  if (noTimestamps === undefined) {
    throw new ModelError(
      'model_invalid',
      `No file in ${folder} names the token <|notimestamps|>. It is not a Whisper.`,
    );
  }
  const expected = { '<|startoftranscript|>': startToken, '<|endoftext|>': endToken, '<|notimestamps|>': noTimestamps };
  for (const [token, id] of Object.entries(expected)) {
    if (special.get(token) !== id || id >= model.vocab_size) {
      const message = `tokenizer.json in ${folder} is of another model: its ${token} is ${special.get(token) ?? 'missing'}, this model's is ${id}.`;
      throw new ModelError('model_invalid', message);
    }
  }
  const transcribe = generation.task_to_id?.transcribe ?? special.get('<|transcribe|>');
  const translate = generation.task_to_id?.translate ?? special.get('<|translate|>');
  // The last token before <|notimestamps|>; renamed in time, and so looked up by its place (openai/whisper tokenizer.py).
  const noSpeechToken = noTimestamps - 1;
  const previousToken = generation.prev_sot_token_id ?? special.get('<|startofprev|>');
  // Always suppressed in openai/whisper decoding.py, whatever the model's list.
  const openers = [
    startToken,
    noTimestamps,
    noSpeechToken,
    transcribe,
    translate,
    previousToken,
    special.get('<|startoflm|>'),
  ];
  const msPerTimestamp = ((audio.n_samples / audio.sampling_rate) * 1000) / model.max_source_positions;
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
      vocabulary: model.vocab_size,
      maxTokens: model.max_target_positions,
      maxNewTokens: Math.min(generation.max_length ?? Infinity, Math.floor(model.max_target_positions / 2)),
      startToken,
      endToken,
      previousToken,
      firstTimestamp: noTimestamps + 1,
      maxInitialTimestamp: generation.max_initial_timestamp_index ?? Math.round(maxInitialTimestampMs / msPerTimestamp),
      msPerTimestamp,
      tasks: { transcribe, translate },
      languages: languagesOf(generation, special, model.vocab_size),
      noSpeechToken,
      suppressed: [
        ...new Set([
          ...(generation.suppress_tokens ?? model.suppress_tokens ?? []),
          ...openers.filter((token) => token !== undefined),
        ]),
      ].filter((token) => token >= 0),
      suppressedFirst: generation.begin_suppress_tokens ?? model.begin_suppress_tokens ?? [endToken],
      thresholds: {
        noSpeech: generation.no_speech_threshold ?? published.noSpeech,
        logprob: generation.logprob_threshold ?? published.logprob,
        compressionRatio: generation.compression_ratio_threshold ?? published.compressionRatio,
        temperatures: generation.temperature ?? published.temperatures,
      },
    },
    tokenizer,
    tokenizerConfig,
  };
}

/** A vocabulary of at least this size has language tokens (openai/whisper model.py, is_multilingual). */
const multilingualVocabulary = 51_865;

function languagesOf(
  { is_multilingual: multilingual, lang_to_id: given }: z.infer<typeof generationSchema>,
  special: Map<string, number>,
  vocabulary: number,
): Map<string, number> {
  const bare = (token: string) => token.replace(/^<\||\|>$/g, '');
  if (given && multilingual !== false) return new Map(Object.entries(given).map(([token, id]) => [bare(token), id]));
  if (!(multilingual ?? vocabulary >= multilingualVocabulary)) return new Map();
  return new Map(
    [...special].filter(([token]) => /^<\|[a-z]{2,3}\|>$/.test(token)).map(([token, id]) => [bare(token), id]),
  );
}
