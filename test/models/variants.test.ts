import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { acceptedFiles, chooseFile } from '../../libs/models/variants.ts';

const decoder = 'onnx/decoder_model_merged.onnx';
const vision = 'onnx/vision_model.onnx';
const text = 'onnx/text_model.onnx';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cuepoint-variants-'));
  mkdirSync(join(folder, 'onnx'));
});
afterEach(() => rmSync(folder, { recursive: true }));
const have = (...names: string[]) => {
  for (const name of names) writeFileSync(join(folder, 'onnx', name), 'weights');
};

describe('the file of a part', () => {
  it('is fp32 on the processor, but for the decoder and the text tower, whose 8-bit weights go first', async () => {
    have('vision_model.onnx', 'vision_model_quantized.onnx', 'vision_model_fp16.onnx');
    have('decoder_model_merged.onnx', 'decoder_model_merged_quantized.onnx', 'decoder_model_merged_q4.onnx');
    have('text_model.onnx', 'text_model_quantized.onnx');
    expect(await chooseFile(folder, vision, 'cpu')).toBe(vision);
    expect(await chooseFile(folder, text, 'cpu')).toBe('onnx/text_model_quantized.onnx');
    expect(await chooseFile(folder, decoder, 'cpu')).toBe('onnx/decoder_model_merged_quantized.onnx');
  });

  it('is fp16 on a GPU', async () => {
    have('vision_model.onnx', 'vision_model_fp16.onnx', 'decoder_model_merged.onnx', 'decoder_model_merged_fp16.onnx');
    for (const device of ['cuda', 'tensorrt'] as const) {
      expect(await chooseFile(folder, vision, device)).toBe('onnx/vision_model_fp16.onnx');
      expect(await chooseFile(folder, decoder, device)).toBe('onnx/decoder_model_merged_fp16.onnx');
    }
    expect(await chooseFile(folder, vision, 'coreml')).toBe(vision);
  });

  it('is fp32 everywhere in a folder that has nothing else', async () => {
    have('vision_model.onnx', 'decoder_model_merged.onnx');
    for (const device of ['cpu', 'cuda', 'tensorrt', 'coreml', 'dml'] as const) {
      expect(await chooseFile(folder, vision, device)).toBe(vision);
      expect(await chooseFile(folder, decoder, device)).toBe(decoder);
    }
  });

  it('is one for another device rather than none, so that a machine without its GPU still works', async () => {
    have('vision_model_fp16.onnx', 'decoder_model_merged_int8.onnx', 'text_model_quantized.onnx');
    expect(await chooseFile(folder, text, 'cuda')).toBe('onnx/text_model_quantized.onnx');
    await expect(chooseFile(folder, text, 'cpu', 'fp32')).rejects.toMatchObject({ code: 'model_incomplete' });
    expect(await chooseFile(folder, vision, 'cpu')).toBe('onnx/vision_model_fp16.onnx');
    expect(await chooseFile(folder, decoder, 'cuda')).toBe('onnx/decoder_model_merged_int8.onnx');
  });

  it('is the one asked for or an error that names it; empty files do not count', async () => {
    have('decoder_model_merged.onnx', 'decoder_model_merged_quantized.onnx');
    writeFileSync(join(folder, 'onnx/decoder_model_merged_fp16.onnx'), '');
    expect(await chooseFile(folder, decoder, 'cpu', 'fp32')).toBe(decoder);
    await expect(chooseFile(folder, decoder, 'cuda', 'fp16')).rejects.toMatchObject({
      code: 'model_incomplete',
      message: expect.stringContaining('decoder_model_merged_fp16.onnx'),
    });
    await expect(chooseFile(folder, vision, 'cpu')).rejects.toMatchObject({ code: 'model_incomplete' });
  });
});

describe('the files to fetch', () => {
  it('are those that the device opens first, best first', () => {
    expect(acceptedFiles(vision, 'cpu')).toEqual([vision]);
    expect(acceptedFiles(vision, 'cuda')).toEqual(['onnx/vision_model_fp16.onnx', vision]);
    expect(acceptedFiles(decoder, 'cpu')).toEqual([
      'onnx/decoder_model_merged_quantized.onnx',
      'onnx/decoder_model_merged_int8.onnx',
      decoder,
    ]);
  });
});
