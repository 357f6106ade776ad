import { expect, test } from 'vitest';
import { languageOf } from '#video';

test.each([
  ['de', 'deu', 'ger', 'DE', 'de-AT', 'de_CH', ' ger '],
  ['en', 'eng', 'en-US', 'eng-GB'],
  ['zh', 'zho', 'chi'],
  ['no', 'nb', 'nob', 'nno', 'nor'],
  ['yue'],
])('%s has one code, however a file tags it', (code, ...tags) => {
  for (const tag of [code, ...tags]) expect(languageOf(tag), tag).toBe(code);
});

test('what is no language tag has no code', () => {
  for (const tag of [undefined, '', 'und', 'e', '12', 'english', 'en-', '\0', '☃', 'a'.repeat(10_000)])
    expect(languageOf(tag)).toBeUndefined();
});
