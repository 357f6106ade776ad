/** Versions of ffmpeg and ffprobe, or a MediaError `ffmpeg_missing` that says how to install them. */
export async function checkFfmpeg(): Promise<{ ffmpeg: string; ffprobe: string }> {
  throw new Error('unfinished');
}
