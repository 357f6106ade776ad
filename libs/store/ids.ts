import { v5, v7 } from 'uuid';

/** Id of a new video, webhook or delivery: later ones sort after earlier ones. */
export const newId = (): string => v7();

/** Ids are made from what a row is of, so that a job that runs twice writes the same rows. */
export const frameId = (videoId: string, startMs: number): string => v5(`frame:${Math.round(startMs)}`, videoId);
export const passageId = (videoId: string, startMs: number): string => v5(`passage:${Math.round(startMs)}`, videoId);
/** `n`: which of those that start at the same time. */
export const captionId = (videoId: string, startMs: number, n: number): string =>
  v5(`caption:${Math.round(startMs)}:${n}`, videoId);

// Where in the blob store what belongs to a video lies.
type OfVideo = { tenant: string; videoId: string };
export const videoFolder = ({ tenant, videoId }: OfVideo): string => `${tenant}/${videoId}`;
/** The original, as it was uploaded or fetched. */
export const sourceKey = (of: OfVideo): string => `${videoFolder(of)}/source`;
export const thumbnailsFolder = (of: OfVideo): string => `${videoFolder(of)}/thumbnails`;
export const thumbnailKey = (of: OfVideo, atMs: number): string => `${thumbnailsFolder(of)}/${Math.round(atMs)}.jpg`;
type WithCaptions = { tenant: string; id: string; captionsFile?: { name?: string } };
/** Where the caption file lies that the uploader has given. It has a name, so that the record says which of several is meant; older ones that came with their video have none. */
export const captionsFolder = ({ tenant, id, captionsFile }: WithCaptions): string =>
  `${videoFolder({ tenant, videoId: id })}/captions${captionsFile?.name === undefined ? '' : `-${captionsFile.name}`}`;
/** Its key: one with a name has the folder to itself, which can be removed. */
export const captionsKey = (video: WithCaptions): string =>
  `${captionsFolder(video)}${video.captionsFile?.name === undefined ? '' : '/file'}`;
