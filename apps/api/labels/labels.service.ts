import { createHash } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import type { Config } from '#config';
import {
  type HeldLabel,
  type LabelInVideo,
  type Labels,
  labelsOfMoments,
  labelsOfVideo,
  type Moment,
  readLabels,
  type TextEncoder,
} from '#retrieval';
import type { IndexFilter, Tenant, VectorIndex, Video } from '#store';
import { Kept, keyOf } from '../kept.ts';
import { ProblemError } from '../problems.ts';
import { ModelsService } from '../search/models.service.ts';
import { Turns } from '../search/turns.ts';
import { CONFIG, INDEX } from '../tokens.ts';

/** Answers kept in memory, and lists of labels. One of either takes 0.6 MB at most. */
const MAX_KEPT = 50;
/** What a label stands out from changes with each video that comes. */
const KEEP_MS = 60_000;

type TimeRange = IndexFilter['timeRange'];

/** Which labels are seen in videos and moments. */
@Injectable()
export class LabelsService {
  readonly #found = new Kept(MAX_KEPT);
  readonly #lists = new Kept(MAX_KEPT);

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    @Inject(INDEX) private readonly index: VectorIndex,
    private readonly models: ModelsService,
    private readonly turns: Turns,
  ) {}

  /** `names`: default is what is configured; `timeRange`: only what is seen then. Throws `labels_missing`, `video_not_ready`, and as `ModelsService.encoder`. */
  async ofVideo(video: Video, names = this.config.labels, timeRange?: TimeRange): Promise<LabelInVideo[]> {
    if (names.length === 0)
      throw new ProblemError('labels_missing', 'Name some (`?labels=a car,a dog`), or set LABELS for all requests.');
    const { tenant, id, media } = video;
    if (!media) throw new ProblemError('video_not_ready', `It is ${video.status}; nothing is known of it yet.`);
    const encoder = await this.models.encoder();
    const what = `${encoder.id}/${hashOf(names)}/${timeRange?.startMs}-${timeRange?.endMs}`;
    return this.#found.get(keyOf(what, video), (forgetIn) => {
      forgetIn(video.status === 'ready' ? KEEP_MS : 0);
      return this.turns.take(async () => {
        const labels = await this.#read(encoder, tenant, names);
        const part = { tenant, id, durationMs: media.durationMs, timeRange };
        return labelsOfVideo({ index: this.index, encoder }, labels, part);
      });
    });
  }

  /** Of each moment, those that its frames show, within the turn of the search that found them; undefined where no labels are asked for, and for what is only said. */
  async ofMoments(tenant: Tenant, moments: Moment[], names = this.config.labels): Promise<(HeldLabel[] | undefined)[]> {
    const isSeen = moments.some(({ evidence }) => evidence.some(({ kind }) => kind === 'frame'));
    if (names.length === 0 || !isSeen) return moments.map(() => undefined);
    const encoder = await this.models.encoder();
    const labels = await this.#read(encoder, tenant, names);
    return labelsOfMoments({ index: this.index, encoder }, labels, tenant, moments);
  }

  #read(encoder: TextEncoder, tenant: Tenant, names: string[]): Promise<Labels> {
    return this.#lists.get(`${encoder.id}/${tenant}/${hashOf(names)}`, (forgetIn) => {
      forgetIn(KEEP_MS);
      return readLabels({ index: this.index, encoder }, tenant, names);
    });
  }
}

const hashOf = (names: string[]): string => createHash('sha256').update(JSON.stringify(names)).digest('base64url');
