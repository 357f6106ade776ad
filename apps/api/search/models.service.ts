import { Inject, Injectable } from '@nestjs/common';
import type { Logger } from 'pino';
import type { Config } from '#config';
import {
  type ClipModel,
  openClip,
  openPassageEncoder,
  type PassageEncoder,
  type Picture,
  PROFILES,
  type ResolvedProfile,
  resolveProfile,
} from '#models';
import type { TextEncoder } from '#retrieval';
import { Catalog, type FramesModel } from '#store';
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

/** A CLIP as search uses it: its text tower, and its image tower once a picture comes. */
interface Opened {
  clip: ClipModel;
  encoder: TextEncoder;
  folder: string;
  imageTower?: Promise<ClipModel>;
}

/**
 * Loads the text tower of CLIP in the background, so that the api answers at once; tries again for as long as it can't be had. Search uses the active model's:
 * while `cuepoint reindex` has not changed over to the one that is set, that is another one, which is opened beside it.
 */
@Injectable()
export class ModelsService {
  #state: SearchState = { state: 'loading' };
  #loading: Promise<Opened | undefined> | undefined;
  /** By id: active models other than the one that is set. */
  readonly #others = new Map<string, Promise<Opened>>();
  #retryMs = FIRST_RETRY_MS;
  #resolved: ResolvedProfile<'clip'> | undefined;
  #passages: PassageEncoder | undefined;
  #loadingPassages: Promise<void> | undefined;
  readonly #closing = new AbortController();

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    @Inject(LOGGER) private readonly log: Logger,
    private readonly catalog: Catalog,
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
   * Embeddings of pictures, with the image tower, which is opened when the first one comes; of the model `id`, which `encoder` gave. Throws as `encoder` does,
   * and `models_unavailable` where the image tower cannot be opened.
   */
  async encodePictures(id: string, pictures: Picture[]): Promise<Float32Array[]> {
    const own = await this.#loading;
    const opened = own?.clip.id === id ? own : await (this.#others.get(id) ?? this.#active());
    opened.imageTower ??= this.#loadImageTower(opened);
    return (await opened.imageTower).encodePictures(pictures);
  }

  /** The text encoder of the active model. Throws `models_loading` when it is not there in time, `models_unavailable` when it cannot be. */
  async encoder(): Promise<TextEncoder> {
    return (await this.#active()).encoder;
  }

  async #active(): Promise<Opened> {
    this.start();
    const active = await this.catalog.framesModel();
    const isOwn = !active || (this.#resolved ? this.#resolved.clip.id === active.id : this.#ownName === active.name);
    const opened = await this.#inTime(isOwn ? this.#loading : this.#other(active));
    // Of one name and yet another content: it is known only now.
    if (isOwn && opened && active && opened.clip.id !== active.id) return this.#active();
    if (opened) return opened;
    if (isOwn && this.#state.state === 'failed') {
      throw new ProblemError('models_unavailable', this.#state.reason ?? 'The models could not be loaded.');
    }
    throw new ProblemError('models_loading', 'Search works as soon as the models are loaded.', {
      headers: { 'retry-after': '10' },
    });
  }

  async #inTime<T>(loading: Promise<T | undefined> | undefined): Promise<T | undefined> {
    let timer: NodeJS.Timeout | undefined;
    const waited = new Promise<undefined>((resolve) => {
      timer = setTimeout(resolve, WAIT_MS, undefined);
    });
    return Promise.race([loading, waited]).finally(() => clearTimeout(timer));
  }

  get #ownName(): string {
    const { clip, profile } = this.config.models;
    return clip ?? PROFILES[profile].clip;
  }

  #other(active: FramesModel): Promise<Opened> {
    let other = this.#others.get(active.id);
    if (!other) {
      other = this.#openOther(active);
      this.#others.set(active.id, other);
      other.catch(() => this.#others.delete(active.id));
    }
    return other;
  }

  async #openOther({ id, name }: FramesModel): Promise<Opened> {
    const { device, threads } = this.config.models;
    const { signal } = this.#closing;
    try {
      const parts = ['clip'] as const;
      const { clip } = await resolveProfile({ ...this.config.models, clip: name, parts, allowFallback: false, signal });
      if (clip.id !== id) throw new Error(`${name} is another model now (${clip.id})`);
      const model = await openClip(clip.folder, { id, towers: 'text', device, threads, interactive: true });
      this.log.info({ model: id }, 'search uses the active model, beside the one that is set');
      return { clip: model, encoder: cached(model), folder: clip.folder };
    } catch (error) {
      const detail = `Videos are indexed with ${id}, which cannot be opened: ${(error as Error).message} Passages can be searched (\`modalities\`); \`cuepoint reindex\` indexes all videos with the model that is set.`;
      throw new ProblemError('models_unavailable', detail, { cause: error });
    }
  }

  async close(): Promise<void> {
    this.#closing.abort();
    for (const opening of [this.#loading, ...this.#others.values()]) {
      const opened = await opening?.catch(() => undefined);
      await opened?.clip.close();
      await opened?.imageTower?.then((model) => model.close()).catch(() => {});
    }
    await this.#loadingPassages;
    await this.#passages?.close();
  }

  async #loadImageTower(opened: Opened): Promise<ClipModel> {
    const { device, threads } = this.config.models;
    try {
      return await openClip(opened.folder, { id: opened.clip.id, towers: 'image', device, threads });
    } catch (error) {
      opened.imageTower = undefined;
      throw new ProblemError('models_unavailable', `Pictures cannot be encoded: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  async #load(): Promise<Opened | undefined> {
    const { profile, device, threads, clipLogits, ...places } = this.config.models;
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
      const isFallback = fallbackReason !== undefined && clip.id.startsWith(`${PROFILES.tiny.clip}@`);
      const logits = isFallback ? undefined : clipLogits;
      const options = { id: clip.id, device, threads, interactive: true, logits };
      const model = await openClip(clip.folder, { ...options, towers: 'text' });
      this.#state = { state: 'ready', profile: this.#resolved.profile, model: clip.id, fallbackReason };
      this.log.info(this.#state, fallbackReason ? 'search is ready, with the fallback models' : 'search is ready');
      this.#loadingPassages ??= this.#loadPassages();
      return { clip: model, encoder: cached(model), folder: clip.folder };
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
      const model = await openPassageEncoder(text.folder, { id: text.id, device, threads, interactive: true });
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
