import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import type { Logger } from 'pino';
import type { Config } from '#config';
import {
  type ClipModel,
  ModelError,
  type OptionalPart,
  openClip,
  openPassageEncoder,
  openWhisper,
  type Part,
  type PassageEncoder,
  PROFILES,
  type ResolvedProfile,
  resolveProfile,
  type WhisperModel,
} from '#models';
import type { FramesModel, WorkerStatus } from '#store';
import { problemOf } from './problems.ts';
import { Stores } from './stores.ts';
import { CONFIG, LOGGER } from './tokens.ts';

const FIRST_RETRY_MS = 2_000;
const LONGEST_RETRY_MS = 60_000;

/**
 * The models of this worker: loaded in the background, tried again for as long as they can't be had. It takes no frames and no speech before
 * all that it is set to use are whole: a worker that should do without one model is set so (FRAMES_CONCURRENCY=0, SPEECH_CONCURRENCY=0).
 */
@Injectable()
export class Models implements OnApplicationShutdown {
  readonly #loaded = Promise.withResolvers<void>();
  readonly #closing = new AbortController();
  #resolved?: ResolvedProfile;
  #clip?: ClipModel;
  #whisper?: WhisperModel;
  #text?: PassageEncoder;
  /** By id: models other than this worker's own, which a change of models is coming from or going to. */
  readonly #others = new Map<string, Promise<ClipModel>>();
  #note? = 'loading models';
  #ready = false;
  #loading?: Promise<void>;

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    @Inject(LOGGER) private readonly log: Logger,
    private readonly stores: Stores,
  ) {}

  /** Resolves when the models are loaded and whole; never rejects. */
  get loaded(): Promise<void> {
    return this.#loaded.promise;
  }

  start(): void {
    this.#loading ??= this.#loadUntilDone();
  }

  /**
   * What frames are made with: `wanted` where a run names a model, else the active model, so that they are found at once. Where the active one can't be had
   * here it is this worker's own, and its frames are found when that one is active. Throws ModelError where `wanted` can't be had.
   */
  async forFrames(wanted: FramesModel | undefined): Promise<{ clip: ClipModel; profile: string }> {
    if (!this.#clip || !this.#resolved) throw new Error('A frames job was taken before CLIP was loaded');
    const own = { clip: this.#clip, profile: this.#resolved.profile };
    // None is active where Redis has lost its data since this worker began.
    const model = wanted ?? (await this.stores.catalog.framesModel()) ?? (await this.#offer());
    if (!model || model.id === own.clip.id) return own;
    try {
      return { ...own, clip: await this.#other(model) };
    } catch (error) {
      if (wanted || this.#closing.signal.aborted) throw error;
      this.log.error(
        { err: error, active: model.id, used: own.clip.id },
        'frames are not found before the active model is changed',
      );
      return own;
    }
  }
  forSpeech(): { whisper: WhisperModel; profile: string } {
    if (!this.#whisper || !this.#resolved) throw new Error('A speech job was taken before Whisper was loaded');
    return { whisper: this.#whisper, profile: this.#resolved.profile };
  }
  /** Embeds passages, so that they are found by meaning too; undefined where there is no model for it. */
  get passages(): PassageEncoder | undefined {
    return this.#text;
  }

  status(): Omit<WorkerStatus, 'id'> {
    return {
      ready: this.#ready,
      profile: this.#resolved?.profile,
      fallbackReason: this.#resolved?.fallbackReason,
      framesModel: this.#framesModel,
      models: { clip: this.#clip?.id, whisper: this.#whisper?.id, text: this.#text?.id },
      device: (this.#clip ?? this.#whisper)?.runtime.device ?? this.config.models.device,
      note: this.#note,
    };
  }

  async onApplicationShutdown(): Promise<void> {
    this.#closing.abort();
    await this.#loading;
    for (const other of this.#others.values()) await other.then((clip) => clip.close()).catch(() => {});
    await Promise.allSettled([this.#clip?.close(), this.#whisper?.close(), this.#text?.close()]);
  }

  get #framesModel(): FramesModel | undefined {
    if (!this.#clip || !this.#resolved) return undefined;
    const { clip, profile, fallbackReason } = this.#resolved;
    const asked = this.config.models.clip ?? PROFILES[profile].clip;
    const named = [asked, PROFILES.tiny.clip].find((name) => clip.id.startsWith(`${name}@`));
    return {
      id: clip.id,
      dimension: this.#clip.dimension,
      name: named ?? resolve(clip.folder),
      ...(fallbackReason && named !== asked && { isFallback: true }),
    };
  }

  #other({ id, name }: FramesModel): Promise<ClipModel> {
    let other = this.#others.get(id);
    if (!other) {
      other = this.#openOther(id, name);
      this.#others.set(id, other);
      other.catch(() => this.#others.delete(id));
    }
    return other;
  }

  async #openOther(id: string, name: string): Promise<ClipModel> {
    const { models } = this.config;
    const parts = ['clip'] as const;
    const { clip } = await resolveProfile({
      ...models,
      clip: name,
      parts,
      allowFallback: false,
      signal: this.#closing.signal,
    });
    if (clip.id !== id) throw new ModelError('model_not_found', `${name} is another model now: ${clip.id}, not ${id}.`);
    this.log.info({ model: id }, 'a second model is opened, for frames beside those of this worker’s own');
    return openClip(clip.folder, { device: models.device, threads: models.threads, id, towers: 'image' });
  }

  /** Without an active model, or with one that no video needs, this worker's own becomes it. Gives the one that is active then. */
  async #offer(): Promise<FramesModel | undefined> {
    const own = this.#framesModel;
    if (!own) return undefined;
    const active = await this.stores.catalog.offerFramesModel(own);
    if (active.id !== own.id)
      this.log.warn(
        { active: active.id, own: own.id },
        'search goes on with the active model; `cuepoint reindex` indexes all videos with the one that is set, then changes over',
      );
    await this.stores.index
      .nameActiveFrames(active)
      .catch((err: unknown) => this.log.warn({ err }, 'the active frames were not named in the index'));
    return active;
  }

  /** Does without an optional part that is broken, unless it was asked for by name. */
  async #optional<Model>(part: OptionalPart, open: () => Promise<Model>): Promise<Model | undefined> {
    try {
      return await open();
    } catch (error) {
      if (this.config.models[part] !== undefined || !(error instanceof ModelError) || error.retryable) throw error;
      this.log.warn({ err: error, part }, 'an optional model cannot be used and is left out');
      return undefined;
    }
  }

  async #loadUntilDone(): Promise<void> {
    const { signal } = this.#closing;
    for (let waitMs = FIRST_RETRY_MS; !signal.aborted; waitMs = Math.min(waitMs * 2, LONGEST_RETRY_MS)) {
      try {
        await this.#load(signal);
        return;
      } catch (error) {
        if (signal.aborted) return;
        const { code, message } = problemOf(error);
        this.#note = `models can't be loaded (${code}): ${message}`;
        this.log.error({ err: error, code, retryInMs: waitMs }, "models can't be loaded; frames and speech wait");
        await sleep(waitMs, undefined, { signal }).catch(() => {});
      }
    }
  }

  async #load(signal: AbortSignal): Promise<void> {
    const startedAt = Date.now();
    const { models, indexing } = this.config;
    const frames = indexing.framesConcurrency > 0;
    const speech = indexing.speechConcurrency > 0;
    const parts: Part[] = [
      ...(frames ? (['clip'] as const) : []),
      ...(speech ? (['whisper', 'vad'] as const) : []),
      'text', // captions have passages too
    ];
    this.#resolved = await resolveProfile({
      ...models,
      parts,
      allowFallback: true,
      signal,
      onProgress: ({ repo, file, loadedBytes, totalBytes }) => {
        this.#note = `downloading ${repo}/${file}: ${Math.floor((100 * loadedBytes) / Math.max(1, totalBytes))} %`;
      },
    });
    const { clip, whisper, vad, text, profile, fallbackReason, notes } = this.#resolved;
    if (fallbackReason) this.log.warn({ profile, fallbackReason }, 'other models than asked for');
    for (const note of notes) this.log.warn(note);
    this.#note = 'loading models';
    const { device, threads } = models;
    if (frames) this.#clip ??= await openClip(clip.folder, { device, threads, id: clip.id, towers: 'image' });
    if (speech) {
      const options = { device, threads, id: whisper.id };
      const vadFile = vad && join(vad.folder, vad.files[0] as string);
      this.#whisper ??=
        (vadFile
          ? await this.#optional('vad', () => openWhisper(whisper.folder, { ...options, vadFile }))
          : undefined) ?? (await openWhisper(whisper.folder, options));
    }
    if (text) {
      const options = { device, threads, id: text.id };
      this.#text ??= await this.#optional('text', () => openPassageEncoder(text.folder, options));
    }
    const { device: used, deviceNote } = (this.#clip ?? this.#whisper)?.runtime ?? {};
    if (deviceNote) this.log.info({ device: used, deviceNote }, 'the models run on another device than the best one');
    signal.throwIfAborted();
    // It waits for a Redis that is away; who is told to stop does not.
    await Promise.race([this.#offer(), once(signal, 'abort')]);
    signal.throwIfAborted();
    this.#note = undefined;
    this.#ready = true;
    this.log.info(
      { profile, ...this.status().models, device: used, tookMs: Date.now() - startedAt },
      'models are loaded',
    );
    this.#loaded.resolve();
  }
}
