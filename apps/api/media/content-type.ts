import { extname } from 'node:path';
import type { Video } from '#store';

const BY_EXTENSION: Record<string, string> = {
  '.3gp': 'video/3gpp',
  '.aac': 'audio/aac',
  '.avi': 'video/x-msvideo',
  '.flac': 'audio/flac',
  '.flv': 'video/x-flv',
  '.m4a': 'audio/mp4',
  '.m4v': 'video/mp4',
  '.mkv': 'video/x-matroska',
  '.mov': 'video/quicktime',
  '.mp3': 'audio/mpeg',
  '.mp4': 'video/mp4',
  '.mpeg': 'video/mpeg',
  '.mpg': 'video/mpeg',
  '.mts': 'video/mp2t',
  '.oga': 'audio/ogg',
  '.ogg': 'audio/ogg',
  '.ogv': 'video/ogg',
  '.opus': 'audio/ogg',
  '.ts': 'video/mp2t',
  '.wav': 'audio/wav',
  '.weba': 'audio/webm',
  '.webm': 'video/webm',
  '.wma': 'audio/x-ms-wma',
  '.wmv': 'video/x-ms-wmv',
};
const OPAQUE = 'application/octet-stream';
const SAFE = /^(video|audio)\/[a-z0-9][a-z0-9.+-]{0,60}$/;

/** What an upload says it is, else what its name says; only ever a video or audio type. */
export function declaredType(declared: string | undefined, filename: string): string | undefined {
  const type = declared?.split(';')[0]?.trim().toLowerCase();
  return type && SAFE.test(type) ? type : BY_EXTENSION[extname(filename).toLowerCase()];
}

/** The type a source is served as: a browser must never take an upload for a page or a script. */
export function servedType(video: Pick<Video, 'media' | 'source' | 'filename'>): string {
  const { media, source, filename } = video;
  if (media?.container === 'mov') return media.video ? 'video/mp4' : 'audio/mp4';
  const byName = BY_EXTENSION[extname(filename).toLowerCase()];
  if (media?.container === 'matroska') return byName === 'video/webm' ? byName : 'video/x-matroska';
  const type = source.contentType ?? byName ?? OPAQUE;
  return SAFE.test(type) ? type : OPAQUE;
}
