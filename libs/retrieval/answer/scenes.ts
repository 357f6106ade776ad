import { setImmediate as nextTurn } from 'node:timers/promises';
import { dot, type FrameRow } from '#store';

/** What a video shows between two cuts. */
export interface Scene {
  startMs: number;
  endMs: number;
  /** A kept frame from its middle: it has a thumbnail. */
  frameAtMs: number;
}

/** A cut is a change of this much (1 − cosine), and of this many times the video's usual one: what moves all the time is not cut all the time. */
const MIN_CHANGE = 0.15;
const OVER_USUAL = 4;

/** Frames between two turns of the event loop: a few ms. */
const BATCH = 2048;

/** Change of the picture (1 − cosine) at the beginning of each frame but the first. `frames` in time order, vectors normalised. */
export async function changes(frames: FrameRow[]): Promise<number[]> {
  const change: number[] = [];
  for (let i = 1; i < frames.length; i++) {
    if (i % BATCH === 0) await nextTurn();
    change.push(1 - dot((frames[i - 1] as FrameRow).vector, (frames[i] as FrameRow).vector));
  }
  return change;
}

/** From cut to cut, without gaps, from the first frame to the end of the last. */
export async function scenesOf(frames: FrameRow[]): Promise<Scene[]> {
  const change = await changes(frames);
  const usual = median(change);
  const threshold = Math.max(MIN_CHANGE, Math.min(0.5, OVER_USUAL * usual));
  const scenes: Scene[] = [];
  let from = 0;
  for (let i = 1; i <= frames.length; i++) {
    if (i < frames.length && (change[i - 1] as number) < threshold) continue;
    const [first, next, last] = [frames[from], frames[i], frames[i - 1]] as [FrameRow, FrameRow | undefined, FrameRow];
    const endMs = next?.startMs ?? last.endMs;
    const middle = (first.startMs + endMs) / 2;
    const shown = frames.slice(from, i).findLast((frame) => frame.startMs <= middle) ?? first;
    scenes.push({ startMs: first.startMs, endMs, frameAtMs: shown.startMs });
    from = i;
  }
  return scenes;
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}
