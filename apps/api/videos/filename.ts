import { extname } from 'node:path';

/** A file name as it is shown: no folders, no control or direction-changing characters, at most 255 characters. Never used as a path. */
export function displayName(name: string | undefined, fallback = 'video'): string {
  const clean = (name ?? '')
    .replace(/%22/g, '"') // How browsers escape names in forms (HTML standard, multipart/form-data encoding).
    .replace(/%0D|%0A/g, '')
    .normalize('NFC')
    .split(/[/\\]/)
    .at(-1)
    ?.replace(/[\p{Cc}\p{Cs}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, '')
    .trim();
  if (!clean || clean === '.' || clean === '..') return fallback;
  return cut(clean, 255);
}

export function titleOf(filename: string): string {
  return filename.slice(0, filename.length - extname(filename).length).trim() || filename;
}

/** Name of the file behind an address. */
export function nameOfUrl(url: string): string {
  const last = new URL(url).pathname.split('/').at(-1) ?? '';
  try {
    return displayName(decodeURIComponent(last));
  } catch {
    return displayName(last);
  }
}

/** Cuts at a character, not within one. */
function cut(text: string, length: number): string {
  return text.length <= length ? text : [...text.slice(0, length)].join('').replace(/[\ud800-\udbff]$/, '');
}
