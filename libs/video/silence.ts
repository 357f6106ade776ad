import { SAMPLE_RATE } from './audio.ts';

const SAMPLES_PER_MS = SAMPLE_RATE / 1000;
/** Mean square below which sound counts as silence (-90 dBFS: the noise of 16 bits), so that dither does not choose the cut. */
const SILENCE = 1e-9;

/**
 * Where to cut speech near a border without splitting a word: the middle of the quietest `windowMs` (default 200) in `pcm`,
 * as an offset in milliseconds from its start. Ties go to the place nearest the middle.
 * Two neighbouring shards that look at the same audio find the same cut.
 */
export function quietestCut(pcm: Float32Array, windowMs = 200): number {
  const lengthMs = Math.floor(pcm.length / SAMPLES_PER_MS);
  if (lengthMs <= windowMs) return lengthMs / 2;
  // energyBefore[ms]: sum of squares of all samples before that millisecond
  const energyBefore = new Float64Array(lengthMs + 1);
  let energySoFar = 0;
  for (let i = 0; i < lengthMs * SAMPLES_PER_MS; i++) {
    const sample = pcm[i] as number;
    energySoFar += sample * sample;
    if ((i + 1) % SAMPLES_PER_MS === 0) energyBefore[(i + 1) / SAMPLES_PER_MS] = energySoFar;
  }
  const floor = SILENCE * windowMs * SAMPLES_PER_MS;
  const lastStart = lengthMs - windowMs;
  let best = 0;
  let bestEnergy = Number.POSITIVE_INFINITY;
  for (let start = 0; start <= lastStart; start++) {
    const energy = Math.max(floor, (energyBefore[start + windowMs] as number) - (energyBefore[start] as number));
    const nearer = Math.abs(start - lastStart / 2) < Math.abs(best - lastStart / 2);
    if (energy < bestEnergy || (energy === bestEnergy && nearer)) {
      best = start;
      bestEnergy = energy;
    }
  }
  return best + windowMs / 2;
}
