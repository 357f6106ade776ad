/** Fewer numbers than these are said in a sentence, too; fewer captions are alike by chance. */
const NUMBERS = 5;
const ALIKE = 5;
const SHARE = 0.8;

/**
 * Tells what a camera, drone or dashcam writes down as captions, up to each picture (exposure, position, speed, time of day), from what is said: nearly
 * all of it is the same text but for its numbers.
 */
export class Readings {
  #texts = 0;
  #most = 0;
  readonly #alike = new Map<string, number>();

  add(text: string): void {
    this.#texts++;
    if ((text.match(/\d+/g)?.length ?? 0) < NUMBERS) return;
    const shape = text.replace(/[-+]?\d+(?:[.,:/]\d+)*/g, '0');
    const alike = (this.#alike.get(shape) ?? 0) + 1;
    this.#alike.set(shape, alike);
    this.#most = Math.max(this.#most, alike);
  }

  /** Is what was added no speech? */
  get found(): boolean {
    return this.#most >= ALIKE && this.#most >= SHARE * this.#texts;
  }
}
