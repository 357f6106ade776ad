import { Controller, Get, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { Probe } from '../auth/index.ts';
import { HealthService } from './health.service.ts';

@Controller('health')
export class HealthController {
  constructor(private readonly health: HealthService) {}

  @Get('live')
  @Probe()
  live() {
    return { status: 'live' };
  }

  @Get('ready')
  @Probe()
  async ready(@Res({ passthrough: true }) reply: FastifyReply) {
    const report = await this.health.report();
    if (report.status !== 'ready') reply.code(503);
    reply.header('cache-control', 'no-store');
    return report;
  }
}
