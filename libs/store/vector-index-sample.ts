/** A sample as large as was asked for hardly changes with a few rows more: it is used so long, */
const FRESH_MS = 60_000;
/** and up to this age while the next one is read. */
const STALE_MS = 10 * 60_000;
/** 64 samples of 512 vectors of 512 numbers. */
const MAX_BYTES = 64 * 1024 * 1024;

interface Sample {
  vectors: Promise<Float32Array[]>;
  at: number;
  /** State of the collection that it was read from. */
  version: unknown;
  isFull: boolean;
  bytes: number;
}

/**
 * Samples of vectors in memory, the least recently used go first. One that is smaller than was asked for holds all rows there are, so that one row more
 * changes it: it counts as long as the collection stays the same.
 */
export class SampleCache {
  readonly #samples = new Map<string, Sample>();

  /** `partialMs`: how long a sample of all rows is used at most, for a store that does not tell when others write to it. */
  constructor(readonly partialMs = Number.POSITIVE_INFINITY) {}

  async get(
    key: string,
    count: number,
    version: unknown,
    read: () => Promise<Float32Array[]>,
  ): Promise<Float32Array[]> {
    const known = this.#samples.get(key);
    const age = known ? performance.now() - known.at : Number.POSITIVE_INFINITY;
    if (known && (known.isFull ? age < STALE_MS : known.version === version && age < this.partialMs)) {
      this.#samples.delete(key);
      this.#samples.set(key, known);
      if (known.isFull && age > FRESH_MS) {
        known.at = performance.now() - FRESH_MS; // one reader at a time
        this.#read(key, count, version, read).vectors.catch(() => {});
      }
      return known.vectors;
    }
    const sample = this.#read(key, count, version, read);
    this.#samples.set(key, sample);
    return sample.vectors;
  }

  #read(key: string, count: number, version: unknown, read: () => Promise<Float32Array[]>): Sample {
    const sample: Sample = { vectors: read(), at: performance.now(), version, isFull: false, bytes: 0 };
    sample.vectors.then(
      (vectors) => {
        sample.isFull = vectors.length >= count;
        sample.bytes = vectors.reduce((sum, vector) => sum + vector.byteLength, 0);
        this.#samples.set(key, sample);
        this.#evict();
      },
      () => {
        if (this.#samples.get(key) === sample) this.#samples.delete(key);
      },
    );
    return sample;
  }

  #evict(): void {
    let bytes = [...this.#samples.values()].reduce((sum, sample) => sum + sample.bytes, 0);
    for (const [key, sample] of this.#samples) {
      if (bytes <= MAX_BYTES) return;
      bytes -= sample.bytes;
      this.#samples.delete(key);
    }
  }
}
