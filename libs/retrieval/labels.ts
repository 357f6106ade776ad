import { setImmediate as nextTurn } from 'node:timers/promises';
import { dot, type FrameRow, frameId } from '#store';
import { type Background, backgrounds, commonTexts } from './background.ts';
import { logistic, longestFirst } from './candidate.ts';
import { eachFrame, type FrameDeps, type PartOfVideo } from './each-frame.ts';
import { middleBeneath } from './frame-moments.ts';
import { mean, promptsOf } from './prompts.ts';
import type { Moment } from './search.ts';

/**
 * A frame half as likely as not to show a label stands so many spreads above the middle frame; its odds grow by e with each slope. Chosen on two libraries
 * of tools/library with the tiny CLIP (docs/search.md). Lower than what search asks of the best of all frames.
 */
const SURE_SPREADS = 2.6;
const SURE_SLOPE = 0.2;
/** Of the probability that softmax shares out among all labels and the everyday texts, what a label that holds has at least. */
const MIN_SHARE = 0.15;
/** Frames that lie this close together show a label without a break. */
const MAX_GAP_MS = 500;
const MAX_SPANS = 20;
/** Texts encoded in one go, so that searches are served in between. */
const TEXTS = 16;
/** Vectors compared between two turns of the event loop: some ms. */
const PAIRS_A_TURN = 8192;

/** Labels made ready to be looked for in a tenant's frames. */
export interface Labels {
  names: string[];
  vectors: Float32Array[];
  /** None where a sigmoid model judges each label by itself. */
  backgrounds: Background[];
  /** What a frame may show rather than any of the labels. */
  others: Float32Array[];
  logitScale: number;
  logitBias?: number;
}
export interface HeldLabel {
  label: string;
  /** 0..1, above one half. */
  confidence: number;
}
/** A label that is seen in a video. Times in ms. */
export interface LabelInVideo extends HeldLabel {
  totalMs: number;
  firstMs: number;
  /** How often it comes into view. */
  count: number;
  /** At most 20 of these times, the longest, in order. */
  spans: LabelSpan[];
}
export interface LabelSpan {
  startMs: number;
  endMs: number;
  /** Of its surest frame. */
  confidence: number;
  /** That frame: it has a thumbnail. */
  frameAtMs: number;
}

/**
 * Encodes labels, each in several sentences where the model learnt from such, and measures what each scores on frames it has nothing to do with. A sigmoid
 * model needs neither: it says how likely a picture and a text as it is belong together.
 */
export async function readLabels(
  deps: FrameDeps,
  tenant: string,
  names: string[],
  signal?: AbortSignal,
): Promise<Labels> {
  const { encoder } = deps;
  const { logitScale, logitBias } = encoder;
  const isSigmoid = logitBias !== undefined;
  const prompts = names.map((name) => (isSigmoid ? [name] : promptsOf(name, encoder)));
  const texts = prompts.flat();
  const encoded: Float32Array[] = [];
  for (let at = 0; at < texts.length; at += TEXTS) {
    encoded.push(...(await encoder.encodeTexts(texts.slice(at, at + TEXTS), signal)));
    signal?.throwIfAborted();
  }
  const vectors = prompts.map(({ length }) => mean(encoded.splice(0, length)));
  if (isSigmoid) return { names, vectors, backgrounds: [], others: [], logitScale, logitBias };
  return {
    names,
    vectors,
    backgrounds: (await backgrounds(deps, tenant, vectors, signal)).map((one) => ({
      ...one,
      middle: middleBeneath(one.nearest, one),
    })),
    others: await commonTexts(encoder),
    logitScale,
  };
}

/**
 * Labels that a frame shows. A sigmoid model says of each by itself how likely it is (Zhai et al. 2023). With any other two things must hold: it stands out
 * from the tenant's other frames, as for search; and next to the other labels and some everyday texts it is not an unlikely one, by CLIP's own softmax. The
 * first alone sees too much in a library of one short video, whose middle frame says little; the second alone always finds something.
 */
function labelsOfFrame(labels: Labels, frame: Float32Array): (HeldLabel & { at: number })[] {
  const { names, vectors, backgrounds, others, logitScale, logitBias } = labels;
  const cosines = vectors.map((vector) => dot(frame, vector));
  const confidenceOf = (cosine: number, at: number): number => {
    if (logitBias !== undefined) return logistic(logitScale * cosine + logitBias);
    const { middle, spread } = backgrounds[at] as Background;
    return logistic(((cosine - middle) / spread - SURE_SPREADS) / SURE_SLOPE);
  };
  const sure = cosines.flatMap((cosine, at) => {
    const confidence = confidenceOf(cosine, at);
    return confidence > 0.5 ? [{ label: names[at] as string, confidence, at }] : [];
  });
  if (sure.length === 0 || logitBias !== undefined) return sure;
  const rivals = [...cosines, ...others.map((other) => dot(frame, other))];
  const most = Math.max(...rivals);
  const weight = (cosine: number): number => Math.exp((cosine - most) * logitScale);
  const least = MIN_SHARE * rivals.reduce((sum, cosine) => sum + weight(cosine), 0);
  return sure.filter(({ at }) => weight(cosines[at] as number) >= least);
}

/** What is in a video, or a part of it: the labels that are seen, those longest in view first. Memory follows what is found, not the video's length. */
export async function labelsOfVideo(
  deps: FrameDeps,
  labels: Labels,
  { tenant, ...part }: PartOfVideo & { tenant: string },
  signal?: AbortSignal,
): Promise<LabelInVideo[]> {
  const spans: LabelSpan[][] = labels.names.map(() => []);
  const framesATurn = Math.ceil(PAIRS_A_TURN / (labels.names.length + labels.others.length));
  for await (const frames of eachFrame(deps, tenant, part)) {
    for (const [i, frame] of frames.entries()) {
      if (i % framesATurn === framesATurn - 1) await nextTurn(undefined, { signal });
      for (const { at, confidence } of labelsOfFrame(labels, frame.vector)) {
        lengthen(spans[at] as LabelSpan[], frame, confidence);
      }
    }
  }
  const { startMs: fromMs, endMs: toMs } = part.timeRange ?? { startMs: 0, endMs: Number.POSITIVE_INFINITY };
  const within = (span: LabelSpan): LabelSpan => ({
    ...span,
    startMs: Math.max(span.startMs, fromMs),
    endMs: Math.min(span.endMs, toMs),
  });
  return labels.names
    .flatMap((label, at) => summed(label, (spans[at] as LabelSpan[]).map(within)) ?? [])
    .sort((a, b) => b.totalMs - a.totalMs || a.firstMs - b.firstMs);
}

/** Labels that the frames of each moment show, surest first; undefined for moments of speech alone. */
export async function labelsOfMoments(
  { index, encoder }: FrameDeps,
  labels: Labels,
  tenant: string,
  moments: Moment[],
): Promise<(HeldLabel[] | undefined)[]> {
  const idsOf = ({ videoId, evidence }: Moment): string[] =>
    evidence.flatMap(({ kind, atMs }) => (kind === 'frame' ? [frameId(videoId, atMs)] : []));
  const ids = [...new Set(moments.flatMap(idsOf))];
  if (ids.length === 0) return moments.map(() => undefined);
  const held = new Map<string, HeldLabel[]>();
  for (const { id, vector } of await index.getFrames(encoder, tenant, ids)) {
    held.set(id, labelsOfFrame(labels, vector));
    await nextTurn();
  }
  return moments.map((moment) => {
    const own = idsOf(moment);
    if (own.length === 0) return undefined;
    const surest = new Map<string, number>();
    for (const { label, confidence } of own.flatMap((id) => held.get(id) ?? [])) {
      surest.set(label, Math.max(confidence, surest.get(label) ?? 0));
    }
    return [...surest]
      .map(([label, confidence]) => ({ label, confidence }))
      .sort((a, b) => b.confidence - a.confidence || (a.label < b.label ? -1 : 1));
  });
}

/** `frame` goes on with the last span, or begins one. */
function lengthen(spans: LabelSpan[], { startMs, endMs }: FrameRow, confidence: number): void {
  const last = spans.at(-1);
  if (!last || startMs - last.endMs > MAX_GAP_MS) {
    spans.push({ startMs, endMs, confidence, frameAtMs: startMs });
    return;
  }
  last.endMs = Math.max(last.endMs, endMs);
  if (confidence > last.confidence) Object.assign(last, { confidence, frameAtMs: startMs });
}

function summed(label: string, spans: LabelSpan[]): LabelInVideo | undefined {
  const [first] = spans;
  if (!first) return undefined;
  const long = spans.toSorted(longestFirst);
  return {
    label,
    confidence: spans.reduce((best, { confidence }) => Math.max(best, confidence), 0),
    totalMs: spans.reduce((sum, { startMs, endMs }) => sum + endMs - startMs, 0),
    firstMs: first.startMs,
    count: spans.length,
    spans: long.slice(0, MAX_SPANS).sort((a, b) => a.startMs - b.startMs),
  };
}
