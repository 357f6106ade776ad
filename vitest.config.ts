import { defineConfig } from 'vitest/config';

// Tests run against the build in dist/ (through the `#…` imports of package.json): what is tested is what runs.
export default defineConfig({
  test: {
    server: { deps: { external: [/\/(dist|node_modules)\//] } },
    include: ['test/**/*.test.ts'],
    globalSetup: 'test/fixtures/temporary.ts',
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    reporters: ['default'],
  },
});
