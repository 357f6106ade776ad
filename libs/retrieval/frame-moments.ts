import { dot, type FrameHit } from '#store';
import type { Background } from './background.ts';
import { byScore, type Candidate, groupByVideo, logistic, type Names } from './candidate.ts';

/**
 * A frame half as likely as not to show what is asked for stands so many spreads above the middle frame, and its odds grow by e with each slope. Fitted on
 * one library of tools/library with the tiny CLIP (416 questions, seed 1), reported on another (docs/search.md).
 */
export const SURE_SPREADS = 3;
const SURE_SLOPE = 0.2;
/** With few frames the middle one may itself be what is asked for: this many imagined ones stand so far below the best that it is half sure. */
const PRIOR_FRAMES = 5;
/** The thresholds below are in logits, logitScale · cosine: the scale the model was trained to tell a right caption from a wrong one on. */
/** A video whose title or metadata have words of the query goes before another that shows it as well. */
const NAMED_LOGITS = 2;
/** A hit that is this much below the best is no hit beside it. */
const WEAK_LOGITS = 8;
/** A moment ends where the picture has lost this share of what lifts its best frame over the background, within bounds. */
const FALL = 1 / 3;
const MIN_FALL_LOGITS = 2;
const MAX_FALL_LOGITS = 4;
/**
 * A change of the picture (1 − cosine, as in scenes.ts) that is taken for a change of shot. There a moment goes on only where the next shot fits nearly as
 * well: a tenth of the fall that ends it elsewhere.
 */
const SHOT_CHANGE = 0.2;
const FALL_OF_SHOT = 0.1;

/** Frames that follow each other in a video and fit the query alike become one moment. */
export function momentsOfFrames(
  hits: FrameHit[],
  background: Background,
  logitScale: number,
  named: Names = new Map(),
): Candidate[] {
  const best = hits[0]?.score;
  if (best === undefined) return [];
  const middle = middleBeneath(best, background);
  const sure = (cosine: number): number => sureness(cosine, { ...background, middle });
  const fall = (peak: number): number =>
    Math.min(Math.max(FALL * (peak - middle) * logitScale, MIN_FALL_LOGITS), MAX_FALL_LOGITS) / logitScale;

  const strong = hits.filter((hit) => (best - hit.score) * logitScale <= WEAK_LOGITS);
  // One interval of sampling at most may lie between neighbours; frames left out as near-duplicates lengthen the one before them.
  const interval = Math.min(2000, ...hits.map((hit) => Math.max(hit.endMs - hit.startMs, 200)));
  const moments: Candidate[] = [];
  for (const frames of groupByVideo(strong).values()) {
    for (const run of runsOf(frames, interval / 2, fall)) {
      const ranked = run.toSorted(byScore);
      const peak = ranked[0] as FrameHit;
      moments.push({
        videoId: peak.videoId,
        startMs: Math.min(...run.map((frame) => frame.startMs)),
        endMs: Math.max(...run.map((frame) => frame.endMs)),
        score: peak.score + (named.has(peak.videoId) ? NAMED_LOGITS / logitScale : 0),
        confidence: sure(peak.score),
        evidence: ranked.map(({ startMs, endMs, score }) => ({
          ...{ kind: 'frame', atMs: startMs, endMs, score },
          confidence: sure(score),
        })),
      });
    }
  }
  return moments.sort(byScore);
}

/** From the best frame outwards, both ways, as long as neighbours touch and stay within `fall(best)`, or less of a new shot; then again with what is left. */
function* runsOf(frames: FrameHit[], maxGapMs: number, fall: (peak: number) => number): Generator<FrameHit[]> {
  const inTime = frames.toSorted((a, b) => a.startMs - b.startMs);
  const taken = new Set<FrameHit>();
  for (const peak of frames.toSorted(byScore)) {
    if (taken.has(peak)) continue;
    const run = [peak];
    const most = fall(peak.score);
    for (const step of [-1, 1]) {
      let last = peak;
      for (let i = inTime.indexOf(peak) + step; ; i += step) {
        const next = inTime[i];
        if (!next || taken.has(next)) break;
        const gap = step > 0 ? next.startMs - last.endMs : last.startMs - next.endMs;
        const fallen = peak.score - next.score;
        if (gap > maxGapMs || fallen > most) break;
        if (fallen > most * FALL_OF_SHOT && isShotChange(last, next)) break;
        run.push(next);
        last = next;
      }
    }
    for (const frame of run) taken.add(frame);
    yield run;
  }
}

/** Of hits whose vectors are known. */
const isShotChange = ({ vector: a }: FrameHit, { vector: b }: FrameHit): boolean =>
  a !== undefined && b !== undefined && 1 - dot(a, b) >= SHOT_CHANGE;

/** The middle frame's cosine, drawn towards imagined ones where there are few frames. */
export function middleBeneath(best: number, { middle, spread, frames }: Background): number {
  const prior = best - SURE_SPREADS * spread;
  return (middle * frames + prior * PRIOR_FRAMES) / (frames + PRIOR_FRAMES);
}

/** How likely a frame of this cosine shows what was asked for, 0..1. */
export function sureness(cosine: number, { middle, spread }: Background): number {
  return logistic(((cosine - middle) / spread - SURE_SPREADS) / SURE_SLOPE);
}
export const showsSurely = (cosine: number, background: Background): boolean => sureness(cosine, background) > 0.5;
