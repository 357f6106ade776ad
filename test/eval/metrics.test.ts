import { describe, expect, it } from 'vitest';
import { auroc, averagePrecision, firstFit, quantile, type Stretch, temporalIou, timeError } from './metrics.ts';

const at = (start: number, end: number, video = 'a'): Stretch => ({ video, span: [start, end] });

describe('Temporal IoU', () => {
  it('is the common part over the whole, and nothing between videos or where spans only touch', () => {
    expect(temporalIou(at(0, 10), at(0, 10))).toBe(1);
    expect(temporalIou(at(0, 10), at(5, 15))).toBeCloseTo(5 / 15);
    expect(temporalIou(at(0, 10), at(2, 4))).toBeCloseTo(0.2);
    expect(temporalIou(at(0, 10), at(10, 20))).toBe(0);
    expect(temporalIou(at(0, 10), at(0, 10, 'b'))).toBe(0);
    expect(temporalIou(at(3, 3), at(3, 3))).toBe(0);
  });
});

describe('A ranked list', () => {
  const truth = [at(0, 10), at(50, 60)];
  it('is first right where any true span fits well enough', () => {
    expect(firstFit([at(20, 30), at(52, 60), at(0, 10)], truth, 0.7)).toBe(2);
    expect(firstFit([at(20, 30), at(52, 60), at(0, 10)], truth, 0.9)).toBe(3);
    expect(firstFit([at(20, 30)], truth, 0.3)).toBe(Infinity);
    expect(firstFit([], truth, 0.3)).toBe(Infinity);
  });

  it('has the average precision that is computed by hand', () => {
    expect(averagePrecision([at(0, 10), at(50, 60)], truth, 0.5)).toBe(1);
    expect(averagePrecision([at(20, 30), at(0, 10), at(70, 80), at(50, 60)], truth, 0.5)).toBeCloseTo(
      (1 / 2 + 2 / 4) / 2,
    );
    // What is found twice counts once, and one that is never found counts nothing.
    expect(averagePrecision([at(0, 10), at(0, 9)], truth, 0.5)).toBe(0.5);
    expect(averagePrecision([at(0, 10)], [], 0.5)).toBe(0);
  });

  it('is off by what lies between the borders of the first that touches a true span', () => {
    expect(timeError([at(20, 30), at(51, 58), at(0, 10)], truth)).toEqual({ start: 1, end: 2 });
    expect(timeError([at(20, 30)], truth)).toBeUndefined();
  });
});

describe('AUROC', () => {
  it('is 1 for perfect separation, 0 for the reverse, a half for ties and for chance', () => {
    expect(auroc([3, 4], [1, 2])).toBe(1);
    expect(auroc([1, 2], [3, 4])).toBe(0);
    expect(auroc([1, 1], [1, 1, 1])).toBe(0.5);
    expect(auroc([1, 3], [2])).toBe(0.5);
    expect(auroc([], [1])).toBeNaN();
  });
});

describe('A quantile', () => {
  it('is one of the values', () => {
    expect(quantile([3, 1, 2], 0.5)).toBe(2);
    expect(quantile([1, 2, 3, 4], 0.99)).toBe(4);
    expect(quantile([5], 0)).toBe(5);
    expect(quantile([], 0.5)).toBeNaN();
  });
});
