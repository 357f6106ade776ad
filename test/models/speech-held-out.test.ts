import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { openWhisper } from '#models';
import { decode, pieces } from './audio.ts';

vi.setConfig({ testTimeout: 180_000 });

const folder = join(import.meta.dirname, '../../models/tiny/whisper');
const heldOut = join(import.meta.dirname, '../fixtures/held-out');

/** Fewest insertions, deletions and substitutions between two lists of words (Levenshtein). */
function edits(said: string[], heard: string[]): number {
  let row = Array.from({ length: heard.length + 1 }, (_, i) => i);
  for (const [i, word] of said.entries()) {
    const next = [i + 1];
    for (const [j, other] of heard.entries()) {
      const swap = (row[j] as number) + (word === other ? 0 : 1);
      next.push(Math.min((row[j + 1] as number) + 1, (next[j] as number) + 1, swap));
    }
    row = next;
  }
  return row.at(-1) as number;
}

// The sentences are made by tools/tiny_whisper/held_out.py: many voices, pauses, loudness and noise; Opus at 16 kbit/s.
describe('the tiny Whisper on sentences that it never trained on', () => {
  const { sentences } = JSON.parse(readFileSync(join(heldOut, 'speech.json'), 'utf8')) as { sentences: string[] };
  const said = sentences.join(' ').split(' ');
  const pcm = decode(join(heldOut, 'speech.ogg'));
  const words = async (precision?: 'fp32') => {
    await using whisper = await openWhisper(folder, { id: 'tiny', device: 'cpu', precision });
    const texts: string[] = [];
    for await (const { text } of whisper.transcribe(pieces(pcm))) texts.push(text);
    return { heard: texts.join(' ').split(' '), files: whisper.runtime.files };
  };

  it('gets few words wrong, and as many with the 8-bit decoder that the processor takes as at full precision', async () => {
    const small = await words();
    const full = await words('fp32');
    expect(small.files).toContain('onnx/decoder_model_merged_quantized.onnx');
    expect(full.files).toContain('onnx/decoder_model_merged.onnx');
    const rate = (heard: string[], wanted: string[]) => edits(wanted, heard) / wanted.length;
    const [smallRate, fullRate] = [rate(small.heard, said), rate(full.heard, said)];
    const apart = rate(small.heard, full.heard);
    const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
    console.log(
      `word error rate of ${said.length} words: ${percent(smallRate)} with 8 bits, ${percent(fullRate)} with 32; ${percent(apart)} between them`,
    );
    expect(fullRate).toBeLessThan(0.1);
    expect(Math.abs(smallRate - fullRate)).toBeLessThanOrEqual(0.01);
    expect(apart).toBeLessThanOrEqual(0.01);
  });
});
