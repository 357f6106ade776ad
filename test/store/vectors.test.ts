import { expect, it } from 'vitest';
import { cosine, dot } from '#store';

const counting = (length: number, from: number) => Float32Array.from({ length }, (_, i) => from + i);

it.each([0, 1, 3, 4, 5, 8, 11])('the product of two vectors of %i numbers counts each of them once', (length) => {
  const expected = Array.from({ length }, (_, i) => (1 + i) * (5 + i)).reduce((sum, one) => sum + one, 0);
  expect(dot(counting(length, 1), counting(length, 5))).toBe(expected);
});

it('the cosine is of directions, whatever the lengths, and none where there is no direction', () => {
  expect(cosine(Float32Array.of(2, 0, 0), Float32Array.of(3, 3, 0))).toBeCloseTo(Math.SQRT1_2);
  expect(cosine(new Float32Array(3), Float32Array.of(1, 0, 0))).toBe(0);
});
