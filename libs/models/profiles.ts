export type ProfileName = 'tiny' | 'base' | 'large';
/** Hub ids of a profile; `tiny` is in the repository, under models/tiny. */
export const PROFILES: Record<ProfileName, { clip: string; whisper: string }> = {
  tiny: { clip: 'cuepoint/tiny-clip', whisper: 'cuepoint/tiny-whisper' },
  base: { clip: 'Xenova/clip-vit-base-patch32', whisper: 'onnx-community/whisper-base' },
  large: { clip: 'Xenova/clip-vit-large-patch14', whisper: 'onnx-community/whisper-large-v3-turbo' },
};
export interface ModelFolders {
  clip: { id: string; folder: string };
  whisper: { id: string; folder: string };
}
export interface ResolvedProfile extends ModelFolders {
  profile: ProfileName;
  /** Set when `profile` is not the one asked for: a sentence for logs, /health/ready, CLI and UI. */
  fallbackReason?: string;
}
/**
 * Folders of a profile's models: from `modelsDir` (a folder per hub id), else the hub cache, else pulled from the hub with `onProgress`.
 * When the hub can't be reached and nothing is cached, gives `tiny` with a `fallbackReason` (only where `allowFallback`).
 */
export async function resolveProfile(_options: {
  profile: ProfileName;
  /** CLIP_MODEL / WHISPER_MODEL: hub id or folder, in place of the profile's. */
  clip?: string;
  whisper?: string;
  modelsDir?: string;
  hubUrl?: string;
  allowFallback: boolean;
  onProgress?: (progress: { repo: string; file: string; loadedBytes: number; totalBytes: number }) => void;
  signal?: AbortSignal;
}): Promise<ResolvedProfile> {
  throw new Error('unfinished');
}
