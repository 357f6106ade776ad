import { type ArgumentsHost, Catch, type ExceptionFilter, Inject } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { sendProblem } from './http/server.ts';
import { toProblem } from './problems.ts';
import { LOGGER } from './tokens.ts';

/** Everything thrown leaves here: as problem+json to the client and, where it is our fault, as an error line in the log. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  constructor(@Inject(LOGGER) private readonly log: Logger) {}

  catch(thrown: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    const reply = http.getResponse<FastifyReply>();
    const problem = toProblem(thrown);
    if (problem.code === 'internal') {
      const { url: route } = request.routeOptions ?? {};
      this.log.error({ err: problem.extra.cause, reqId: request.id, route }, 'a request failed');
    } else if (problem.status >= 500) {
      this.log.warn({ err: problem.extra.cause, reqId: request.id, code: problem.code }, problem.message);
    }
    if (reply.sent || reply.raw.headersSent) return void reply.raw.destroy();
    sendProblem(problem, request, reply);
  }
}
