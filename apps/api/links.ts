import { Inject, Injectable } from '@nestjs/common';
import type { Config } from '#config';
import type { Tenant } from '#store';
import { Signer } from './auth/index.ts';
import { CONFIG } from './tokens.ts';

/** Addresses in answers: under PUBLIC_URL where it is set, else from the root; signed where keys are in use. */
@Injectable()
export class Links {
  readonly #base: string;
  readonly #signed: boolean;
  constructor(
    @Inject(CONFIG) config: Config,
    private readonly signer: Signer,
  ) {
    this.#base = config.http.publicUrl?.replace(/\/+$/, '') ?? '';
    this.#signed = config.http.apiKeys.length > 0;
  }
  /** Of the resource itself; needs the key. */
  video(id: string): string {
    return `${this.#base}/v1/videos/${id}`;
  }
  /** The same of a webhook. */
  webhook(id: string): string {
    return `${this.#base}/v1/webhooks/${id}`;
  }
  /** Of what a page shows by itself (`<video>`, `<img>`, `<track>`, `EventSource`). */
  media(tenant: Tenant, id: string, part: 'source' | 'transcript' | 'events' | `thumbnails/${number}`): string {
    const path = `/v1/videos/${id}/${part}`;
    return `${this.#base}${this.#signed ? this.signer.sign(tenant, path) : path}`;
  }
}
