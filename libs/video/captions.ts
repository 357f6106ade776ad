import { setImmediate } from 'node:timers/promises';
import { ProcessFailed, runFfmpeg, runFfprobe } from './ffmpeg.ts';
import { Readings } from './readings.ts';

/** One caption: what stands on the screen from `startMs` until `endMs`, as plain text. */
export interface Cue {
  startMs: number;
  endMs: number;
  text: string;
}
export interface Captions {
  /** In order of their start; none of no length, without text, or outside [0, durationMs). */
  cues: Cue[];
  /** Cues that were left out because their times make no sense. */
  broken: number;
  /** Cues that were left out because they are readings of a camera (exposure, position), not what is said: all of them, where it has any. */
  readings?: number;
}
/** A track of text in a media file. */
export interface CaptionTrack {
  /** Its number among all streams of the file. */
  index: number;
  codec: string;
  /** As the file tags it, usually ISO 639-2. */
  language?: string;
}

/** Largest caption file: 20 hours of talk have about 2 MB. */
export const MAX_CAPTION_BYTES = 8 * 2 ** 20;
/** Subtitle codecs that are text; the others are pictures of text. */
const TEXT_CODECS = new Set(['subrip', 'srt', 'webvtt', 'mov_text', 'text', 'ass', 'ssa']);
/** A track may say nothing for an hour while ffmpeg reads on through the pictures. */
const STALL_MS = 30 * 60_000;
const TIME = String.raw`(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,3}))?`;
const TIMING = new RegExp(String.raw`^\s*${TIME}\s*-->\s*${TIME}`);
/** Lines that are read: with a caption for each word, 8 MB have fewer. More are no captions of people, and each takes many times its letters in memory. */
const MAX_LINES = 1_000_000;
const LINES_AT_A_TIME = 2000;
const CHARS_AT_A_TIME = 64_000;
/** Captions of live speech repeat the line before; so close together, what is repeated is not said again. */
const ROLLING_GAP_MS = 250;
/** Lines of one caption that may be repeated in the next: no screen shows more. */
const MAX_ROLLING_LINES = 10;
/** What nobody can read at once: a longer caption (a whole transcript in one, say) becomes several. */
const MAX_CUE_CHARS = 500;

/**
 * Reads SubRip or WebVTT, whichever it is, forgiving what players forgive: missing numbers, empty lines or hours, a comma or a point, any line
 * ends, and text in UTF-8, UTF-16 or Windows-1252 (what "Latin-1" means on the web, WHATWG Encoding).
 */
export async function parseCaptions(bytes: Uint8Array, durationMs = Number.POSITIVE_INFINITY): Promise<Captions> {
  const lines = decode(bytes).split(/\r\n|\r|\n/, MAX_LINES);
  const found: Cue[] = [];
  const readings = new Readings();
  let broken = 0;
  for (let i = 0; i < lines.length; i++) {
    if (i % LINES_AT_A_TIME === 0) await setImmediate(); // others get their turn
    const line = lines[i] as string;
    const timing = TIMING.exec(line);
    if (!timing) {
      if (line.includes('-->')) broken++;
      continue;
    }
    const text: string[] = [];
    while (i + 1 < lines.length && lines[i + 1]?.trim() !== '' && !lines[i + 1]?.includes('-->')) {
      text.push(lines[++i] as string);
      if (i % LINES_AT_A_TIME === 0) await setImmediate();
    }
    // Without an empty line between, the next cue's number has been taken for text.
    if (lines[i + 1]?.includes('-->') && /^\s*\d+\s*$/.test(text.at(-1) ?? '')) text.pop();
    const [startMs, endMs] = [toMs(timing.slice(1, 5)), toMs(timing.slice(5, 9))];
    const words = await plain(text);
    if (words === '') continue;
    readings.add(words);
    if (endMs <= startMs || startMs >= durationMs) broken++;
    else found.push({ startMs, endMs: Math.min(endMs, durationMs), text: words });
  }
  if (readings.found) return { cues: [], broken: 0, readings: found.length + broken };
  // Pieces of a long caption come after what begins meanwhile.
  return { cues: inTime(withoutRolling(inTime(found)).flatMap(inPieces)), broken };
}

const inTime = (cues: Cue[]): Cue[] => cues.sort((a, b) => a.startMs - b.startMs);

/** The text track to take: one in `language` (a tag as files have it), else the default one, else the first; never one for forced foreign parts only. */
export async function findCaptionTrack(
  path: string,
  matches: (track: CaptionTrack) => boolean,
  signal?: AbortSignal,
): Promise<CaptionTrack | undefined> {
  const entries = 'stream=index,codec_name:stream_tags=language:stream_disposition=default,forced';
  const args = ['-v', 'error', '-of', 'json', '-select_streams', 's', '-show_entries', entries];
  let json = '';
  try {
    for await (const chunk of runFfprobe(path, args, { signal })) json += chunk;
  } catch (error) {
    throw error instanceof ProcessFailed ? error.toMediaError() : error;
  }
  const { streams = [] } = JSON.parse(json) as {
    streams?: {
      index: number;
      codec_name?: string;
      tags?: { language?: string };
      disposition?: Record<string, number>;
    }[];
  };
  const tracks = streams
    .filter((stream) => TEXT_CODECS.has(stream.codec_name ?? '') && !stream.disposition?.forced)
    .map(({ index, codec_name, tags, disposition }) => ({
      track: { index, codec: codec_name as string, language: tags?.language },
      preferred: disposition?.default === 1,
    }));
  const chosen = tracks.find(({ track }) => matches(track)) ?? tracks.find(({ preferred }) => preferred) ?? tracks[0];
  return chosen?.track;
}

/** Captions of one track of a media file, times from the start of the file (`startMs` of its MediaInfo). Reads the whole file. */
export async function readCaptionTrack(
  path: string,
  track: CaptionTrack,
  media: { startMs: number; durationMs: number },
  signal?: AbortSignal,
): Promise<Captions> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const srt = runFfmpeg(
    path,
    (command) => command.output('pipe:1').outputOptions('-map', `0:${track.index}`, '-c:s', 'subrip', '-f', 'srt'),
    { inputOptions: ['-vn', '-an', '-dn', '-copyts'], signal, stallMs: STALL_MS },
  );
  try {
    for await (const chunk of srt) {
      bytes += chunk.length;
      if (bytes > MAX_CAPTION_BYTES) break; // no captions of people: what has come is enough
      chunks.push(chunk);
    }
  } catch (error) {
    // A damaged track is no reason to do without what came before the damage.
    if (!(error instanceof ProcessFailed)) throw error;
    if (error.exit.startsWith('signal')) throw error.toMediaError();
  }
  const { cues, broken, readings } = await parseCaptions(Buffer.concat(chunks));
  const shifted = cues.map((cue) => ({
    ...cue,
    startMs: cue.startMs - media.startMs,
    endMs: cue.endMs - media.startMs,
  }));
  const inside = shifted.filter((cue) => cue.endMs > 0 && cue.startMs < media.durationMs);
  return {
    cues: inside.map((cue) => ({
      ...cue,
      startMs: Math.max(0, cue.startMs),
      endMs: Math.min(media.durationMs, cue.endMs),
    })),
    broken: broken + cues.length - inside.length,
    readings,
  };
}

function decode(bytes: Uint8Array): string {
  const [first, second] = bytes;
  if (first === 0xff && second === 0xfe) return new TextDecoder('utf-16le').decode(bytes);
  if (first === 0xfe && second === 0xff) return new TextDecoder('utf-16be').decode(bytes);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder('windows-1252').decode(bytes);
  }
}

function toMs([hours = '0', minutes = '0', seconds = '0', fraction = '']: (string | undefined)[]): number {
  return (
    Number(hours) * 3_600_000 + Number(minutes) * 60_000 + Number(seconds) * 1000 + Number(fraction.padEnd(3, '0'))
  );
}

const ENTITIES: Record<string, string> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: ' ',
  lrm: '',
  rlm: '',
};
const letterOf = (code: number, otherwise: string): string =>
  code <= 0x10ffff ? String.fromCodePoint(code) : otherwise;
/** Without tags (`<i>`, `<c.yellow>`, `<00:01.000>`), SubStation overrides (`{\an8}`) and control characters. Lines stay lines, very long ones become several. */
async function plain(lines: string[]): Promise<string> {
  const kept: string[] = [];
  let chars = 0;
  for (const line of lines) {
    for (let from = 0; from < line.length; from += CHARS_AT_A_TIME) {
      const part = plainLine(line.slice(from, from + CHARS_AT_A_TIME));
      if (part !== '') kept.push(part);
      // A short line costs about as much as some letters.
      chars += part.length + 16;
      if (chars < CHARS_AT_A_TIME) continue;
      chars = 0;
      await setImmediate();
    }
  }
  return kept.join('\n').toWellFormed();
}
const plainLine = (line: string): string => {
  const text = withoutMarkup(line);
  return DRAWING.test(text) ? '' : text;
};
/** Shapes that SubStation draws, of which ffmpeg leaves the commands: `m 0 0 l 100 0 100 100`. */
const DRAWING = /^m -?[\d.]+ -?[\d.]+( ([mnlbspc]|-?[\d.]+))*$/;
const withoutMarkup = (line: string): string =>
  line
    .replace(/<(?:\/?[a-z][^<>]{0,200}|[\d:.]+)>/gi, '')
    .replace(/\{\\[^{}]{0,200}\}/g, '')
    .replace(/&(?:(amp|lt|gt|quot|apos|nbsp|lrm|rlm)|#(\d{1,7})|#x([0-9a-f]{1,6}));/gi, (text, name, decimal, hex) =>
      name
        ? (ENTITIES[name.toLowerCase()] as string)
        : letterOf(decimal ? Number(decimal) : Number.parseInt(hex, 16), text),
    )
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed
    .replace(/[\u0000-\u001f\u007f]+/g, ' ')
    .replace(/ {2,}/g, ' ')
    .trim();

/** Of at most 500 characters each, cut at words, each with its share of the time by its length. */
function inPieces(cue: Cue): Cue[] {
  if (cue.text.length <= MAX_CUE_CHARS) return [cue];
  const { startMs, endMs, text } = cue;
  const atMs = (chars: number): number => Math.round(startMs + ((endMs - startMs) * chars) / text.length);
  let read = 0;
  return (text.match(PIECES) ?? []).map((piece): Cue => {
    const from = Math.min(atMs(read), endMs - 1);
    read += piece.length;
    return { startMs: from, endMs: Math.max(atMs(read), from + 1), text: piece.trim() };
  });
}
const PIECES = new RegExp(String.raw`.{1,${MAX_CUE_CHARS}}(?:\s|$)|.{1,${MAX_CUE_CHARS}}`, 'gsu');

/** Live captions show each line twice, as the new and then as the upper one: each is kept where it is new. */
function withoutRolling(cues: Cue[]): Cue[] {
  const kept: Cue[] = [];
  let shown: string[] = [];
  let shownUntilMs = Number.NEGATIVE_INFINITY;
  for (const cue of cues) {
    const lines = cue.text.split('\n');
    let repeated = 0;
    if (cue.startMs - shownUntilMs <= ROLLING_GAP_MS) {
      for (let n = Math.min(lines.length, shown.length, MAX_ROLLING_LINES); n > 0 && repeated === 0; n--)
        if (shown.slice(-n).every((line, i) => line === lines[i])) repeated = n;
    }
    const fresh = lines.slice(repeated);
    const last = kept.at(-1);
    if (fresh.length > 0) kept.push({ ...cue, text: fresh.join(' ') });
    else if (last) last.endMs = Math.max(last.endMs, cue.endMs);
    shown = lines;
    shownUntilMs = cue.endMs;
  }
  return kept;
}
