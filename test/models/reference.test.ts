import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readClipConfig } from '../../libs/models/clip/config.ts';
import { ClipTokenizer } from '../../libs/models/clip/tokens.ts';

const tiny = join(import.meta.dirname, '../../models/tiny');
const golden = (file: string) => JSON.parse(readFileSync(join(import.meta.dirname, 'golden', file), 'utf8'));

describe('what the models are fed', () => {
  it('has the token ids of the reference tokeniser, cut to the context (golden/clip_tokens.py)', async () => {
    const tokenizer = new ClipTokenizer(await readClipConfig(join(tiny, 'clip')));
    for (const { text, ids } of golden('clip-tokens.json') as { text: string; ids: number[] }[]) {
      expect(tokenizer.encode(text), text).toEqual(ids);
    }
  });
});
