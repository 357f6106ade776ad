/** A passage as the formats need it. */
export interface Line {
  startMs: number;
  endMs: number;
  text: string;
}

/** WebVTT (W3C): `&`, `<` and `>` are written as references, so that `-->` cannot appear in a text; a cue ends at an empty line. */
export function toVtt(lines: Line[], complete: boolean): string {
  const note = complete ? '' : 'NOTE This transcript is not complete yet.\n\n';
  const cues = lines.map(
    (line, index) =>
      `${index + 1}\n${clock(line.startMs, '.')} --> ${clock(line.endMs, '.')}\n${flat(line.text).replace(/[&<>]/g, reference)}\n`,
  );
  return `WEBVTT\n\n${note}${cues.join('\n')}`;
}

/** SubRip has no escapes: what a player would take for a tag loses its angle brackets. */
export function toSrt(lines: Line[]): string {
  return lines
    .map(
      (line, index) =>
        `${index + 1}\r\n${clock(line.startMs, ',')} --> ${clock(line.endMs, ',')}\r\n${flat(line.text)
          .replaceAll('-->', '→')
          .replace(/<(\/?\w[^>]*)>/g, '($1)')}\r\n`,
    )
    .join('\r\n');
}

export function toText(lines: Line[]): string {
  return lines.map((line) => `${flat(line.text)}\n`).join('');
}

/** `hh:mm:ss.ttt`; hours may have more than two digits. */
function clock(ms: number, point: string): string {
  const total = Math.max(0, Math.round(ms));
  const two = (value: number) => String(value).padStart(2, '0');
  const hours = Math.floor(total / 3_600_000);
  const minutes = Math.floor(total / 60_000) % 60;
  const seconds = Math.floor(total / 1000) % 60;
  return `${two(hours)}:${two(minutes)}:${two(seconds)}${point}${String(total % 1000).padStart(3, '0')}`;
}

const flat = (text: string): string => text.replace(/\s+/g, ' ').trim();
const reference = (character: string): string => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[character] ?? character;
