/** Opens ONNX sessions. Only ever imported inside the inference thread: onnxruntime-node blocks the thread it runs in. */
import { join } from 'node:path';
import { workerData } from 'node:worker_threads';
import {
  env,
  type InferenceSession,
  listSupportedBackends,
  InferenceSession as Sessions,
  Tensor,
} from 'onnxruntime-node';
import type { ThreadData } from './engine.ts';
import { ModelError } from './errors.ts';
import { remedy } from './folder.ts';
import { throughGate } from './gate.ts';
import { devicePlan, type RuntimeInfo, type RuntimeOptions, threadCount } from './runtime.ts';
import { chooseFile } from './variants.ts';

export { type InferenceSession, Tensor };

/** Failures are reported as errors; onnxruntime's own coloured lines on stderr would only repeat them. */
env.logLevel = 'fatal';

const gate = () => (workerData as ThreadData).gate;

/** Runs a session, for all of its outputs or those named. All runs go through here (gate.ts). */
export async function run(
  session: InferenceSession,
  feeds: Record<string, Tensor>,
  outputs: readonly string[] = session.outputNames,
): Promise<InferenceSession.ReturnType> {
  return throughGate(gate(), () => session.run(feeds, outputs));
}

/** A part of a model. */
export interface SessionPart {
  /** Its fp32 file, such as `onnx/encoder_model.onnx`, which names it. */
  file: string;
  /**
   * No input is ever larger than a small one that comes all the time. Memory is then kept from run to run (onnxruntime's arena), which saves up to a
   * tenth of the time but never gives back what the largest run took: 1.05 GB against 0.35 GB for 9 minutes of the tiny Whisper.
   */
  boundedInputs?: boolean;
  /** Threads where none are configured; default: the cores this process may use. */
  threads?: number | undefined;
}

/**
 * Opens parts of a model on the first device that takes them all, in the
 * precision that suits it (variants.ts). Throws ModelError: `device_unavailable` for a device that was asked
 * for by name and can't be had, `model_incomplete` for a missing or cut-off file, `model_invalid` for one that onnxruntime refuses.
 */
export async function openSessions(
  folder: string,
  parts: SessionPart[],
  options: RuntimeOptions,
): Promise<{ sessions: InferenceSession[]; runtime: RuntimeInfo }> {
  const plan = devicePlan(options.device);
  let deviceNote: string | undefined;
  for (const [index, { device, providers }] of plan.entries()) {
    const sessions: InferenceSession[] = [];
    try {
      if (!listSupportedBackends().some((backend) => backend.name === device)) {
        throw new ModelError('device_unavailable', `onnxruntime for ${process.platform} has no "${device}" device`);
      }
      const files: string[] = [];
      for (const { file } of parts) files.push(await chooseFile(folder, file, device, options.precision));
      for (const [i, file] of files.entries()) {
        const { boundedInputs, threads } = parts[i] as SessionPart;
        sessions.push(
          await openSession(folder, file, providers, { boundedInputs, threads: options.threads ?? threads }),
        );
      }
      return { sessions, runtime: { device, deviceNote, files } };
    } catch (error) {
      for (const session of sessions) await session.release();
      const unavailable = error instanceof ModelError && error.code === 'device_unavailable';
      if (!unavailable || index === plan.length - 1) throw error;
      deviceNote = error.message;
    }
  }
  throw new ModelError('device_unavailable', 'no device to try');
}

async function openSession(
  folder: string,
  file: string,
  providers: string[],
  options: Omit<SessionPart, 'file'>,
): Promise<InferenceSession> {
  try {
    const settings = {
      executionProviders: providers,
      intraOpNumThreads: threadCount(options),
      interOpNumThreads: 1,
      enableCpuMemArena: options.boundedInputs === true,
      // Threads that spin while they wait take the cores from ffmpeg and from each other's models: with all cores busy this gives
      // three to four times the throughput (measured: 100 -> 360 images/s), on an idle machine it costs little.
      extra: { session: { intra_op: { allow_spinning: '0' } } },
    };
    return await throughGate(gate(), () => Sessions.create(join(folder, file), settings));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    if (/protobuf|external data|file_size|out of bounds|onnx_data/i.test(reason)) {
      throw new ModelError('model_incomplete', `${file} in ${folder} is cut off or broken (${reason}). ${remedy}`);
    }
    if (providers[0] !== 'cpu') {
      throw new ModelError('device_unavailable', `device "${providers[0]}" can't be had: ${reason}`);
    }
    throw new ModelError('model_invalid', `onnxruntime refuses ${file} in ${folder}: ${reason}`);
  }
}
