import { v5, v7 } from 'uuid';

/** Id of a new video, webhook or delivery: later ones sort after earlier ones. */
export const newId = (): string => v7();

/** Ids are made from what a row is of, so that a job that runs twice writes the same rows. */
export const frameId = (videoId: string, startMs: number): string => v5(`frame:${Math.round(startMs)}`, videoId);
export const passageId = (videoId: string, startMs: number): string => v5(`passage:${Math.round(startMs)}`, videoId);
/** `n`: which of those that start at the same time. */
export const captionId = (videoId: string, startMs: number, n: number): string =>
  v5(`caption:${Math.round(startMs)}:${n}`, videoId);

/** Key of the caption file that the uploader has given. */
export const captionsKey = (video: { tenant: string; id: string }): string => `${video.tenant}/${video.id}/captions`;
