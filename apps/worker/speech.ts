import { Inject, Injectable } from '@nestjs/common';
import type { Config } from '#config';
import { type PassageRow, passageId } from '#store';
import { decodeAudio, quietestCut, SAMPLE_RATE } from '#video';
import type { Handler, JobContext } from './handler.ts';
import { Models } from './models.ts';
import { writePassages } from './passages.ts';
import { ahead, inGroups } from './pipeline.ts';
import { runShard } from './shard-run.ts';
import { Stores } from './stores.ts';
import { CONFIG } from './tokens.ts';

/** A border between shards moves at most so far, to where it is quiet; a quarter of very short shards, so that borders never meet. */
const BORDER_MS = 5_000;
/** Rows of one write to the index. */
const ROWS = 64;
/** The quietest place near a border is looked for on the main thread: in pieces so short that it never waits for long. */
const CHUNK_MS = 2_000;

/** What finalize hears of a finished shard. */
export interface SpeechResult {
  passages: number;
  /** Decoded, speech or not. */
  samples: number;
  /** ISO 639-1 code of what was said, given or detected. */
  language?: string;
  model: string;
  profile: string;
}

/** One shard of a video: its speech as text with times, indexed. */
@Injectable()
export class SpeechHandler implements Handler<'speech'> {
  readonly queue = 'speech';
  readonly needsModels = true;
  readonly concurrency: number;
  readonly #borderMs: number;

  constructor(
    @Inject(CONFIG) config: Config,
    private readonly stores: Stores,
    private readonly models: Models,
  ) {
    this.concurrency = config.indexing.speechConcurrency;
    this.#borderMs = Math.min(BORDER_MS, config.indexing.shardMs / 4);
  }

  async handle(context: JobContext<'speech'>): Promise<SpeechResult> {
    const { tenant, videoId, startMs, endMs } = context.data;
    const { whisper, profile } = this.models.forSpeech();
    return runShard(this.stores, 'speech', context, async ({ video, media, path, signal, done }) => {
      const decode: Decode = (startMs, endMs) =>
        decodeAudio(path, { startMs, endMs, chunkMs: CHUNK_MS, language: video.language }, signal);
      const from = await quietBorder(decode, startMs, this.#borderMs, media.durationMs);
      const to = await quietBorder(decode, endMs, this.#borderMs, media.durationMs);
      let samples = 0;
      const pcm = decode(from, to);
      const segments = whisper.transcribe(
        ahead(
          counted(pcm, (piece) => (samples += piece.length)),
          4,
        ),
        {
          language: video.language,
          task: video.task,
          prompt: video.prompt,
          onProgress: (doneMs) => done(from + doneMs - startMs),
        },
        signal,
      );
      let passages = 0;
      let { language } = video;
      for await (const group of inGroups(ahead(segments, ROWS), ROWS)) {
        signal.throwIfAborted();
        const rows = group.map((segment): PassageRow => {
          const at = from + segment.startMs;
          return {
            id: passageId(videoId, at),
            tenant,
            videoId,
            startMs: at,
            endMs: from + segment.endMs,
            text: segment.text,
            language: segment.language ?? video.language,
          };
        });
        await writePassages(this.stores.index, this.models.passages, rows, signal);
        passages += group.length;
        language ??= group[0]?.spoken;
      }
      return { passages, samples, language, model: whisper.id, profile };
    });
  }
}

async function* counted<T>(items: AsyncIterable<T>, count: (item: T) => unknown): AsyncGenerator<T> {
  for await (const item of items) {
    count(item);
    yield item;
  }
}

type Decode = (startMs: number, endMs: number) => AsyncIterable<Float32Array<ArrayBuffer>>;

/** Where to cut near `borderMs`: the quietest place within `reachMs` of it. Both neighbours look at the same audio, and so cut at the same place. */
async function quietBorder(decode: Decode, borderMs: number, reachMs: number, durationMs: number): Promise<number> {
  if (borderMs <= 0) return 0;
  if (borderMs >= durationMs) return durationMs;
  const startMs = Math.max(0, borderMs - reachMs);
  const endMs = Math.min(durationMs, borderMs + reachMs);
  const pcm = new Float32Array(Math.round(((endMs - startMs) / 1000) * SAMPLE_RATE));
  let offset = 0;
  for await (const piece of decode(startMs, endMs)) {
    const heard = piece.subarray(0, Math.max(0, pcm.length - offset));
    pcm.set(heard, offset);
    offset += heard.length;
  }
  return startMs + Math.round(quietestCut(pcm));
}
