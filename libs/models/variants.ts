/** Which file of a model's part to open. Exports come in several precisions, named in the hub's way after the fp32 file. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { ModelError } from './errors.ts';
import { fileProblem, missingFile, remedy } from './folder.ts';
import type { Device } from './runtime.ts';

/** `int8`: weights of 8 bits (dynamic quantisation), what the hub's exports call quantized. */
export type Precision = 'fp32' | 'fp16' | 'int8';
const endings: Record<Precision, string[]> = { fp32: [''], fp16: ['_fp16'], int8: ['_quantized', '_int8'] };

/**
 * Parts whose 8-bit weights the processor takes where the folder has them: a decoder that writes one token at a time, and a text tower that reads a query
 * of a few, read all of their weights for each, so they are as fast as those are small. Image towers and encoders compute more than they read and stay at
 * full precision. Tests show that transcripts and moments stay what they are.
 */
const quantisedOnCpu = new Set(['onnx/decoder_model_merged.onnx', 'onnx/text_model.onnx']);

function precisionsFor(part: string, device: Exclude<Device, 'auto'>): Precision[] {
  if (device === 'cuda' || device === 'tensorrt') return ['fp16', 'fp32'];
  if (device === 'cpu' && quantisedOnCpu.has(part)) return ['int8', 'fp32'];
  return ['fp32'];
}

const filesOf = (part: string, precisions: Precision[]) =>
  precisions.flatMap((precision) => endings[precision].map((ending) => part.replace(/\.onnx$/, `${ending}.onnx`)));

/**
 * Files of which any one will do as `part` (named by its fp32 file) on a device, best first: what to look for in a cache, and to pull the
 * first of that a repository has. Each may have its weights beside it, in `<file>_data`.
 */
export function acceptedFiles(part: string, device: Device): string[] {
  return filesOf(part, precisionsFor(part, device === 'auto' ? expectedDevice() : device));
}

/**
 * The file of `part` to open on a device: the best accepted one that the folder has, else one that another device takes (`auto` may fall
 * back to the processor on a machine that fetched for its GPU). `precision` asks for that one alone. Throws ModelError `model_incomplete`.
 */
export async function chooseFile(
  folder: string,
  part: string,
  device: Exclude<Device, 'auto'>,
  precision?: Precision,
): Promise<string> {
  const devices = [device, 'cuda', 'cpu'] as const;
  const precisions = precision ? [precision] : devices.flatMap((each) => precisionsFor(part, each));
  for (const file of filesOf(part, precisions)) {
    if ((await missingFile(folder, [file])) === undefined) return file;
  }
  const file = precision ? (filesOf(part, [precision])[0] as string) : part;
  throw new ModelError('model_incomplete', `${file} in ${folder} ${await fileProblem(folder, file)}. ${remedy}`);
}

/** What `auto` will most likely run on: onnxruntime's CUDA files are installed only on machines that are meant to have a GPU. */
function expectedDevice(): 'cuda' | 'cpu' {
  const binaries = join(dirname(createRequire(import.meta.url).resolve('onnxruntime-node')), '../bin/napi-v6');
  return existsSync(join(binaries, process.platform, process.arch, 'libonnxruntime_providers_cuda.so'))
    ? 'cuda'
    : 'cpu';
}
