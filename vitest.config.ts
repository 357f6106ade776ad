import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files that take a minute or so, the longest first. Vitest knows no durations in a fresh checkout, and would go by size alone. */
const LONG = [
  'faults/kill',
  'video/audio',
  'video/frames',
  'worker/indexing',
  'worker/models',
  'cli/up',
  'cli/reindex',
  'cli/demo',
  'worker/readiness',
  'cli/models',
];

/** Long files begin first, so that none is left alone at the end. */
class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification) => {
      const at = LONG.findIndex((name) => moduleId.endsWith(`/test/${name}.test.ts`));
      return at < 0 ? LONG.length : at;
    };
    return (await super.sort(files)).sort((a, b) => place(a) - place(b));
  }
}

// Tests run against the build in dist/ (through the `#…` imports of package.json): what is tested is what runs, as Node loads it.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: 'test/fixtures/temporary.ts',
    server: { deps: { external: [/\/(dist|node_modules)\//] } },
    sequence: { sequencer: LongFirst },
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    reporters: ['default'],
  },
});
