/** From answers to figures. */
import type { Question } from './datasets.ts';
import { auroc, averagePrecision, firstFit, mean, quantile, type Stretch, timeError } from './metrics.ts';

/** What was found for a question, best first. */
export interface Asked {
  question: Question;
  found: Stretch[];
  /** Of the best moment; 0 where none was found. */
  confidence: number;
  latencyMs: number;
  steps: Record<string, number>;
}
/** Shares in 0..1, errors in seconds. NaN where there is nothing to count. */
export interface Figures {
  questions: number;
  'R@1 .3': number;
  'R@1 .5': number;
  'R@1 .7': number;
  'R@5 .3': number;
  'R@5 .5': number;
  'R@5 .7': number;
  /** Mean over IoU .5, .55, … .95, as QVHighlights reports it. */
  mAP: number;
  'mAP .5': number;
  /** Of the first that fits with an IoU of .5. */
  MRR: number;
  /** Of the first of five that touches a true one. */
  'start err median': number;
  'start err mean': number;
  'end err mean': number;
  /** Against all absent ones, by the confidence of the best moment. */
  AUROC: number;
  /** Share whose best moment has a confidence above one half. */
  sure: number;
}
const IOUS = Array.from({ length: 10 }, (_, i) => 0.5 + i * 0.05);

export function figures(present: readonly Asked[], absent: readonly Asked[]): Figures {
  const recall = (at: number, iou: number) =>
    mean(present.map(({ found, question }) => (firstFit(found, question.truth, iou) <= at ? 1 : 0)));
  const precision = (iou: number) =>
    mean(present.map(({ found, question }) => averagePrecision(found, question.truth, iou)));
  const errors = present.flatMap(({ found, question }) => timeError(found.slice(0, 5), question.truth) ?? []);
  const starts = errors.map(({ start }) => start);
  return {
    questions: present.length,
    'R@1 .3': recall(1, 0.3),
    'R@1 .5': recall(1, 0.5),
    'R@1 .7': recall(1, 0.7),
    'R@5 .3': recall(5, 0.3),
    'R@5 .5': recall(5, 0.5),
    'R@5 .7': recall(5, 0.7),
    mAP: mean(IOUS.map(precision)),
    'mAP .5': precision(0.5),
    MRR: mean(present.map(({ found, question }) => 1 / firstFit(found, question.truth, 0.5))),
    'start err median': quantile(starts, 0.5),
    'start err mean': mean(starts),
    'end err mean': mean(errors.map(({ end }) => end)),
    AUROC: auroc(
      present.map(({ confidence }) => confidence),
      absent.map(({ confidence }) => confidence),
    ),
    sure: mean(present.map(({ confidence }) => (confidence > 0.5 ? 1 : 0))),
  };
}

/** Figures of each kind of question, of single facts (seen or said), and of all. */
export function byKind(asked: readonly Asked[]): Record<string, Figures> {
  const absent = asked.filter(({ question }) => question.truth.length === 0);
  const present = asked.filter(({ question }) => question.truth.length > 0);
  const kinds = [...new Set(present.map(({ question }) => question.kind))];
  const ofKind = (...names: string[]) => present.filter(({ question }) => names.includes(question.kind));
  const rows: Record<string, Figures> = {};
  for (const kind of kinds) rows[kind] = figures(ofKind(kind), absent);
  if (kinds.includes('seen') && kinds.includes('said')) rows['single facts'] = figures(ofKind('seen', 'said'), absent);
  if (kinds.length > 1) rows.all = figures(present, absent);
  return rows;
}

/** Of what is not there: how sure the best moment is, by what was asked for; AUROC of all that is there against it. */
export function ofAbsent(
  asked: readonly Asked[],
): Record<string, { questions: number; AUROC: number; sure: number; 'confidence p90': number }> {
  const present = asked.filter(({ question }) => question.truth.length > 0).map(({ confidence }) => confidence);
  const groups = Map.groupBy(
    asked.filter(({ question }) => question.truth.length === 0),
    ({ question }) => question.of ?? 'absent',
  );
  const row = (some: readonly Asked[]) => {
    const confidences = some.map(({ confidence }) => confidence);
    return {
      questions: some.length,
      AUROC: auroc(present, confidences),
      sure: mean(confidences.map((one) => (one > 0.5 ? 1 : 0))),
      'confidence p90': quantile(confidences, 0.9),
    };
  };
  const rows = Object.fromEntries([...groups].map(([of, some]) => [of, row(some)]));
  return groups.size > 1 ? { ...rows, all: row([...groups.values()].flat()) } : rows;
}

/** Milliseconds of each step and of the whole request as the client sees it. */
export function latencies(asked: readonly Asked[]): Record<string, { p50: number; p95: number; p99: number }> {
  const row = (values: number[]) => ({
    p50: quantile(values, 0.5),
    p95: quantile(values, 0.95),
    p99: quantile(values, 0.99),
  });
  const names = [...new Set(asked.flatMap(({ steps }) => Object.keys(steps)))];
  return Object.fromEntries([
    ...names.map((name) => [name, row(asked.flatMap(({ steps }) => steps[name] ?? []))]),
    ['request', row(asked.map(({ latencyMs }) => latencyMs))],
  ]);
}
