import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readWhisperConfig } from '../../libs/models/whisper/config.ts';
import { LogMel } from '../../libs/models/whisper/features.ts';

const tiny = join(import.meta.dirname, '../../models/tiny');
const golden = (file: string) => JSON.parse(readFileSync(join(import.meta.dirname, 'golden', file), 'utf8'));

describe('what the models are fed', () => {
  it('has the log-mel features of transformers (golden/log_mel.py)', async () => {
    const { features: config } = await readWhisperConfig(join(tiny, 'whisper'));
    const reference = golden('log-mel.json') as { samples: number; frames: Record<string, number[]> };
    let state = 1;
    const pcm = Float32Array.from({ length: reference.samples }, (_, t) => {
      state = Number((BigInt(state) * 1_103_515_245n + 12_345n) % 2_147_483_648n);
      return 0.4 * Math.sin(2e-6 * t * t) + 0.2 * Math.sin(0.05 * t) + 0.01 * (state / 1_073_741_824 - 1);
    });
    const out = new Float32Array(config.melBins * config.frames).fill(Number.NaN);
    new LogMel(config).extract(pcm, out);
    expect(out.some(Number.isNaN)).toBe(false);
    let worst = 0;
    for (const [frame, values] of Object.entries(reference.frames)) {
      for (const [mel, value] of values.entries()) {
        worst = Math.max(worst, Math.abs(value - (out[mel * config.frames + Number(frame)] ?? Infinity)));
      }
    }
    expect(worst).toBeLessThan(1e-5);
  });
});
