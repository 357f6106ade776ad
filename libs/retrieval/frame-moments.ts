import type { FrameHit } from '#store';
import { byScore, type Candidate, groupByVideo } from './candidate.ts';

/**
 * All thresholds are in logits, logitScale · cosine: the scale the model was trained to tell a right caption from a wrong one on, so they mean about the
 * same for every CLIP. Tuned on the bundled tiny CLIP and the sample video, where the best frame stands 13 to 21 logits over the background if it shows
 * what is asked, and 7 to 14 if nothing does.
 */
const SURE_LOGITS = 11;
const SURE_SLOPE = 2;
/** With few frames there is no background to speak of: this many imagined ones stand so far below the best that it is half sure. */
const PRIOR_FRAMES = 5;
/** A hit that is this much below the best is no hit beside it. */
const WEAK_LOGITS = 8;
/** A moment ends where the picture has lost this share of what lifts its best frame over the background, within bounds. */
const FALL = 1 / 3;
const MIN_FALL_LOGITS = 2;
const MAX_FALL_LOGITS = 4;

/** Frames that follow each other in a video and fit the query alike become one moment. `background`: cosine of frames that do not fit. */
export function momentsOfFrames(hits: FrameHit[], background: number | undefined, logitScale: number): Candidate[] {
  const best = hits[0]?.score;
  if (best === undefined || background === undefined) return [];
  const prior = best - SURE_LOGITS / logitScale;
  const floor = (background * hits.length + prior * PRIOR_FRAMES) / (hits.length + PRIOR_FRAMES);
  const over = (cosine: number): number => (cosine - floor) * logitScale;

  const strong = hits.filter((hit) => (best - hit.score) * logitScale <= WEAK_LOGITS);
  // One interval of sampling at most may lie between neighbours; frames left out as near-duplicates lengthen the one before them.
  const interval = Math.min(2000, ...hits.map((hit) => Math.max(hit.endMs - hit.startMs, 200)));
  const moments: Candidate[] = [];
  for (const frames of groupByVideo(strong).values()) {
    for (const run of runsOf(
      frames,
      interval / 2,
      (peak) => Math.min(Math.max(FALL * over(peak), MIN_FALL_LOGITS), MAX_FALL_LOGITS) / logitScale,
    )) {
      const ranked = run.toSorted(byScore);
      const peak = ranked[0] as FrameHit;
      moments.push({
        videoId: peak.videoId,
        startMs: Math.min(...run.map((frame) => frame.startMs)),
        endMs: Math.max(...run.map((frame) => frame.endMs)),
        score: peak.score,
        confidence: 1 / (1 + Math.exp(-(over(peak.score) - SURE_LOGITS) / SURE_SLOPE)),
        evidence: ranked.map(({ startMs, endMs, score }) => ({ kind: 'frame', atMs: startMs, endMs, score })),
      });
    }
  }
  return moments.sort(byScore);
}

/** From the best frame outwards, both ways, as long as neighbours touch and stay within `fall(best)`; then again with what is left. */
function* runsOf(frames: FrameHit[], maxGapMs: number, fall: (peak: number) => number): Generator<FrameHit[]> {
  const inTime = frames.toSorted((a, b) => a.startMs - b.startMs);
  const taken = new Set<FrameHit>();
  for (const peak of frames.toSorted(byScore)) {
    if (taken.has(peak)) continue;
    const run = [peak];
    const lowest = peak.score - fall(peak.score);
    for (const step of [-1, 1]) {
      let last = peak;
      for (let i = inTime.indexOf(peak) + step; ; i += step) {
        const next = inTime[i];
        if (!next || taken.has(next) || next.score < lowest) break;
        const gap = step > 0 ? next.startMs - last.endMs : last.startMs - next.endMs;
        if (gap > maxGapMs) break;
        run.push(next);
        last = next;
      }
    }
    for (const frame of run) taken.add(frame);
    yield run;
  }
}
