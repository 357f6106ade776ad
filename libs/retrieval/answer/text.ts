/** Text of others in our answers: shown as it is, never as markup, links or a citation. */

/** Bidirectional overrides and invisible characters that hide what a text says; the joiner that emoji need stays. */
const INVISIBLE =
  /[\u00ad\u061c\u180e\u200b\u200c\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/gu;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;
const SCHEME = /\b([a-z][a-z0-9+.-]{1,20}):(?=\/\/)|\b(javascript|data|vbscript|mailto|file):(?=\S)/gi;

/**
 * Takes the power out of a text: no HTML (angle brackets become single guillemets), no Markdown links or pictures, no address that a reader's program would
 * make a link of or fetch, no hidden characters. Reads the same to a person.
 */
export function neutral(text: string): string {
  return text
    .toWellFormed()
    .replace(/\t/g, ' ')
    .replace(CONTROL, '')
    .replace(INVISIBLE, '')
    .replace(/</g, '‹')
    .replace(/>/g, '›')
    .replace(/!(?=\[)/g, '')
    .replace(/\](?=[([:])/g, (bracket, at: number, whole: string) =>
      // "[1][2]" are two citations, "[1](" could be a link all the same.
      whole[at + 1] === '[' && /\[\d+$/.test(whole.slice(Math.max(0, at - 10), at)) ? bracket : '] ',
    )
    .replace(SCHEME, (scheme) => `${scheme.slice(0, -1)}[:]`)
    .replace(/\bwww\.(?=\S)/gi, 'www[.]');
}

/** One line of somebody's words, in curly quotes or not, that can't be taken for our own: no citation, no line break, no quote that ends it early. */
export const quoted = (text: string, maxLength = 300): string =>
  `“${cut(lineOf(text).replace(/[“”]/g, "'"), maxLength)}”`;
/** A video's title, in straight quotes. */
export const titled = (title: string): string => `"${cut(lineOf(title).replace(/["“”]/g, "'"), 120)}"`;
const lineOf = (text: string): string => neutral(text.replace(/\s+/g, ' ').trim()).replace(/\[(\d+)\]/g, '($1)');

/** Where something is or is not: a video, or what a filter leaves of it. */
export const placeOf = ({ title }: { title: string }, isPart = false): string =>
  `${isPart ? 'what the filter leaves of ' : ''}${titled(title)}`;

/** Cut at a word, where one ends in the last third, with an ellipsis. */
export function cut(text: string, maxLength: number): string {
  const letters = [...text];
  if (letters.length <= maxLength) return text;
  const short = letters.slice(0, maxLength - 1).join('');
  const space = short.lastIndexOf(' ');
  return `${(space > (short.length * 2) / 3 ? short.slice(0, space) : short).trimEnd()}…`;
}

/** 65000 → `1:05`, 4000000 → `1:06:40`. */
export function clock(ms: number): string {
  const whole = Math.max(0, Math.floor(ms / 1000));
  const [hours, minutes, seconds] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (value: number): string => String(value).padStart(2, '0');
  return hours ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`;
}

/** How long something is: `12 seconds`, from a minute on as a clock: `1:05 minutes`. */
export function lasting(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} second${seconds === 1 ? '' : 's'}`;
  return `${clock(seconds * 1000)} ${seconds < 3600 ? 'minutes' : 'hours'}`;
}
