/** What an evaluation counts. Pure functions; times in seconds. */

export type Span = readonly [start: number, end: number];
/** A stretch of a video. */
export interface Stretch {
  video: string;
  span: Span;
}

/** Length of what two stretches have in common over the length of both together; 0 in different videos. */
export function temporalIou(a: Stretch, b: Stretch): number {
  if (a.video !== b.video) return 0;
  const common = Math.min(a.span[1], b.span[1]) - Math.max(a.span[0], b.span[0]);
  const union = Math.max(a.span[1], b.span[1]) - Math.min(a.span[0], b.span[0]);
  return common <= 0 ? 0 : common / union;
}

/** Rank (from 1) of the first found stretch that fits a true one; Infinity where none does. */
export function firstFit(found: readonly Stretch[], truth: readonly Stretch[], minIou: number): number {
  const at = found.findIndex((one) => truth.some((true_) => temporalIou(one, true_) >= minIou));
  return at < 0 ? Infinity : at + 1;
}

/**
 * Average precision of one ranked list: the precision at each true stretch that is found, over the number of true stretches. Each true one counts
 * once, for the best ranked that fits it (Everingham et al., "The PASCAL Visual Object Classes Challenge", IJCV 2010; without interpolation).
 */
export function averagePrecision(found: readonly Stretch[], truth: readonly Stretch[], minIou: number): number {
  const open = new Set(truth);
  let hits = 0;
  let sum = 0;
  for (const [i, one] of found.entries()) {
    const fits = [...open].filter((true_) => temporalIou(one, true_) >= minIou);
    const best = fits.sort((a, b) => temporalIou(one, b) - temporalIou(one, a))[0];
    if (!best) continue;
    open.delete(best);
    hits += 1;
    sum += hits / (i + 1);
  }
  return truth.length === 0 ? 0 : sum / truth.length;
}

/** How far start and end of the first found stretch that touches a true one are off; undefined where none does. */
export function timeError(
  found: readonly Stretch[],
  truth: readonly Stretch[],
): { start: number; end: number } | undefined {
  for (const one of found) {
    const touched = truth.filter((true_) => temporalIou(one, true_) > 0);
    const best = touched.sort((a, b) => temporalIou(one, b) - temporalIou(one, a))[0];
    if (best) {
      return { start: Math.abs(one.span[0] - best.span[0]), end: Math.abs(one.span[1] - best.span[1]) };
    }
  }
  return undefined;
}

/**
 * Area under the ROC curve: how often one that is present scores above one that is absent, ties half (the Mann-Whitney U statistic over the number of
 * pairs; Hanley & McNeil, Radiology 1982). NaN where either is missing.
 */
export function auroc(present: readonly number[], absent: readonly number[]): number {
  let wins = 0;
  for (const a of present) for (const b of absent) wins += a > b ? 1 : a === b ? 0.5 : 0;
  return wins / (present.length * absent.length);
}

/** NaN of nothing. */
export const mean = (values: readonly number[]): number => values.reduce((sum, one) => sum + one, 0) / values.length;

/** The value below which the share `q` (0..1) of the values lies, nearest rank; NaN of nothing. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(q * sorted.length) - 1))] ?? Number.NaN;
}
