import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import type { Config } from '#config';
import { guardedFetch } from '#net';
import { sourceKey, type Video } from '#store';
import { FinalProblem, isDiskFull, NoLongerWanted } from './problems.ts';
import type { Stores } from './stores.ts';

const MAX_REDIRECTS = 5;
/** Answers that another try may change; other 4xx are final. */
const PASSING_STATUS = [408, 425, 429];
const LOOK_EVERY_MS = 2_000;

const unavailable = (message: string) =>
  Object.assign(new Error(message), { code: 'source_unavailable', retryable: true });

/** Streams the address of a video into the blob store and gives the source as it then is. */
export async function fetchSource(
  video: Video,
  config: Config,
  { blobs, catalog }: Pick<Stores, 'blobs' | 'catalog'>,
  jobSignal: AbortSignal,
): Promise<Video['source'] & { blobKey: string }> {
  const { url } = video.source;
  if (!url) throw new FinalProblem('source_missing', 'The file of this video is gone');
  const { maxUploadBytes: maxBytes, minFreeDiskBytes: minFreeBytes } = config.http;

  const unwanted = new AbortController();
  const signal = AbortSignal.any([jobSignal, unwanted.signal]);
  const timer = setInterval(() => {
    catalog
      .getVideo(video.tenant, video.id)
      .then((now) => now?.run === video.run && now.status === 'indexing')
      .then((wanted) => wanted || unwanted.abort(new NoLongerWanted()))
      .catch(() => {});
  }, LOOK_EVERY_MS);
  try {
    const response = await guardedFetch(url, { reach: config.outgoing.ingest, maxRedirects: MAX_REDIRECTS, signal });
    if (!response.ok || !response.body) {
      await response.body?.cancel();
      const message = `${new URL(url).host} answered ${response.status}`;
      if (response.status < 500 && !PASSING_STATUS.includes(response.status)) {
        throw new FinalProblem('source_refused', message);
      }
      throw unavailable(message);
    }
    if (Number(response.headers.get('content-length') ?? 0) > maxBytes) {
      await response.body.cancel();
      throw new FinalProblem('blob_too_large', `The file is larger than the ${maxBytes} bytes that are allowed`);
    }
    const blobKey = sourceKey({ tenant: video.tenant, videoId: video.id });
    const contentType = response.headers.get('content-type') ?? undefined;
    const body = Readable.fromWeb(response.body as ReadableStream<Uint8Array>);
    let broken: unknown;
    body.once('error', (error) => (broken = error));
    const { sizeBytes, sha256 } = await blobs
      .put(blobKey, body, { maxBytes, minFreeBytes, contentType, signal })
      .catch((error: unknown) => {
        // It may never fit, and whoever asked for it should know.
        if (isDiskFull(error)) throw new FinalProblem('disk_full', (error as Error).message);
        // What breaks while it is read is a TypeError by the fetch standard; the store has other words for what it lacks.
        if (error !== broken || !(error instanceof TypeError)) throw error;
        const { message } = error.cause instanceof Error ? error.cause : error;
        throw unavailable(`${new URL(url).host} broke off: ${message}`);
      });
    return { ...video.source, blobKey, sizeBytes, sha256, contentType };
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    clearInterval(timer);
  }
}
