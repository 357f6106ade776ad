import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Injectable } from '@nestjs/common';
import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { Jobs } from '#jobs';
import { within } from '../store-guard.ts';

const COUNT_MS = 2_000;
const LOOP_RESOLUTION_MS = 10;

/** What Prometheus reads: requests, queues, the event loop, memory. */
@Injectable()
export class Metrics {
  readonly registry = new Registry();
  readonly #requests: Histogram<'method' | 'route' | 'status'>;
  readonly #loop = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });

  constructor(jobs: Jobs) {
    const registers = [this.registry];
    collectDefaultMetrics({ register: this.registry });
    this.#requests = new Histogram({
      name: 'cuepoint_http_request_duration_seconds',
      help: 'Time from the first byte of a request to the end of its answer',
      labelNames: ['method', 'route', 'status'],
      buckets: [0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600],
      registers,
    });
    const loop = this.#loop;
    loop.enable();
    new Gauge({
      name: 'cuepoint_event_loop_delay_p99_seconds',
      help: 'Delay of the event loop since the last scrape, 99th percentile',
      registers,
      collect() {
        // The histogram counts the timer's own interval.
        this.set(Math.max(0, loop.percentile(99) / 1e6 - LOOP_RESOLUTION_MS) / 1e3);
        loop.reset();
      },
    });
    new Gauge({
      name: 'cuepoint_jobs',
      help: 'Jobs by queue and state',
      labelNames: ['queue', 'state'],
      registers,
      async collect() {
        const counts = await within(jobs.counts(), COUNT_MS).catch(() => ({}));
        this.reset();
        for (const [queue, states] of Object.entries(counts)) {
          for (const [state, count] of Object.entries(states as Record<string, number>))
            this.set({ queue, state }, count);
        }
      },
    });
  }

  observe(method: string, route: string, status: number, seconds: number): void {
    this.#requests.observe({ method, route, status: String(status) }, seconds);
  }

  close(): void {
    this.#loop.disable();
    this.registry.clear();
  }
}
