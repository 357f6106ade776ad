/** 754.2 → `12:34`, 4000 → `1:06:40`. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (value: number) => String(value).padStart(2, '0');
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${two(minutes)}:${two(rest)}`;
}

/** `01:15–01:22`; times within a second of each other are one. */
export function span(start: number, end: number): string {
  return Math.floor(end) > Math.floor(start) ? `${clock(start)}–${clock(end)}` : clock(start);
}

export function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const power = Math.min(units.length - 1, count > 0 ? Math.floor(Math.log10(count) / 3) : 0);
  const value = count / 1000 ** power;
  return `${value < 10 && power > 0 ? value.toFixed(1) : Math.round(value)} ${units[power]}`;
}

/** Words of others, on one line and without what a terminal would obey. */
export const harmless = (text: string): string => text.replace(/[\p{Cc}\p{Bidi_Control}]/gu, '');

/** Cuts or pads to `width` columns; what is cut ends in `…`. */
export function columns(text: string, width: number): string {
  const letters = [...harmless(text)];
  return letters.length > width
    ? `${letters.slice(0, width - 1).join('')}…`
    : letters.join('') + ' '.repeat(width - letters.length);
}

export const plural = (count: number, word: string) => `${count} ${word}${count === 1 ? '' : 's'}`;
