import { execFile } from 'node:child_process';
import { availableParallelism, totalmem } from 'node:os';
import { promisify } from 'node:util';
import { quotaCores, type Read } from './quota.ts';
import type { Precision } from './variants.ts';

export type Device = 'auto' | 'cpu' | 'cuda' | 'tensorrt' | 'coreml' | 'dml';
export interface RuntimeOptions {
  device: Device;
  /** Threads of one onnxruntime session; default: the cores this process may use. */
  threads?: number;
  /** Opens the files of this precision and no others; default: what suits the device (variants.ts). */
  precision?: Precision;
  /** Somebody waits for every answer, as in a search: before other inference (worker.ts), and texts, which are short, on one thread. */
  interactive?: boolean;
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

/**
 * Threads of a session where nothing is configured: the cores this process may use, by its affinity and the whole cores of its cgroup's quota, one at least.
 * Each of a worker's models gets all of them, and so does each worker of a machine: their threads do not spin while they wait, so the scheduler
 * shares the cores out, and whoever has work has them all while the others wait for ffmpeg or the network.
 */
export function threadCount(options: Pick<RuntimeOptions, 'threads'>, read?: Read): number {
  return options.threads ?? Math.max(1, Math.min(availableParallelism(), Math.floor(quotaCores(read))));
}

/** Where processors stop gaining: one run of 8 pictures keeps their caches; more only takes memory. */
const picturesOnCpu = 8;
const picturesOnGpu = { least: 8, most: 64 };
/** What a picture of the largest CLIPs takes while it is computed, with room to spare; half of what is free is for others. */
const gpuBytesPerPicture = 64 * 2 ** 20;

/** Pictures of one run on a device; on a GPU a power of two, by its free memory. */
export function picturesPerRun(device: RuntimeInfo['device'], freeGpuBytes: number | undefined): number {
  if (device !== 'cuda' && device !== 'tensorrt') return picturesOnCpu;
  const fitting = 2 ** Math.floor(Math.log2((freeGpuBytes ?? 0) / 2 / gpuBytesPerPicture));
  return Math.max(picturesOnGpu.least, Math.min(picturesOnGpu.most, fitting));
}

/** Beyond this a step is bound by reading keys and values, which windows do not share. */
const mostWindows = 8;
/** Part of the memory that speech may take for keys and values: the rest is for sessions, other models, ffmpeg and the files' cache. */
const speechShare = 1 / 8;

/** Windows of speech that are decoded together. `bytes`: keys and values of one; the cache holds them once as outputs, once as inputs. */
export function windowsPerRun(bytes: number, memory: number): number {
  return Math.max(1, Math.min(mostWindows, Math.floor((memory * speechShare) / (2 * bytes))));
}

/** Memory this process may use: the machine's, or less by its cgroup's limit. What is free changes, and batches are not to. */
export function memoryBytes(): number {
  // Without a limit Node says 0 or a number larger than any memory.
  return Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY);
}

/** Free memory of the fullest NVIDIA GPU there is; undefined where nobody can say. */
export async function freeGpuBytes(): Promise<number | undefined> {
  const args = ['--query-gpu=memory.free', '--format=csv,noheader,nounits'];
  const answer = await promisify(execFile)('nvidia-smi', args, { timeout: 10_000 }).catch(() => undefined);
  const free = answer?.stdout.split('\n').filter(Boolean).map(Number).filter(Number.isFinite);
  return free?.length ? Math.min(...free) * 2 ** 20 : undefined;
}
