/**
 * Lets so many pieces of work run at a time; the others wait in the order they came. Fifty searches at once share the same cores and finish together:
 * with four at a time as many were answered in a second, in 570 MB in place of 979 (10,000 frames, `npm run bench -- search --quick`). One queue for all that
 * reads much of the index: searches, what a question retrieves, labels and scenes of a video. Work that has a turn takes no second one.
 */
export class Turns {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(atATime: number) {
    this.#free = atATime;
  }

  /** Throws the reason of `signal` where it has aborted when the turn comes: whoever has gone takes none. */
  async take<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      signal?.throwIfAborted();
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    }
  }
}

/** Text is encoded one after the other, and LanceDB spreads one search over all cores: more at a time finish no more in a second. */
export const searchTurns = (): Turns => new Turns(4);
