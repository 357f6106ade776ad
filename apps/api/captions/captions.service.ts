import { Readable } from 'node:stream';
import { Inject, Injectable } from '@nestjs/common';
import { type Config } from '#config';
import { Jobs } from '#jobs';
import {
  type BlobStore,
  Catalog,
  captionsFolder,
  captionsKey,
  newId,
  StoreAway,
  type Tenant,
  type Video,
} from '#store';
import { MAX_CAPTION_BYTES, parseCaptions } from '#video';
import { ProblemError } from '../problems.ts';
import { Turns } from '../search/turns.ts';
import { BLOBS, CONFIG } from '../tokens.ts';
import { VideosService } from '../videos/videos.service.ts';

/** What is between asking for captions to be indexed and the change of them takes no longer. */
const CHANGE_PATIENCE_MS = 30_000;

/** Caption files that people give: checked here, indexed by a worker. */
@Injectable()
export class CaptionsService {
  /** One at a time: what is made of eight megabytes takes a hundred. */
  readonly #reading = new Turns(1);

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    @Inject(BLOBS) private readonly blobs: BlobStore,
    private readonly catalog: Catalog,
    private readonly jobs: Jobs,
    private readonly videos: VideosService,
  ) {}

  /** Of a video whose upload is under way. Throws `captions_invalid`. */
  async store(
    video: { tenant: Tenant; id: string; captionsFile: { name: string } },
    bytes: Buffer,
  ): Promise<NonNullable<Video['captionsFile']>> {
    await this.#check(bytes);
    return this.#write(video, bytes);
  }

  /** Throws `captions_invalid` for a file without a single caption, or where it is known how long the video is, none within it. */
  async #check(bytes: Buffer, durationMs?: number): Promise<void> {
    const { cues, broken, readings } = await this.#reading.take(() => parseCaptions(bytes));
    if (cues.length > 0 && durationMs !== undefined && cues.every(({ startMs }) => startMs >= durationMs))
      throw new ProblemError('captions_invalid', 'All its captions begin after the end of the video.');
    if (readings)
      throw new ProblemError(
        'captions_invalid',
        'These are readings of a camera (exposure, position, time), not what is said.',
      );
    if (cues.length === 0) {
      const nothing = bytes.length === 0 ? 'it is empty' : 'it has no line such as 00:01.000 --> 00:02.000';
      const why = broken > 0 ? 'the times of all its captions are broken' : nothing;
      throw new ProblemError('captions_invalid', `This is neither SubRip nor WebVTT: ${why}.`);
    }
  }

  async #write(video: { tenant: Tenant; id: string; captionsFile: { name: string } }, bytes: Buffer) {
    const minFreeBytes = this.config.http.minFreeDiskBytes;
    const { sha256 } = await this.blobs.put(captionsKey(video), Readable.from([bytes]), { minFreeBytes });
    return { sha256, ...video.captionsFile };
  }

  /** `language`: of the captions, where it is another than the video's. Throws `captions_invalid`, and `video_not_ready` where they would not be found. */
  async put(tenant: Tenant, id: string, bytes: Buffer, language?: string): Promise<Video> {
    const video = await this.videos.get(tenant, id);
    const { media, status } = video;
    if (status === 'failed' || status === 'cancelled') {
      const how = `POST /v1/videos/${id}/retry first; captions are taken as soon as it is queued again.`;
      throw new ProblemError('video_not_ready', `The video is ${status}, and nothing of it can be found: ${how}`);
    }
    await this.#check(bytes, media?.durationMs);
    const captionsFile = { name: newId() };
    const begun = markOf(id, captionsFile);
    await this.catalog.beginUpload(tenant, begun);
    try {
      const stored = await this.#write({ tenant, id, captionsFile }, bytes);
      return await this.#change(video, { ...stored, ...(language && { language }) }, begun);
    } catch (error) {
      // A worker removes what there is of it, unless the record names it by now.
      this.catalog.endUpload(tenant, begun, false).catch(() => {});
      throw error;
    }
  }

  async delete(tenant: Tenant, id: string): Promise<Video> {
    const video = await this.videos.get(tenant, id);
    if (!video.captionsFile) throw new ProblemError('captions_not_found', 'There is nothing to remove.');
    return this.#change(video, undefined);
  }

  /** One step of the record: file and language of it go together, whoever changes them at the same time. */
  async #change(before: Video, captionsFile: Video['captionsFile'], begun?: string): Promise<Video> {
    const { tenant, id } = before;
    const ref = { tenant, videoId: id };
    // Before the change, after which nobody would ask for it again if this process ended: captions that are removed would be found for ever.
    const indexing = await this.jobs.addCaptions(ref, CHANGE_PATIENCE_MS);
    const { video, left } = await this.#replace(before, captionsFile, begun);
    await this.jobs.hastenCaptions(ref, indexing);
    if (left) {
      await this.blobs.deletePrefix(captionsFolder({ ...ref, id, captionsFile: left }));
      await this.catalog.endUpload(tenant, markOf(id, left), true);
    }
    return video;
  }

  /** What took its place meanwhile is replaced in its stead. Gives the video, and the captions that it named until now. */
  async #replace(before: Video, captionsFile: Video['captionsFile'], begun?: string) {
    for (;;) {
      const { tenant, id, captionsFile: left } = before;
      const guards = { begun, left: left && markOf(id, left), was: { captionsFile: left } };
      const video = await this.catalog.patchVideo({ tenant, videoId: id }, { captionsFile }, guards);
      if (video) return { video, left };
      const now = await this.videos.get(tenant, id); // throws where it was deleted
      if (now.captionsFile?.name === left?.name)
        throw new StoreAway('The captions stood still for too long and were given up.');
      before = now;
    }
  }
}

/** What marks captions in the catalog that no record names: their folder, without its tenant. */
const markOf = (id: string, captionsFile: { name?: string }): string =>
  captionsFolder({ tenant: '', id, captionsFile }).slice(1);

/** All of a caption file that comes as a part of a form. Throws `body_too_large`. */
export async function readCaptions(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_CAPTION_BYTES) {
      stream.resume();
      throw new ProblemError('body_too_large', `Captions may have at most ${MAX_CAPTION_BYTES} bytes.`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
