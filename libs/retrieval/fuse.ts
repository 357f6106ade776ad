import { byScore, type Candidate, groupByVideo, MAX_EVIDENCE, overlaps } from './candidate.ts';
import type { Evidence, Modality, Moment } from './search.ts';

/** Cormack, Clarke & Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods", SIGIR 2009. */
const K = 60;
/** Something said so soon before or after what is seen belongs to it, by half. */
const NEAR_MS = 2000;
const NEAR_WEIGHT = 0.5;
/** What is less sure by itself is neither joined to what is merely near, nor evidence for what the other modality found. */
const NEAR_MIN_CONFIDENCE = 0.3;
/** Shorter than this, what two spans have in common is chance. */
const MIN_COMMON_MS = 700;
/** Each moment of a video that is in the list already takes so much off the next one of it: other videos come up among equals. */
const DIVERSITY = 0.95;
/** Half of the answer, where two things at once are asked for, or a picture is found for what is asked to be said. */
export const HALF = 0.5;
/** A rank weighs this much even where its modality is not sure at all, so that those ranks have an order. */
const LEAST_SURE = 0.01;

type Ranked = Candidate & { weight: number };

/**
 * Fuses ranked moments of frames and of passages. A rank counts 1 / (60 + rank) as in weighted reciprocal rank fusion, times how sure its modality is of it:
 * without that, the best of a modality that finds nothing ties with the best of one that does. Where both find the same stretch the two are summed.
 */
export function fuse(
  { frames, passages, titles }: Record<Modality | 'titles', Candidate[]>,
  options: { isTwofold: boolean; limit: number; weights: Record<Modality, number> },
): Moment[] {
  const { isTwofold, limit, weights } = options;
  const seen = withWeights(frames, weights.frames);
  const said = withWeights(passages, weights.passages);
  // Titles count with passages; what a title has besides takes off its rank.
  const titled = withWeights(titles, weights.passages).map((one) => ({ ...one, weight: one.weight * one.score }));
  const isHalf = isTwofold && seen.length > 0 && said.length > 0;
  const candidates = [...seen, ...said, ...titled].map((one) => ({
    ...one,
    score: one.weight,
    confidence: isHalf ? one.confidence * HALF : one.confidence,
  }));
  candidates.push(...pairs(seen, said, isTwofold), ...pairs([...seen, ...said], titled, isTwofold));
  return pick(candidates.sort(byScore), limit);
}

function pairs(some: Ranked[], others: Ranked[], isTwofold: boolean): Ranked[] {
  const inVideo = groupByVideo(others);
  return some.flatMap((one) =>
    (inVideo.get(one.videoId) ?? []).flatMap((other) => joined(one, other, isTwofold) ?? []),
  );
}

/** The best first; none that overlaps a better one; of those that score alike, one of a video that is not in the list yet. */
function pick(candidates: Ranked[], limit: number): Moment[] {
  const kept: Moment[] = [];
  const ofVideo = new Map<string, Moment[]>();
  const waiting = [...candidates];
  while (kept.length < limit && waiting.length > 0) {
    let best = 0;
    let bestScore = -1;
    for (const [i, { videoId, score }] of waiting.entries()) {
      if (score <= bestScore) break; // The rest scores less even without what is taken off.
      const lessened = score * DIVERSITY ** (ofVideo.get(videoId)?.length ?? 0);
      if (lessened > bestScore) [best, bestScore] = [i, lessened];
    }
    const [chosen] = waiting.splice(best, 1) as [Ranked];
    const { videoId, startMs, endMs, confidence } = chosen;
    const others = ofVideo.get(videoId) ?? [];
    if (others.some((other) => overlaps(other, chosen))) continue;
    const evidence = chosen.evidence.slice(0, MAX_EVIDENCE);
    const moment = { videoId, startMs, endMs, score: bestScore, confidence, evidence };
    kept.push(moment);
    ofVideo.set(videoId, [...others, moment]);
  }
  return kept;
}

const withWeights = (candidates: Candidate[], weight: number): Ranked[] =>
  candidates.map((one, i) => ({ ...one, weight: (weight * (one.confidence + LEAST_SURE)) / (K + i + 1) }));

/**
 * What is seen and what is said, as one moment. A question for two things at once is answered where both hold; for one thing, the surer of the two says
 * from when to when, and the other only that it is likelier.
 */
function joined(one: Ranked, another: Ranked, isTwofold: boolean): Ranked | undefined {
  const startMs = Math.max(one.startMs, another.startMs);
  const endMs = Math.min(one.endMs, another.endMs);
  const isNear = startMs - endMs > 0;
  if (startMs - endMs > NEAR_MS) return undefined;
  if (isNear && Math.min(one.confidence, another.confidence) < NEAR_MIN_CONFIDENCE) return undefined;
  const [surer, other] = one.weight >= another.weight ? [one, another] : [another, one];
  // Of one thing, a modality that is unsure has found little to add; of two things, each may know only its own half of the question.
  const share = (isNear ? NEAR_WEIGHT : 1) * (isTwofold ? 1 : other.confidence);
  const score = surer.weight + other.weight * share;
  const union = { startMs: Math.min(one.startMs, another.startMs), endMs: Math.max(one.endMs, another.endMs) };
  const span = !isTwofold
    ? { startMs: surer.startMs, endMs: surer.endMs }
    : endMs - startMs >= MIN_COMMON_MS
      ? { startMs, endMs }
      : union;
  const confidence = isTwofold
    ? Math.sqrt(one.confidence * another.confidence)
    : Math.max(one.confidence, another.confidence);
  // Both kinds are shown: of each the best that lies in the span, else the best that is near. What merely happens to be there at the time is no evidence.
  const [first, second] = [surer, other].map(({ evidence }) => {
    const sure = isTwofold || evidence === surer.evidence ? evidence : evidence.filter(isSureEnough);
    const apartMs = (one: Evidence): number => Math.max(span.startMs - one.endMs, one.atMs - span.endMs);
    const within = sure.filter((one) => apartMs(one) < 0);
    return within.length > 0 ? within : sure.filter((one) => apartMs(one) <= NEAR_MS).slice(0, 1);
  }) as [Evidence[], Evidence[]];
  const evidence = [...first.slice(0, 1), ...second.slice(0, 1), ...first.slice(1), ...second.slice(1)];
  return { ...surer, ...span, score, confidence, evidence };
}

const isSureEnough = ({ confidence = 0 }: Evidence): boolean => confidence >= NEAR_MIN_CONFIDENCE;
