import { describe, expect, it } from 'vitest';
import { EnergyDetector } from '../../libs/models/vad/energy.ts';
import { type SpeechWindow, WindowPacker } from '../../libs/models/vad/windows.ts';
import { concat, noise, rate, silence } from './audio.ts';

const windowSamples = 30 * rate;

/** Something as loud and as uneven as speech: a carrier that swells and fades four times a second. */
function babble(seconds: number, db = -20): Float32Array {
  const scale = 10 ** (db / 20) * 1.4;
  return Float32Array.from({ length: seconds * rate }, (_, i) => {
    const swell = Math.sin((Math.PI * 4 * i) / rate) ** 2;
    return scale * swell * Math.sin((2 * Math.PI * 440 * i) / rate);
  });
}
async function pack(pcm: Float32Array, size = rate): Promise<SpeechWindow[]> {
  const packer = new WindowPacker(new EnergyDetector(rate), rate, windowSamples);
  const windows: SpeechWindow[] = [];
  for (let i = 0; i < pcm.length; i += size) windows.push(...(await packer.push(pcm.slice(i, i + size))));
  return [...windows, ...(await packer.flush())];
}
const span = ({ startMs, pcm }: SpeechWindow) => [startMs / 1000, startMs / 1000 + pcm.length / rate];

describe('speech windows', () => {
  it('hold what was said near together, with its silence, at its true time', async () => {
    const windows = await pack(
      concat(silence(10), babble(3), silence(2), babble(4), silence(20), babble(2), silence(5)),
    );
    expect(windows).toHaveLength(2);
    const [[start, end], [later]] = windows.map(span) as [[number, number], [number]];
    expect(start).toBeGreaterThan(9.5);
    expect(start).toBeLessThanOrEqual(10);
    expect(end).toBeGreaterThanOrEqual(19);
    expect(end).toBeLessThan(19.6);
    expect(later).toBeGreaterThan(38.5);
    expect(later).toBeLessThanOrEqual(39);
  });

  it('have the samples of the audio they stand for', async () => {
    const pcm = concat(silence(7), babble(3), silence(30), babble(2));
    for (const window of await pack(pcm)) {
      const from = (window.startMs / 1000) * rate;
      expect(window.pcm).toEqual(pcm.slice(from, from + window.pcm.length));
    }
  });

  it('are cut at a pause before they grow too long', async () => {
    const talk = Array.from({ length: 12 }, () => [babble(7), silence(1)]).flat();
    const windows = await pack(concat(...talk));
    for (const [i, window] of windows.entries()) {
      expect(window.pcm.length).toBeLessThanOrEqual(windowSamples);
      expect(window.speech.every(({ startMs, endMs }) => endMs - startMs > 6500)).toBe(true);
      if (i > 0) expect(span(window)[0]).toBeGreaterThanOrEqual(span(windows[i - 1] as SpeechWindow)[1] as number);
    }
    expect(windows.flatMap(({ speech }) => speech)).toHaveLength(12);
    expect(windows).toHaveLength(4);
  });

  it('lose nothing of speech that never pauses', async () => {
    const windows = await pack(concat(silence(3), babble(100), silence(3)));
    expect(span(windows[0] as SpeechWindow)[0]).toBeLessThanOrEqual(3);
    expect(span(windows.at(-1) as SpeechWindow)[1]).toBeGreaterThanOrEqual(103);
    for (const [i, window] of windows.entries()) {
      expect(window.pcm.length).toBeLessThanOrEqual(windowSamples);
      if (i > 0) expect(window.startMs / 1000).toBeCloseTo(span(windows[i - 1] as SpeechWindow)[1] as number, 6);
    }
  });

  it('are none for silence, steady noise or hum, whatever their loudness', async () => {
    const hum = Float32Array.from({ length: 60 * rate }, (_, i) => 0.3 * Math.sin((2 * Math.PI * 50 * i) / rate));
    const tone = Float32Array.from({ length: 60 * rate }, (_, i) => 0.3 * Math.sin((2 * Math.PI * 1000 * i) / rate));
    for (const pcm of [silence(60), noise(60, -60), noise(60, -30), noise(60, -10), hum, tone, new Float32Array(0)]) {
      expect(await pack(pcm)).toEqual([]);
    }
  });

  it('find quiet speech, and speech in noise 15 dB below it', async () => {
    const quiet = concat(silence(8), babble(3, -50), silence(8));
    const noisy = concat(silence(8), babble(3, -20), silence(8)).map((x, i) => x + (noise19[i] as number));
    for (const pcm of [quiet, noisy]) {
      const [window, ...more] = await pack(pcm);
      expect(more).toEqual([]);
      expect(window?.startMs).toBeGreaterThan(7500);
      expect(window?.startMs).toBeLessThanOrEqual(8000);
    }
  });

  it('are the same for pieces of any size', async () => {
    const pcm = concat(noise(4, -60), babble(5), noise(9, -50, 3), babble(40), silence(3));
    const whole = await pack(pcm, pcm.length);
    expect(whole.length).toBeGreaterThan(1);
    expect(await pack(pcm, 777)).toEqual(whole);
  });
});

const noise19 = noise(19, -35);
