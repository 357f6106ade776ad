/** Sum of products; of vectors of length 1 their cosine. */
export function dot(a: Float32Array, b: Float32Array): number {
  const whole = a.length & ~3;
  // Four sums, so that no addition waits for the one before: a third of the time. Declared one by one: as a list, each step of each sum was an object of the heap.
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  for (let i = 0; i < whole; i += 4) {
    s0 += (a[i] as number) * (b[i] as number);
    s1 += (a[i + 1] as number) * (b[i + 1] as number);
    s2 += (a[i + 2] as number) * (b[i + 2] as number);
    s3 += (a[i + 3] as number) * (b[i + 3] as number);
  }
  let sum = s0 + s1 + s2 + s3;
  for (let i = whole; i < a.length; i++) sum += (a[i] as number) * (b[i] as number);
  return sum;
}

/** Of vectors of any length; 0 where one has none. */
export const cosine = (a: Float32Array, b: Float32Array): number => dot(a, b) / (Math.sqrt(dot(a, a) * dot(b, b)) || 1);
