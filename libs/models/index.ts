/** ONNX models: hub, runtime, CLIP, Whisper. Knows nothing of queues, HTTP or Nest. Inference runs in worker threads; nothing here blocks the caller's event loop. */
export { type ClipModel, openClip, type Picture } from './clip/index.ts';
export { ModelError, type ModelErrorCode } from './errors.ts';
export { begunBytes, cachedModel, type PullOptions, type PullProgress, pullModel, removeBroken } from './hub.ts';
export { inspectProfile, type PartState, tryModels } from './inspect.ts';
export {
  type ModelFolder,
  type ModelFolders,
  type OptionalPart,
  PARTS,
  type Part,
  PROFILES,
  type ProfileName,
  type ResolvedProfile,
  type ResolveOptions,
  resolveProfile,
} from './profiles.ts';
export type { Device, RuntimeInfo, RuntimeOptions } from './runtime.ts';
export { openPassageEncoder, type PassageEncoder } from './text/index.ts';
export { openWhisper, type Segment, type TranscribeOptions, type WhisperModel } from './whisper/index.ts';
