import { Body, Controller, HttpCode, Inject, Post, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import type { Logger } from 'pino';
import type { z } from 'zod';
import type { Tenant } from '#store';
import { CurrentTenant } from '../auth/index.ts';
import { eventBytes, sendEvents } from '../events/sse.ts';
import { problemBody, toProblem } from '../problems.ts';
import { askSchema, type PublicAnswer } from '../schemas/index.ts';
import { LOGGER, SHUTDOWN } from '../tokens.ts';
import { type AskEvent, AskService } from './ask.service.ts';

type Sent = AskEvent | { event: 'error'; data: ReturnType<typeof problemBody> };

@Controller('v1/ask')
export class AskController {
  constructor(
    private readonly asking: AskService,
    @Inject(SHUTDOWN) private readonly shutdown: AbortSignal,
    @Inject(LOGGER) private readonly log: Logger,
  ) {}

  /** One JSON answer; with `stream`, events `moments`, `token` …, `citations`, `done`, or `error` where something fails after the first. */
  @Post()
  @HttpCode(200)
  async ask(
    @CurrentTenant() tenant: Tenant,
    @Body({ schema: askSchema }) request: z.output<typeof askSchema>,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const gone = new AbortController();
    reply.raw.once('close', () => gone.abort());
    const events = this.asking.ask(tenant, request, AbortSignal.any([gone.signal, this.shutdown]));
    try {
      // Until there is something to send, what fails is a problem with a status of its own.
      const first = await events.next();
      if (request.stream) await this.#stream(reply, first, events);
      else await reply.send(await answerOf(first, events));
    } catch (error) {
      if (!gone.signal.aborted) throw this.shutdown.aborted ? this.shutdown.reason : error;
    } finally {
      await events.return(undefined);
    }
  }

  async #stream(reply: FastifyReply, first: IteratorResult<AskEvent>, events: AsyncGenerator<AskEvent>): Promise<void> {
    const { log, shutdown } = this;
    const { url, id: requestId } = reply.request;
    async function* all(): AsyncGenerator<Sent> {
      try {
        if (!first.done) yield first.value;
        yield* events;
      } catch (error) {
        const problem = toProblem(shutdown.aborted ? shutdown.reason : error);
        log.warn({ err: error, reqId: requestId, code: problem.code }, 'an answer broke off');
        yield { event: 'error', data: problemBody(problem, url, requestId) };
      }
    }
    let sent = 0;
    await sendEvents<Sent>(reply, shutdown, all, ({ event, data }) => eventBytes(String(++sent), event, data));
  }
}

async function answerOf(first: IteratorResult<AskEvent>, events: AsyncGenerator<AskEvent>): Promise<PublicAnswer> {
  for (let next = first; !next.done; next = await events.next()) {
    if (next.value.event === 'done') return next.value.data;
  }
  throw new Error('A question ended without an answer');
}
