/** ONNX models: hub, runtime, CLIP, Whisper. Knows nothing of queues, HTTP or Nest. Inference runs in worker threads; nothing here blocks the caller's event loop. */
export { type ClipModel, openClip, type Picture } from './clip/index.ts';
export { ModelError } from './errors.ts';
export { cachedModel, type PullProgress, pullModel, removeBroken } from './hub.ts';
export { inspectProfile, type PartState, tryModels } from './inspect.ts';
export {
  type OptionalPart,
  PARTS,
  type Part,
  PROFILES,
  type ProfileName,
  type ResolvedProfile,
  resolveProfile,
} from './profiles.ts';
export type { RuntimeInfo } from './runtime.ts';
export { openPassageEncoder, type PassageEncoder } from './text/index.ts';
export { openWhisper, type Segment, type TranscribeOptions, type WhisperModel } from './whisper/index.ts';
