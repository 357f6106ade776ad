import { blocks } from './blocks.ts';
import { TURN_SEC } from './clock.ts';
import { ProcessFailed, runFfmpeg } from './ffmpeg.ts';
import { type AudioTrack, findAudioTrack, refuseImpossible } from './probe.ts';
import { inPieces, JUMP, type Stretch, settled } from './timeline.ts';

/** Samples a second of all audio in Cuepoint: what Whisper takes. */
export const SAMPLE_RATE = 16_000;
/**
 * Decoding starts this much before the range: decoders that need earlier packets (AAC, MP3, Opus) and the resampler have settled by
 * then, and a seek that lands a little late does no harm.
 */
const LEAD_MS = 2000;
/** A file that is shorter than the resampler's filter gives nothing, though nothing is wrong with it. */
const SHORTEST_MS = 50;
/** What ffmpeg says of channels that it knows no way to mix (a left front and a right back one, say). */
const NO_MIX = /Input channel layout .* is not supported|Rematrix is needed/;
const toSample = (ms: number) => Math.round(ms * (SAMPLE_RATE / 1000));

/**
 * Decodes [startMs, endMs) of one audio track (in `language`, a code of ISO 639, if there is such; else the default one) to 16 kHz mono float PCM in -1..1, in pieces of at most `chunkMs` (default 30 s).
 * Sample 0 of the first piece is at `startMs` (silence is put in where the track starts later than the file, or pauses). It ends early
 * where the track does, and gives nothing for a file without sound. Throws MediaError `media_broken` where channels or rate cannot be. Aborting
 * kills ffmpeg.
 */
export async function* decodeAudio(
  path: string,
  range: { startMs: number; endMs: number; chunkMs?: number; language?: string },
  signal?: AbortSignal,
): AsyncGenerator<Float32Array<ArrayBuffer>> {
  const { startMs, endMs, chunkMs = 30_000 } = range;
  const track = await findAudioTrack(path, range.language, signal);
  if (!track || endMs <= startMs) return;
  refuseImpossible(track);
  const from = toSample(startMs);
  const until = Math.max(from + 1, toSample(endMs));
  let next = from;
  for (const mix of [byLayout, byNumber]) {
    // A whole second is a whole number of samples at every rate, so the resampler's phase, and with it the samples, don't depend on the cut.
    const leadSec = Math.max(0, Math.floor(next / SAMPLE_RATE - LEAD_MS / 1000));
    try {
      const stretches = settled(decodeFrom(path, track, leadSec, mix, signal), leadSec * SAMPLE_RATE);
      for await (const piece of inPieces(stretches, next, until, toSample(chunkMs))) {
        next += piece.length;
        yield piece;
      }
      break;
    } catch (error) {
      if (!(error instanceof ProcessFailed)) throw error;
      if (error.stderr.includes('does not contain any stream')) return;
      if (mix === byNumber || !NO_MIX.test(error.stderr)) throw error.toMediaError();
    }
  }
  if (next === from && startMs === 0 && endMs < SHORTEST_MS) yield new Float32Array(until);
}

/**
 * rematrix_maxval keeps a downmix within -1..1. (The filter's own option for mono has another name in each major version of ffmpeg: aformat
 * makes it choose mono in all of them.)
 */
const byLayout = `aresample=${SAMPLE_RATE}:rematrix_maxval=1,aformat=channel_layouts=mono`;
/** The mean of all channels, as many as there are of those that the filter can take. */
const byNumber = `pan=mono|c0<${Array.from({ length: 64 }, (_, channel) => `c${channel}`).join('+')},aresample=${SAMPLE_RATE}`;

/** Where the first time of a transport stream is wrong, ffmpeg takes a turn of its clock from those that come after. */
const sinceStart = (sec: number) => (sec < -TURN_SEC / 2 ? sec + TURN_SEC : sec);

/** Samples that ffmpeg gives at a time: a quarter of a second. */
const BLOCK = 4096;
/** A sample and its time, both as 64-bit numbers. */
const BYTES = 2 * Float64Array.BYTES_PER_ELEMENT;

/**
 * One run of ffmpeg, from `leadSec` on. Beside each sample, in place of a second channel, it gives its presentation time: filters that count
 * samples or fill pauses begin anew where the format changes midway, and the resampler loses long pauses of more than two channels.
 */
async function* decodeFrom(
  path: string,
  track: AudioTrack,
  leadSec: number,
  mix: string,
  signal?: AbortSignal,
): AsyncGenerator<Stretch> {
  const zeroSec = track.startMs / 1000;
  // Of compressed sound in a WAV file ffmpeg seeks by the header's bytes a second, which not even ffmpeg writes right.
  const isTrimmed = /^(wav|w64)$/.test(track.container) && !track.codec.startsWith('pcm_');
  const seeks = !isTrimmed && !track.startsWrong;
  const filters = [...(isTrimmed ? [`atrim=start=${zeroSec + leadSec}`] : []), mix, 'aeval=exprs=val(0)|t:c=stereo'];
  const pcm = runFfmpeg(
    path,
    (command) =>
      command
        .output('pipe:1')
        .outputOptions('-map', `0:${track.stream}`, '-filter:a', filters.join(','), '-f', 'f64le'),
    // Left to itself, ffmpeg counts a broadcast recording from the first packet of the track, not of the file: keep its own clock.
    {
      inputOptions: ['-vn', '-sn', '-dn', '-copyts', ...(seeks && leadSec > 0 ? ['-ss', `${leadSec}`] : [])],
      signal,
    },
  );
  let next = leadSec * SAMPLE_RATE;
  for await (const block of blocks(pcm, BLOCK * BYTES)) {
    const pairs = new Float64Array(block.buffer, 0, 2 * Math.floor(block.length / BYTES));
    const placeOf = (i: number) => Math.round(sinceStart((pairs[2 * i + 1] as number) - zeroSec) * SAMPLE_RATE);
    const samples = new Float32Array(pairs.length / 2);
    for (let i = 0; i < samples.length; ) {
      const begin = i;
      const place = placeOf(begin);
      const at = Number.isFinite(place) ? place : next;
      do {
        const sample = pairs[2 * i] as number;
        // Lossy decoders overshoot a little; broken ones give NaN.
        samples[i++] = sample >= -1 && sample <= 1 ? sample : sample > 1 ? 1 : sample < -1 ? -1 : 0;
      } while (i < samples.length && !(Math.abs(placeOf(i) - at - (i - begin)) > JUMP));
      next = at + i - begin;
      yield { at, samples: samples.subarray(begin, i) };
    }
  }
}
