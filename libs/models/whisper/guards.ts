import { deflateSync } from 'node:zlib';
import type { SpeechWindow } from '../vad/windows.ts';
import type { WindowText } from './engine.ts';
import type { RawSegment } from './segments.ts';

/** Thresholds of openai/whisper transcribe.py. */
const noSpeechThreshold = 0.6;
const logprobThreshold = -1;
const compressionThreshold = 2.4;
/** Speech that must have been heard under a segment. */
const leastSpeechMs = 60;

/** A segment in milliseconds of the whole audio, closed. */
export interface TimedSegment {
  startMs: number;
  endMs: number;
  text: string;
  avgLogprob: number;
}

/**
 * What of a window's text to believe: not what the model says over silence, says without confidence where it hears no speech, or says over
 * and over. Segments come out in order, inside the window, without overlap.
 */
export function believable(
  window: SpeechWindow,
  { segments, noSpeech }: WindowText,
  windowEndMs: number,
): TimedSegment[] {
  const speechEndMs = window.speech.at(-1)?.endMs ?? windowEndMs;
  const out: TimedSegment[] = [];
  let floorMs = window.startMs;
  for (const segment of segments) {
    const startMs = Math.max(floorMs, window.startMs + segment.startMs);
    const endMs = Math.min(windowEndMs, segment.endMs === undefined ? speechEndMs : window.startMs + segment.endMs);
    if (endMs <= startMs || segment.text === '' || invented(segment, noSpeech)) continue;
    if (heardMs(window, startMs, endMs) < Math.min(leastSpeechMs, endMs - startMs)) continue;
    out.push({ startMs, endMs, text: segment.text, avgLogprob: segment.avgLogprob });
    floorMs = endMs;
  }
  return out;
}

function invented({ text, avgLogprob }: RawSegment, noSpeech: number): boolean {
  return (
    (noSpeech > noSpeechThreshold && avgLogprob < logprobThreshold) || compressionRatio(text) > compressionThreshold
  );
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
