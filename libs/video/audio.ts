import { blocks } from './blocks.ts';
import { ProcessFailed, runFfmpeg } from './ffmpeg.ts';
import { findAudioTrack } from './probe.ts';

/** Samples a second of all audio in Cuepoint: what Whisper takes. */
export const SAMPLE_RATE = 16_000;
/**
 * Decoding starts this much before the range: decoders that need earlier packets (AAC, MP3, Opus) and the resampler have settled by
 * then, and a seek that lands a little late does no harm.
 */
const LEAD_MS = 2000;

/**
 * Decodes [startMs, endMs) of one audio track (in `language`, a code of ISO 639, if there is such; else the default one) to 16 kHz mono float PCM in -1..1, in pieces of at most `chunkMs` (default 30 s).
 * Sample 0 of the first piece is at `startMs` (silence is put in where the track starts later than the file, or pauses). It ends early
 * where the track does, and gives nothing for a file without sound. Aborting kills ffmpeg.
 */
export async function* decodeAudio(
  path: string,
  range: { startMs: number; endMs: number; chunkMs?: number; language?: string },
  signal?: AbortSignal,
): AsyncGenerator<Float32Array<ArrayBuffer>> {
  const { startMs, endMs, chunkMs = 30_000 } = range;
  const track = await findAudioTrack(path, range.language, signal);
  if (!track) return;
  // A whole second is a whole number of samples at every rate, so the resampler's phase, and with it the samples, don't depend on the cut.
  const leadStartSec = Math.max(0, Math.floor((startMs - LEAD_MS) / 1000));
  const toSample = (ms: number) => Math.round(ms * (SAMPLE_RATE / 1000)) - leadStartSec * SAMPLE_RATE;
  // Left to itself, ffmpeg counts a broadcast recording from the first packet of the track, not of the file: keep its own clock.
  const zeroSec = track.startMs / 1000 + leadStartSec;
  const filters = [
    `asetpts=round(PTS-${zeroSec}/TB)`,
    // Before silence is filled in: a timestamp far ahead must not be filled up to. The resampler looks a little ahead.
    `atrim=end=${endMs / 1000 - leadStartSec + 1}`,
    // async=1 fills gaps of the timestamps with silence; rematrix_maxval keeps a downmix within -1..1
    // (the filter's own option for mono has another name in each major version of ffmpeg: aformat makes it choose mono in all of them)
    `aresample=${SAMPLE_RATE}:async=1:first_pts=0:rematrix_maxval=1,aformat=sample_fmts=flt:channel_layouts=mono`,
    `atrim=start_sample=${toSample(startMs)}:end_sample=${toSample(endMs)}`,
  ];
  const pcm = runFfmpeg(
    path,
    (command) =>
      command
        .output('pipe:1')
        .outputOptions('-map', `0:${track.stream}`, '-filter:a', filters.join(','), '-f', 'f32le'),
    { inputOptions: ['-vn', '-sn', '-dn', '-copyts', ...(leadStartSec > 0 ? ['-ss', `${leadStartSec}`] : [])], signal },
  );
  try {
    for await (const block of blocks(
      pcm,
      Math.round(chunkMs * (SAMPLE_RATE / 1000)) * Float32Array.BYTES_PER_ELEMENT,
    )) {
      const samples = new Float32Array(block.buffer, 0, Math.floor(block.length / Float32Array.BYTES_PER_ELEMENT));
      for (let i = 0; i < samples.length; i++) {
        const sample = samples[i] as number;
        // Lossy decoders overshoot a little; broken ones give NaN.
        if (!(sample >= -1 && sample <= 1)) samples[i] = sample > 1 ? 1 : sample < -1 ? -1 : 0;
      }
      yield samples;
    }
  } catch (error) {
    if (!(error instanceof ProcessFailed)) throw error;
    if (!error.stderr.includes('does not contain any stream')) throw error.toMediaError();
  }
}
