/** What `each` makes of all that a generator gives, left out where that is nothing; returns what the generator returns. */
export async function* mapped<T, U, R>(
  from: AsyncGenerator<T, R>,
  each: (piece: T) => U | undefined,
): AsyncGenerator<U, R> {
  try {
    for (;;) {
      const next = await from.next();
      if (next.done) return next.value;
      const made = each(next.value);
      if (made !== undefined) yield made;
    }
  } finally {
    // Whoever stops reading ends it.
    await from.return(undefined as R);
  }
}
