import { Inject, Injectable } from '@nestjs/common';
import { Webhook as Signer } from 'standardwebhooks';
import type { Config } from '#config';
import type { JobPayloads } from '#jobs';
import { guardedFetch } from '#net';
import type { Delivery } from '#store';
import type { Handler, JobContext } from './handler.ts';
import { FinalProblem, NoLongerWanted, type Problem, problemOf } from './problems.ts';
import { Stores } from './stores.ts';
import { CONFIG } from './tokens.ts';

const TIMEOUT_MS = 15_000;
/** The endpoint says that it is gone for good; Standard Webhooks asks to stop then. */
const GONE = 410;

/** Sends one event to one endpoint, as Standard Webhooks has it: same id and body every time, a fresh timestamp and signature each try. */
@Injectable()
export class DeliverHandler implements Handler<'deliver'> {
  readonly queue = 'deliver';
  readonly needsModels = false;
  readonly concurrency = 16;

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly stores: Stores,
  ) {}

  async handle({ data, lastTry, signal, log }: JobContext<'deliver'>): Promise<void> {
    const { catalog } = this.stores;
    const delivery = await catalog.webhooks.getDelivery(data.tenant, data.deliveryId);
    if (!delivery || (delivery.state !== 'pending' && !data.redelivery)) return;
    const webhook = await catalog.webhooks.get(data.tenant, delivery.webhookId);
    if (!webhook) throw new NoLongerWanted();

    const at = Date.now();
    const { status, problem } = await this.#send(webhook.url, webhook.secret, delivery, signal);
    const final = !!problem && (lastTry || !problem.retryable);
    const attempt = { at, status, error: problem?.message, durationMs: Date.now() - at };
    await catalog.webhooks.recordAttempt(
      data.tenant,
      delivery.id,
      attempt,
      problem ? (final ? 'failed' : 'pending') : 'delivered',
    );
    log.info(
      { deliveryId: delivery.id, videoId: delivery.videoId, ...attempt, final },
      problem ? 'webhook failed' : 'webhook delivered',
    );
    if (problem)
      throw final
        ? new FinalProblem(problem.code, problem.message)
        : Object.assign(new Error(problem.message), problem);
  }

  /** A job whose worker died too often has not written down that it is over. */
  async gaveUp(data: JobPayloads['deliver'], problem: Problem): Promise<void> {
    const delivery = await this.stores.catalog.webhooks.getDelivery(data.tenant, data.deliveryId);
    if (delivery?.state !== 'pending') return;
    await this.stores.catalog.webhooks.recordAttempt(
      data.tenant,
      data.deliveryId,
      { at: Date.now(), error: problem.message, durationMs: 0 },
      'failed',
    );
  }

  async #send(
    url: string,
    secret: string,
    delivery: Delivery,
    signal: AbortSignal,
  ): Promise<{ status?: number; problem?: Problem & { retryable: boolean } }> {
    const timestamp = new Date();
    try {
      const response = await guardedFetch(url, {
        reach: this.config.outgoing.webhooks,
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'user-agent': 'cuepoint',
          'webhook-id': delivery.id,
          'webhook-timestamp': String(Math.floor(timestamp.getTime() / 1000)),
          'webhook-signature': new Signer(secret).sign(delivery.id, timestamp, delivery.payload),
        },
        body: delivery.payload,
        timeoutMs: TIMEOUT_MS,
        signal,
      });
      await response.body?.cancel();
      const { ok, status } = response;
      if (ok) return { status };
      const problem = {
        code: 'webhook_refused',
        message: `The endpoint answered ${status}`,
        retryable: status !== GONE,
      };
      return { status, problem };
    } catch (error) {
      // Going down is no failure of the endpoint: the job goes back as it was.
      if (signal.aborted) throw signal.reason;
      return { problem: problemOf(error) };
    }
  }
}
