import { availableParallelism } from 'node:os';
import type { Precision } from './variants.ts';

export type Device = 'auto' | 'cpu' | 'cuda' | 'tensorrt' | 'coreml' | 'dml';
export interface RuntimeOptions {
  device: Device;
  /** Threads of one onnxruntime session; default: the cores this process may use. */
  threads?: number;
  /** Opens the files of this precision and no others; default: what suits the device (variants.ts). */
  precision?: Precision;
}
/** What a model really runs on. */
export interface RuntimeInfo {
  device: Exclude<Device, 'auto'>;
  /** Set when `auto` could not have a better device: onnxruntime's reason, for the log. */
  deviceNote?: string;
  /** The ONNX files that are open. */
  files: string[];
}

/**
 * Devices to try for an option, best first, each with its execution providers. `auto` tries CUDA, then the processor:
 * CoreML and DirectML are slower than the processor on models with dynamic shapes often enough to be asked for by name.
 */
export function devicePlan(device: Device): { device: Exclude<Device, 'auto'>; providers: string[] }[] {
  if (device === 'auto') return [...devicePlan('cuda'), ...devicePlan('cpu')];
  // TensorRT leaves what it cannot take to CUDA; every provider leaves the rest to the processor by itself.
  return [{ device, providers: device === 'tensorrt' ? ['tensorrt', 'cuda'] : [device] }];
}

export function threadCount(options: Pick<RuntimeOptions, 'threads'>): number {
  return options.threads ?? availableParallelism();
}
