import { availableParallelism, loadavg } from 'node:os';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { expect } from 'vitest';

/**
 * Does `work` and expects it to leave the calling thread free: it takes little of that thread's time, and timers are on time (99 of 100
 * within 50 ms). The second says nothing about us on a machine with more to do than cores, and is left out there.
 */
export async function expectCallerFree<T>(work: () => Promise<T>): Promise<T> {
  const delay = monitorEventLoopDelay({ resolution: 5 });
  const begin = performance.now();
  const cpu = process.threadCpuUsage();
  delay.enable();
  const result = await work();
  delay.disable();
  const { user, system } = process.threadCpuUsage(cpu);
  expect((user + system) / 1000 / (performance.now() - begin), 'share of the calling thread').toBeLessThan(0.3);
  const crowded = (loadavg()[0] ?? 0) > 1.5 * availableParallelism();
  if (crowded) console.log('timers not checked: the machine is busy with other work');
  else expect(delay.percentile(99) / 1e6, 'delay of the event loop').toBeLessThan(50);
  return result;
}
