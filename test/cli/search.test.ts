import { expect, it } from 'vitest';
import { momentLine } from '../../apps/cli/search.ts';

it('cuepoint search tells why a moment was found: seen, said, or so titled', () => {
  const evidence = (kind: 'frame' | 'passage' | 'title', text?: string) => ({
    kind,
    at: 0,
    score: 1,
    ...(text && { text }),
  });
  const line = (...all: ReturnType<typeof evidence>[]) =>
    momentLine({ videoId: 'v', videoTitle: 'Film', start: 0, end: 10, score: 1, confidence: 0.9, evidence: all });
  expect(line(evidence('title', 'Film · history'))).toMatch(/90 % {2}titled “Film · history”$/);
  expect(line(evidence('frame'), evidence('passage', 'hello'), evidence('title', 'Film'))).toMatch(
    / {2}seen, “hello”, titled “Film”$/,
  );
});
