import { totalmem } from 'node:os';
import { describe, expect, it } from 'vitest';
import { memoryBytes, picturesPerRun, windowsPerRun } from '../../libs/models/runtime.ts';

const GiB = 2 ** 30;

describe('pictures of one run', () => {
  it('are 8 on the processor', () => {
    expect(picturesPerRun('cpu', undefined)).toBe(8);
    expect(picturesPerRun('coreml', 64 * GiB)).toBe(8);
  });

  it('follow the free memory of a GPU, between 8 and 64, in powers of two', () => {
    expect(picturesPerRun('cuda', undefined)).toBe(8);
    expect(picturesPerRun('cuda', 0)).toBe(8);
    expect(picturesPerRun('cuda', 3 * GiB)).toBe(16);
    expect(picturesPerRun('cuda', 4 * GiB)).toBe(32);
    expect(picturesPerRun('tensorrt', 80 * GiB)).toBe(64);
  });
});

describe('windows of speech of one run', () => {
  it('are eight, and fewer where memory is small or the model large', () => {
    const base = 37 * 2 ** 20;
    const large = 492 * 2 ** 20;
    expect(windowsPerRun(base, 8 * GiB)).toBe(8);
    expect(windowsPerRun(base, 2 * GiB)).toBe(3);
    expect(windowsPerRun(large, 24 * GiB)).toBe(3);
    expect(windowsPerRun(large, GiB)).toBe(1);
  });

  it('go by memory that is there', () => {
    expect(memoryBytes()).toBeGreaterThan(GiB / 4);
    expect(memoryBytes()).toBeLessThanOrEqual(totalmem());
  });
});
