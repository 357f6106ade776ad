/** For runtime.test.ts: opens a model for requests, then one for indexing, and prints each time how nice the threads of this process are. */
import { readdirSync, readFileSync } from 'node:fs';
import { openClip } from '#models';

const folder = process.argv[2] ?? '';
const options = { id: 'tiny', device: 'cpu', towers: 'text', threads: 1 } as const;
const print = () => {
  const all = readdirSync('/proc/self/task').map((thread) => {
    const [, fields = ''] = readFileSync(`/proc/self/task/${thread}/stat`, 'utf8').split(') ');
    return Number(fields.split(' ')[16]);
  });
  console.log([...new Set(all)].sort((a, b) => a - b).join(' '));
};
print();
await using _ofRequests = await openClip(folder, { ...options, interactive: true });
print();
await using _ofIndexing = await openClip(folder, options);
print();
