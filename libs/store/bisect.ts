/** The first of the indexes below `count` from which `isPast` holds, or `count`: once it holds it must go on to. */
export function firstWhere(count: number, isPast: (i: number) => boolean): number {
  let [from, to] = [0, count];
  while (from < to) {
    const middle = (from + to) >> 1;
    if (isPast(middle)) to = middle;
    else from = middle + 1;
  }
  return from;
}
