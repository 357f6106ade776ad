import type { Video } from '#store';

/** What takes long to make, kept in memory: made once for all who ask; the longest unused goes first, and what failed is made anew. */
export class Kept {
  readonly #kept = new Map<string, Promise<unknown>>();
  constructor(readonly max: number) {}

  /** `make` may say how long after it is there what it makes is kept; left out, for as long as there is room. */
  get<T>(key: string, make: (forgetIn: (ms: number) => void) => Promise<T>): Promise<T> {
    let keepMs = Number.POSITIVE_INFINITY;
    const known = this.#kept.get(key) as Promise<T> | undefined;
    const made =
      known ??
      make((ms) => {
        keepMs = ms;
      });
    this.#kept.delete(key);
    this.#kept.set(key, made);
    if (this.#kept.size > this.max) this.#kept.delete(this.#kept.keys().next().value as string);
    const forget = (): void => {
      if (this.#kept.get(key) === made) this.#kept.delete(key);
    };
    if (!known) {
      made.then(() => {
        if (keepMs === 0) forget();
        else if (Number.isFinite(keepMs)) setTimeout(forget, keepMs).unref();
      }, forget);
    }
    return made;
  }
}

/** Of something that is made of a video: another as soon as the video changes. */
export const keyOf = (what: string, { tenant, id, run, updatedAt }: Video): string =>
  `${what}/${tenant}/${id}/${run}/${updatedAt}`;
