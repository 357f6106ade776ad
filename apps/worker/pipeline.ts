/**
 * Runs `source` ahead of its reader, by at most `depth` items: while one part of a chain works, those before it already work on what comes
 * next. Items come in order; an error comes after the items before it; leaving early ends the source.
 */
export async function* ahead<T>(source: AsyncIterable<T>, depth: number): AsyncGenerator<T> {
  const iterator = source[Symbol.asyncIterator]();
  const items: T[] = [];
  let ended: { error?: unknown } | undefined;
  let left = false;
  let wakeReader = () => {};
  let wakeSource = () => {};
  const pump = async () => {
    try {
      for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
        items.push(next.value);
        wakeReader();
        if (items.length >= depth && !left) await new Promise<void>((resolve) => (wakeSource = resolve));
        if (left) break;
      }
      ended = {};
    } catch (error) {
      ended = { error };
    }
    wakeReader();
  };
  const pumping = pump();
  try {
    for (;;) {
      if (items.length > 0) {
        const item = items.shift() as T;
        if (items.length < depth) wakeSource();
        yield item;
      } else if (ended) {
        if ('error' in ended) throw ended.error;
        return;
      } else {
        await new Promise<void>((resolve) => (wakeReader = resolve));
      }
    }
  } finally {
    left = true;
    wakeSource();
    await pumping;
    await iterator.return?.();
  }
}

/** Groups of exactly `size`, by count alone and never by timing (the last may be smaller): the same input makes the same groups. */
export async function* inGroups<T>(source: AsyncIterable<T>, size: number): AsyncGenerator<T[]> {
  let group: T[] = [];
  for await (const item of source) {
    group.push(item);
    if (group.length === size) {
      yield group;
      group = [];
    }
  }
  if (group.length > 0) yield group;
}
