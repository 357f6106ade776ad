import { deflateSync } from 'node:zlib';
import type { SpeechWindow } from '../vad/windows.ts';
import type { Thresholds } from './config.ts';
import type { RawSegment } from './segments.ts';

/** Speech that must have been heard under a segment. */
const leastSpeechMs = 60;
/** Speech still to come after the last words of a window that is worth another look. */
const leastUnheardMs = 1000;
/** Kept before speech when a window is gone on with. */
const leadMs = 200;

/** A segment in milliseconds of the whole audio, closed. */
export interface TimedSegment {
  startMs: number;
  endMs: number;
  text: string;
  avgLogprob: number;
}
/** What is judged of a whole window's decoding. */
export interface WindowScores {
  text: string;
  avgLogprob: number;
  noSpeech: number;
}

/** Whether a window's text is to be thrown away as silence, and whether it is so bad that it is worth another try at a higher temperature. */
export function judge(
  { text, avgLogprob, noSpeech }: WindowScores,
  thresholds: Thresholds,
): 'good' | 'silent' | 'doubtful' {
  const unsure = avgLogprob < thresholds.logprob;
  if (unsure && noSpeech > thresholds.noSpeech) return 'silent';
  return unsure || compressionRatio(text) > thresholds.compressionRatio ? 'doubtful' : 'good';
}

/**
 * What of a window's text to believe: not what the model says over silence, or says over and over. Segments come out in order, inside the
 * window, without overlap.
 */
export function believable(
  window: SpeechWindow,
  segments: RawSegment[],
  windowEndMs: number,
  { compressionRatio: most }: Thresholds,
): TimedSegment[] {
  const speechEndMs = window.speech.at(-1)?.endMs ?? windowEndMs;
  const out: TimedSegment[] = [];
  let floorMs = window.startMs;
  for (const segment of segments) {
    const startMs = Math.max(floorMs, window.startMs + segment.startMs);
    const endMs = Math.min(windowEndMs, segment.endMs === undefined ? speechEndMs : window.startMs + segment.endMs);
    if (endMs <= startMs || segment.text === '' || compressionRatio(segment.text) > most) continue;
    if (heardMs(window, startMs, endMs) < Math.min(leastSpeechMs, endMs - startMs)) continue;
    out.push({ startMs, endMs, text: segment.text, avgLogprob: segment.avgLogprob });
    floorMs = endMs;
  }
  return out;
}

/**
 * What of a window is still to be transcribed after `doneMs` (in the whole audio): from there, or from the speech that comes next, if
 * enough speech was heard there. Whisper at times closes its last segment long before the speech ends.
 */
export function remainder(
  window: SpeechWindow,
  doneMs: number,
  sampleRate: number,
  leastMs = leastUnheardMs,
): SpeechWindow | undefined {
  const speech = window.speech
    .filter((span) => span.endMs > doneMs)
    .map((span) => ({ startMs: Math.max(span.startMs, doneMs), endMs: span.endMs }));
  const [next] = speech;
  if (!next || speech.reduce((sum, { startMs, endMs }) => sum + endMs - startMs, 0) < leastMs) return undefined;
  const startMs = Math.max(doneMs, next.startMs - leadMs);
  const pcm = window.pcm.subarray(Math.round(((startMs - window.startMs) / 1000) * sampleRate));
  return { startMs, pcm, speech };
}

/** How much smaller deflate makes a text: repetition compresses well. */
function compressionRatio(text: string): number {
  const bytes = Buffer.from(text);
  return bytes.length / deflateSync(bytes).length;
}

function heardMs({ speech }: SpeechWindow, startMs: number, endMs: number): number {
  return speech.reduce(
    (sum, span) => sum + Math.max(0, Math.min(endMs, span.endMs) - Math.max(startMs, span.startMs)),
    0,
  );
}
