export interface PullProgress {
  repo: string;
  file: string;
  loadedBytes: number;
  totalBytes: number;
}
export interface PullOptions {
  repo: string;
  /** Paths in the repository; each is checked against the hub's checksum. */
  files: string[];
  hubUrl?: string;
  /** Default: the shared Hugging Face cache folder. */
  cacheDir?: string;
  onProgress?: (progress: PullProgress) => void;
  signal?: AbortSignal;
}
/** Brings files of a hub repository into the cache: resumable not yet, but written aside, checked, renamed, one downloader at a time. Returns the snapshot folder. */
export async function pullModel(_options: PullOptions): Promise<string> {
  throw new Error('unfinished');
}
