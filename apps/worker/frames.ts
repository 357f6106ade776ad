import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Inject, Injectable } from '@nestjs/common';
import type { Config } from '#config';
import type { ClipModel } from '#models';
import { type FrameRow, frameId, thumbnailKey } from '#store';
import { type Frame, nextPictureMs, sampleFrames } from '#video';
import type { Handler, JobContext } from './handler.ts';
import { Models } from './models.ts';
import { dropNearDuplicates, dropUnchanged, type Encoded } from './near-duplicates.ts';
import { ahead, inGroups } from './pipeline.ts';
import { runShard } from './shard-run.ts';
import { Stores } from './stores.ts';
import { CONFIG } from './tokens.ts';

/** Rows of one write to the index. */
const ROWS = 64;
const THUMBNAIL_SIZE = 480;

/** What finalize hears of a finished shard. */
export interface FramesResult {
  frames: number;
  /** Something could not be decoded and was left out. */
  damaged: boolean;
  model: string;
  profile: string;
}

/** One shard of a video: sampled, encoded, thinned out, indexed. Decoding, inference and writing overlap; memory holds a few batches. */
@Injectable()
export class FramesHandler implements Handler<'frames'> {
  readonly queue = 'frames';
  readonly needsModels = true;
  readonly concurrency: number;

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly stores: Stores,
    private readonly models: Models,
  ) {
    this.concurrency = config.indexing.framesConcurrency;
  }

  async handle(context: JobContext<'frames'>): Promise<FramesResult> {
    const { tenant, videoId, startMs, endMs } = context.data;
    const { index, blobs } = this.stores;
    return runShard(this.stores, 'frames', context, async ({ video, media, path, signal, done }) => {
      const { clip, profile } = await this.models.forFrames(video.reindex?.beside);
      const thumbnailDir = await mkdtemp(join(tmpdir(), 'frames-'));
      let damaged = false;
      try {
        // A still may stay on screen through the next shards, which then have no picture of their own.
        const shownUntilMs = endMs < media.durationMs ? await nextPictureMs(path, media, endMs, signal) : undefined;
        const sampled = sampleFrames(
          path,
          {
            media,
            startMs,
            endMs,
            intervalMs: this.config.indexing.frameIntervalMs,
            adaptive: this.config.indexing.adaptive,
            size: clip.imageSize,
            fit: clip.fit,
            thumbnailDir,
            thumbnailSize: THUMBNAIL_SIZE,
            onDamage: () => (damaged = true),
          },
          signal,
        );
        const drop = ({ thumbnailPath }: Picture) => rm(thumbnailPath, { force: true });
        const changed = dropUnchanged(sampled, async (frame) => {
          await drop(frame);
          done(frame.atMs - startMs);
        });
        // Always as many pictures, whatever the timing: batch size can change the last bits of a vector.
        const batches = ahead(inGroups(changed, clip.batch), 1);
        const encoded = ahead(encode(clip, batches, done, startMs, signal), 2 * clip.batch);
        const kept = dropNearDuplicates(encoded, shownUntilMs ?? endMs, drop);

        let frames = 0;
        for await (const group of inGroups(kept, ROWS)) {
          const rows = group.map(
            ({ atMs, endMs, vector }): FrameRow => ({
              id: frameId(videoId, atMs),
              tenant,
              videoId,
              startMs: atMs,
              endMs,
              vector,
            }),
          );
          // Thumbnails first: what can be found can be shown.
          await blobs.putFiles(
            group.map(({ atMs, frame }) => ({
              key: thumbnailKey(context.data, atMs),
              path: frame.thumbnailPath,
            })),
          );
          signal.throwIfAborted();
          await index.upsertFrames({ id: clip.id, dimension: clip.dimension }, rows);
          await Promise.all(group.map(({ frame }) => rm(frame.thumbnailPath, { force: true })));
          frames += rows.length;
        }
        return { frames, damaged, model: clip.id, profile };
      } finally {
        await rm(thumbnailDir, { recursive: true, force: true });
      }
    });
  }
}

type Picture = Pick<Frame, 'thumbnailPath'>;
async function* encode(
  clip: ClipModel,
  batches: AsyncIterable<Frame[]>,
  done: (ms: number) => void,
  startMs: number,
  signal: AbortSignal,
): AsyncGenerator<Encoded<Picture>> {
  const bytes = clip.imageSize ** 2 * 3;
  for await (const batch of batches) {
    const rgb = new Uint8Array(bytes * batch.length);
    for (const [index, frame] of batch.entries()) rgb.set(frame.rgb, index * bytes);
    const vectors = await clip.encodeImages(rgb, batch.length, signal);
    for (const [index, { atMs, thumbnailPath }] of batch.entries()) {
      yield { atMs, vector: vectors[index] as Float32Array, frame: { thumbnailPath } };
      done(atMs - startMs);
    }
  }
}
