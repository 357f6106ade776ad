import { Inject, Injectable } from '@nestjs/common';
import type { Logger } from 'pino';
import type { Config } from '#config';
import {
  type ClipModel,
  openClip,
  openPassageEncoder,
  type PassageEncoder,
  type Picture,
  type ResolvedProfile,
  resolveProfile,
} from '#models';
import type { TextEncoder } from '#retrieval';
import { ProblemError } from '../problems.ts';
import type { SearchState } from '../schemas/index.ts';
import { CONFIG, LOGGER } from '../tokens.ts';
import { cached, remembering } from './text-cache.ts';

/** A search that comes while the models load waits so long before it is told to come again. */
const WAIT_MS = 10_000;
const FIRST_RETRY_MS = 2_000;
const LONGEST_RETRY_MS = 60_000;

/** For searches among passages only, which need no model. */
export const NO_ENCODER: TextEncoder = {
  id: 'none',
  dimension: 0,
  logitScale: 1,
  encodeTexts: () => Promise.reject(new Error('a search among passages encodes no text')),
};

/** Loads the text tower of CLIP in the background, so that the api answers at once; tries again for as long as it can't be had. */
@Injectable()
export class ModelsService {
  #state: SearchState = { state: 'loading' };
  #loading: Promise<ClipModel | undefined> | undefined;
  #retryMs = FIRST_RETRY_MS;
  #resolved: ResolvedProfile<'clip'> | undefined;
  #cached: TextEncoder | undefined;
  #imageTower: Promise<ClipModel> | undefined;
  #passages: PassageEncoder | undefined;
  #loadingPassages: Promise<void> | undefined;
  readonly #closing = new AbortController();

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    @Inject(LOGGER) private readonly log: Logger,
  ) {}

  get state(): SearchState {
    return this.#state;
  }
  get resolved(): ResolvedProfile<'clip'> | undefined {
    return this.#resolved;
  }

  /** Finds passages by what they mean; undefined as long as it is not there, and where there is no model for it: they are then found by their words. */
  get passageEncoder(): PassageEncoder | undefined {
    return this.#passages;
  }

  /** Begins to load; called once the server listens. */
  start(): void {
    this.#loading ??= this.#load();
  }

  /**
   * Embeddings of pictures, with the image tower, which is opened when the first one comes. Throws as `encoder` does, and `models_unavailable` where the
   * image tower cannot be opened.
   */
  async encodePictures(pictures: Picture[]): Promise<Float32Array[]> {
    await this.encoder();
    this.#imageTower ??= this.#loadImageTower();
    return (await this.#imageTower).encodePictures(pictures);
  }

  /** The text encoder. Throws `models_loading` when it is not there in time, `models_unavailable` when it cannot be. */
  async encoder(): Promise<TextEncoder> {
    this.start();
    let timer: NodeJS.Timeout | undefined;
    const waited = new Promise<undefined>((resolve) => {
      timer = setTimeout(resolve, WAIT_MS, undefined);
    });
    const model = await Promise.race([this.#loading, waited]);
    clearTimeout(timer);
    if (model) {
      this.#cached ??= cached(model);
      return this.#cached;
    }
    if (this.#state.state === 'failed') {
      throw new ProblemError('models_unavailable', this.#state.reason ?? 'The models could not be loaded.');
    }
    throw new ProblemError('models_loading', 'Search works as soon as the models are loaded.', {
      headers: { 'retry-after': '10' },
    });
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await (await this.#loading)?.close();
    await this.#imageTower?.then((model) => model.close()).catch(() => {});
    await this.#loadingPassages;
    await this.#passages?.close();
  }

  async #loadImageTower(): Promise<ClipModel> {
    const { clip } = this.#resolved as ResolvedProfile<'clip'>;
    const { device, threads } = this.config.models;
    try {
      return await openClip(clip.folder, { id: clip.id, towers: 'image', device, threads });
    } catch (error) {
      this.#imageTower = undefined;
      throw new ProblemError('models_unavailable', `Pictures cannot be encoded: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  async #load(): Promise<ClipModel | undefined> {
    const { profile, device, threads, ...places } = this.config.models;
    try {
      this.#resolved = await resolveProfile({
        profile,
        device,
        ...places,
        parts: ['clip'],
        allowFallback: true,
        signal: this.#closing.signal,
        onProgress: ({ repo, file, loadedBytes, totalBytes }) => {
          const percent = Math.floor((100 * loadedBytes) / Math.max(1, totalBytes));
          this.#state = { state: 'loading', profile, reason: `downloading ${repo}/${file}: ${percent} %` };
        },
      });
      const { clip, fallbackReason } = this.#resolved;
      this.#state = { state: 'loading', profile };
      const model = await openClip(clip.folder, { id: clip.id, towers: 'text', device, threads });
      this.#state = { state: 'ready', profile: this.#resolved.profile, model: clip.id, fallbackReason };
      this.log.info(this.#state, fallbackReason ? 'search is ready, with the fallback models' : 'search is ready');
      this.#loadingPassages ??= this.#loadPassages();
      return model;
    } catch (error) {
      if (this.#closing.signal.aborted) return undefined;
      this.#state = { state: 'failed', profile, reason: (error as Error).message };
      this.log.error({ err: error, retryInMs: this.#retryMs }, 'the search models cannot be used');
      this.#retryLater();
      return undefined;
    }
  }

  /** After CLIP: search does not wait for it. */
  async #loadPassages(): Promise<void> {
    const { device, threads, ...places } = this.config.models;
    try {
      const profile = this.#resolved?.profile ?? places.profile;
      const { signal } = this.#closing;
      const { text, notes } = await resolveProfile({
        ...places,
        profile,
        device,
        parts: ['text'],
        allowFallback: false,
        signal,
      });
      for (const note of notes) this.log.warn(note);
      if (!text) return;
      const model = await openPassageEncoder(text.folder, { id: text.id, device, threads });
      this.#passages = { ...model, encodeQueries: remembering((texts, stop) => model.encodeQueries(texts, stop)) };
    } catch (error) {
      if (this.#closing.signal.aborted) return;
      this.log.error({ err: error, retryInMs: LONGEST_RETRY_MS }, 'passages are found by their words alone');
      setTimeout(() => {
        if (!this.#closing.signal.aborted) this.#loadingPassages = this.#loadPassages();
      }, LONGEST_RETRY_MS).unref();
    }
  }

  #retryLater(): void {
    setTimeout(() => {
      if (this.#closing.signal.aborted) return;
      this.#loading = this.#load();
    }, this.#retryMs).unref();
    this.#retryMs = Math.min(this.#retryMs * 2, LONGEST_RETRY_MS);
  }
}
