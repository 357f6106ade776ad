import type { FrameRow, IndexFilter, VectorIndex } from '#store';
import type { TextEncoder } from './search.ts';

/** Frames are read so much at a time: an hour of a frame a second is 8 MB. */
const WINDOW_MS = 10 * 60_000;

export interface PartOfVideo {
  id: string;
  durationMs: number;
  timeRange?: IndexFilter['timeRange'];
}
export interface FrameDeps {
  index: VectorIndex;
  encoder: TextEncoder;
}

/** All frames of a video, or of a part of it, in time order, ten minutes at a time. */
export async function* eachFrame(
  { index, encoder }: FrameDeps,
  tenant: string,
  { id, durationMs, timeRange }: PartOfVideo,
): AsyncGenerator<FrameRow[]> {
  const { startMs: fromMs = 0, endMs: toMs = Number.POSITIVE_INFINITY } = timeRange ?? {};
  const untilMs = Math.min(durationMs, toMs);
  for (let startMs = fromMs; startMs <= untilMs; startMs += WINDOW_MS) {
    // The rest of the video, whatever its frames say of its length.
    const endMs = startMs + WINDOW_MS > untilMs ? toMs : startMs + WINDOW_MS;
    if (endMs <= startMs) return;
    const frames = await index.listFrames(encoder, tenant, id, { timeRange: { startMs, endMs } });
    // One that reaches in from the window before has been seen there.
    yield startMs === fromMs ? frames : frames.filter((frame) => frame.startMs >= startMs);
  }
}

/** How much of a video is read. */
export function lengthOf({ durationMs, timeRange }: PartOfVideo): number {
  const { startMs = 0, endMs = durationMs } = timeRange ?? {};
  return Math.max(0, Math.min(durationMs, endMs) - startMs);
}
