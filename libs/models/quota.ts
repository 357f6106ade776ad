import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The text of a file, undefined where it can't be read. */
export type Read = (path: string) => string | undefined;
const readText: Read = (path) => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined; // no Linux, or a file that this kind of cgroup does not have
  }
};

/**
 * Cores that the quotas of this process's cgroup and of those above it come to, such as 1.5; Infinity where there is none. libuv (1.52) looks, too, but
 * sees none of cgroup v1 where `cpu` is a mount of its own.
 */
export function quotaCores(read: Read = readText): number {
  const groups = (read('/proc/self/cgroup') ?? '').split('\n').map((line) => line.split(':'));
  let least = Number.POSITIVE_INFINITY;
  for (const mount of (read('/proc/self/mountinfo') ?? '').split('\n')) {
    // "33 31 0:30 /its/root /where/it/is rw,relatime - cgroup cgroup rw,cpu,cpuacct" (proc_pid_mountinfo(5))
    const [place = '', system = ''] = mount.split(' - ');
    const [, , , root = '/', point = '/'] = place.split(' ');
    const [type, , options = ''] = system.split(' ');
    const isV2 = type === 'cgroup2';
    if (!isV2 && (type !== 'cgroup' || !options.split(',').includes('cpu'))) continue;
    const own = groups.find(([, of]) => (isV2 ? of === '' : of?.split(',').includes('cpu')));
    if (!own) continue;
    for (let at = within(own.slice(2).join(':'), root); ; at = dirname(at)) {
      const file = (name: string) => read(join(point, at, name))?.trim();
      least = Math.min(
        least,
        coresOf(isV2 ? file('cpu.max') : `${file('cpu.cfs_quota_us')} ${file('cpu.cfs_period_us')}`),
      );
      if (at === '/') break;
    }
  }
  return least;
}

/** Where a cgroup is below what is mounted. One that is not below it is seen as the mount itself: that of a container. */
function within(path: string, root: string): string {
  const below = root === '/' ? path : path.startsWith(`${root}/`) ? path.slice(root.length) : '';
  return below.startsWith('/..') ? '/' : join('/', below);
}

/** Of "quota period" in µs, as cpu.max has them; `max` (v2) or -1 (v1) for none. */
function coresOf(text = ''): number {
  const [quota = 0, period = 0] = text.split(' ').map(Number);
  return quota > 0 && period > 0 ? quota / period : Number.POSITIVE_INFINITY;
}
