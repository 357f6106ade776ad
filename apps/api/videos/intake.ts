import type { MultipartFile } from '@fastify/multipart';
import { Inject, Injectable } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { v7 } from 'uuid';
import type { z } from 'zod';
import type { Config } from '#config';
import { checkUrl } from '#net';
import {
  type BlobInfo,
  type BlobStore,
  Catalog,
  newId,
  sourceKey,
  type Tenant,
  type Video,
  videoFolder,
  type Webhook,
} from '#store';
import { CaptionsService, readCaptions } from '../captions/captions.service.ts';
import { declaredType } from '../media/content-type.ts';
import { ProblemError } from '../problems.ts';
import { ingestSchema, uploadFieldsSchema } from '../schemas/index.ts';
import { BLOBS, CONFIG } from '../tokens.ts';
import { validate } from '../validation.ts';
import { Acceptance, type Draft } from './acceptance.ts';
import { displayName, nameOfUrl, titleOf } from './filename.ts';
import { claim, fingerprint, idempotencyKey } from './idempotency.ts';
import { cutOff, type FormFields, readForm } from './upload.ts';

/** Room that fields and boundaries of a multipart body take beside the file. */
const FORM_BYTES = 1024 * 1024;
type Words = z.output<typeof uploadFieldsSchema>;
type Claim = Exclude<Awaited<ReturnType<typeof claim>>, { replayOf: string }>;
export interface Intake {
  video: Video;
  webhook?: Webhook;
  replayed: boolean;
}

/** How videos come in: a multipart upload that is streamed to the blob store, or an address that a worker fetches. */
@Injectable()
export class IntakeService {
  constructor(
    @Inject(CONFIG) private readonly config: Config,
    @Inject(BLOBS) private readonly blobs: BlobStore,
    private readonly catalog: Catalog,
    private readonly acceptance: Acceptance,
    private readonly captions: CaptionsService,
  ) {}

  async fromUrl(tenant: Tenant, request: FastifyRequest): Promise<Intake> {
    const key = idempotencyKey(request);
    const body = validate(ingestSchema, request.body);
    await this.acceptance.ready();
    await checkUrl(body.url, this.config.outgoing.ingest);
    await this.#checkWebhook(body);
    const claimed = await claim(this.catalog, tenant, key, fingerprint({ kind: 'url', body }));
    if ('replayOf' in claimed) return this.#replay(tenant, claimed.replayOf);
    const filename = nameOfUrl(body.url);
    return this.#accept(draft(tenant, v7(), filename, body, { kind: 'url', url: body.url }), claimed);
  }

  async fromUpload(tenant: Tenant, request: FastifyRequest): Promise<Intake> {
    const key = idempotencyKey(request);
    await this.#checkSize(request);
    await this.acceptance.ready();
    const videoId = v7();
    const gone = new AbortController();
    const onClose = () => request.raw.complete || gone.abort(cutOff());
    request.raw.once('close', onClose);
    let claimed: Claim | undefined;
    let replayOf: string | undefined;
    let stored: { info: BlobInfo; filename: string; contentType?: string } | undefined;
    try {
      let captions: Buffer | undefined;
      const fields = await readForm(request, async (file, before) => {
        if (file.fieldname === 'captions') {
          captions = await readCaptions(file.file);
          return 'go on';
        }
        await this.#checkWebhook(validate(uploadFieldsSchema, before));
        const outcome = await claim(this.catalog, tenant, key, uploadPrint(request, file, before));
        if ('replayOf' in outcome) {
          replayOf = outcome.replayOf;
          return 'stop';
        }
        claimed = outcome;
        stored = await this.#store({ tenant, videoId }, file, gone.signal);
        return 'go on';
      });
      if (replayOf !== undefined) return await this.#replay(tenant, replayOf);
      if (!stored || !claimed) throw new ProblemError('file_missing', 'Send the media as a part named `file`.');
      const words = validate(uploadFieldsSchema, fields);
      await this.#checkWebhook(words);
      const { info, filename, contentType } = stored;
      const source = { kind: 'upload', blobKey: sourceKey({ tenant, videoId }), ...info, contentType } as const;
      const captionsFile =
        captions && (await this.captions.store({ tenant, id: videoId, captionsFile: { name: newId() } }, captions));
      const accepting = draft(tenant, videoId, filename, words, source, captionsFile);
      const claimNow = claimed;
      stored = claimed = undefined; // From here on the acceptance cleans up.
      return await this.#accept(accepting, claimNow);
    } catch (error) {
      if (stored || claimed) await Promise.allSettled([this.acceptance.undo(tenant, videoId), claimed?.release()]);
      throw error;
    } finally {
      request.raw.off('close', onClose);
    }
  }

  async #store(of: { tenant: Tenant; videoId: string }, file: MultipartFile, signal: AbortSignal) {
    const { maxUploadBytes: maxBytes, minFreeDiskBytes: minFreeBytes } = this.config.http;
    const filename = displayName(file.filename);
    const contentType = declaredType(file.mimetype, filename);
    await this.catalog.beginUpload(of.tenant, of.videoId);
    const info = await this.blobs.put(sourceKey(of), file.file, { maxBytes, minFreeBytes, contentType, signal });
    if (info.sizeBytes === 0) {
      await this.blobs.deletePrefix(videoFolder(of));
      throw new ProblemError('media_empty', 'The file has zero bytes.');
    }
    return { info, filename, contentType };
  }

  /** What the headers tell is refused before anything is stored. */
  async #checkSize(request: FastifyRequest): Promise<void> {
    const declared = Number(request.headers['content-length'] ?? 0);
    const { maxUploadBytes, minFreeDiskBytes } = this.config.http;
    if (declared > maxUploadBytes + FORM_BYTES) {
      throw new ProblemError('upload_too_large', `An upload may have at most ${maxUploadBytes} bytes.`);
    }
    const free = await this.blobs.freeBytes();
    if (free !== undefined && free - declared < minFreeDiskBytes) {
      throw new ProblemError('disk_full', 'There is not enough room for this upload.');
    }
  }

  async #checkWebhook(words: { webhookUrl?: string; webhookSecret?: string }): Promise<void> {
    if (words.webhookUrl) await checkUrl(words.webhookUrl, this.config.outgoing.webhooks);
  }

  async #accept(accepting: Draft, claimed: Claim): Promise<Intake> {
    return { ...(await this.acceptance.accept(accepting, claimed)), replayed: false };
  }

  async #replay(tenant: Tenant, videoId: string): Promise<Intake> {
    const video = await this.catalog.getVideo(tenant, videoId);
    if (!video) throw new ProblemError('video_not_found', 'The video of this Idempotency-Key has been deleted.');
    const webhooks = await this.catalog.webhooks.list(tenant, videoId);
    return { video, webhook: webhooks.find((webhook) => webhook.videoId === videoId), replayed: true };
  }
}

/** Two uploads are the same request when name, declared length and the fields before the file are: the rest is not known yet. */
function uploadPrint(request: FastifyRequest, file: MultipartFile, before: FormFields): string {
  const fields = Object.entries(before).sort(([a], [b]) => a.localeCompare(b));
  return fingerprint({ kind: 'upload', fields, filename: file.filename, length: request.headers['content-length'] });
}

function draft(
  tenant: Tenant,
  videoId: string,
  filename: string,
  words: Words,
  source: Video['source'],
  captionsFile?: Video['captionsFile'],
): Draft {
  return {
    tenant,
    videoId,
    filename,
    title: words.title ?? titleOf(filename),
    metadata: words.metadata ?? {},
    language: words.language,
    transcribe: words.transcribe,
    task: words.task,
    prompt: words.prompt,
    captionsFile,
    source,
    webhook: words.webhookUrl ? { url: words.webhookUrl, secret: words.webhookSecret } : undefined,
  };
}
