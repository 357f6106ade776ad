import { execFileSync } from 'node:child_process';
import { availableParallelism, getPriority, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { quotaCores } from '../../libs/models/quota.ts';
import { memoryBytes, picturesPerRun, threadCount, windowsPerRun } from '../../libs/models/runtime.ts';

const GiB = 2 ** 30;

describe('priority', () => {
  const tiny = fileURLToPath(new URL('../../models/tiny/clip', import.meta.url));
  const script = fileURLToPath(new URL('niceness.ts', import.meta.url));

  it('is lower for what a request waits for than for who answers it, lower still for indexing, and never above what the process has', (context) => {
    if (process.platform !== 'linux') context.skip('only Linux gives each thread a priority');
    const printed = execFileSync('nice', ['-n', '5', process.execPath, script, tiny], { encoding: 'utf8' });
    const own = getPriority() + 5;
    const [first, ofRequests, ofIndexing] = [[own], [own, own + 3], [own, own + 3, own + 10]];
    expect(printed.trim().split('\n')).toEqual([first, ofRequests, ofIndexing].map((all) => all.join(' ')));
  });
});

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

describe('cores by quota', () => {
  type Files = Record<string, string>;
  const reading = (files: Files) => (path: string) => files[path];
  const cores = (files: Files) => quotaCores(reading(files));
  /** What a process sees of cgroup v2: in a container, and in a unit of systemd. */
  const v2 = (max: string, above?: string): Files => ({
    '/proc/self/cgroup': '0::/a.slice/b.service\n',
    '/proc/self/mountinfo': '24 1 0:4 / /proc rw - proc proc rw\n31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n',
    '/sys/fs/cgroup/a.slice/b.service/cpu.max': `${max}\n`,
    ...(above && { '/sys/fs/cgroup/a.slice/cpu.max': `${above}\n` }),
  });
  /** And of v1, whose mount shows a container's own part of the tree. */
  const v1 = (quota: string, { own, root, point }: { own: string; root: string; point: string }): Files => ({
    '/proc/self/cgroup': `9:cpu,cpuacct:${own}\n4:memory:/x\n1:name=systemd:/x\n0::/\n`,
    '/proc/self/mountinfo': `31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n32 31 0:29 ${root} /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n`,
    [`/sys/fs/cgroup/cpu${point}/cpu.cfs_quota_us`]: `${quota}\n`,
    [`/sys/fs/cgroup/cpu${point}/cpu.cfs_period_us`]: '100000\n',
  });
  const whole = { own: '/a/b', root: '/', point: '/a/b' };
  const container = { own: '/docker/1f', root: '/docker/1f', point: '' };

  it('are quota over period, of cgroup v2', () => {
    expect(cores(v2('50000 100000'))).toBe(0.5);
    expect(cores(v2('150000 100000'))).toBe(1.5);
    expect(cores(v2('max 100000'))).toBe(Number.POSITIVE_INFINITY);
    const { '/sys/fs/cgroup/a.slice/b.service/cpu.max': max = '', ...rest } = v2('300000 100000');
    const inContainer = { ...rest, '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/cpu.max': max };
    expect(cores(inContainer)).toBe(3);
  });

  it('are those of cgroup v1, on the machine itself and in a container', () => {
    expect(cores(v1('50000', whole))).toBe(0.5);
    expect(cores(v1('150000', container))).toBe(1.5);
    expect(cores(v1('-1', whole))).toBe(Number.POSITIVE_INFINITY);
    expect(cores(v1('250000', { ...whole, point: '/a' }))).toBe(2.5);
    expect(cores(v1('250000', { ...container, own: '/elsewhere' }))).toBe(2.5);
  });

  it('are the fewest of its cgroup and those above it, and without any quota or cgroup all there are', () => {
    expect(cores(v2('400000 100000', '100000 50000'))).toBe(2);
    expect(cores(v2('max 100000', '100000 100000'))).toBe(1);
    expect(cores({})).toBe(Number.POSITIVE_INFINITY);
    expect(cores({ '/proc/self/cgroup': '0::rubbish', '/proc/self/mountinfo': ' - cgroup2\n - cgroup c cpu\n' })).toBe(
      Number.POSITIVE_INFINITY,
    );
  });

  it('make as many threads of a model, whole ones, at least one and no more than there are cores', () => {
    const threads = (files: Files, options = {}) => threadCount(options, reading(files));
    expect(threads(v2('50000 100000'))).toBe(1);
    expect(threads(v1('199000', container))).toBe(1);
    expect(threads(v2('200000 100000'))).toBe(Math.min(2, availableParallelism()));
    expect(threads(v2('max 100000'))).toBe(availableParallelism());
    expect(threads(v2('9900000 100000'))).toBe(Math.min(99, availableParallelism()));
    expect(threads(v2('50000 100000'), { threads: 3 })).toBe(3);
  });
});
