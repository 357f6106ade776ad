/** Why a file cannot be used. Stable: clients match on these. */
export type MediaErrorCode =
  | 'media_empty' // zero bytes
  | 'media_not_recognised' // no demuxer on the allow list takes it (text, playlists and concat scripts too)
  | 'media_broken' // recognised, but broken: truncated before its index, nothing decodes
  | 'media_no_streams' // neither a video nor an audio stream
  | 'media_zero_duration'
  | 'media_too_long' // or timestamps that say so
  | 'media_encrypted' // DRM
  | 'media_too_large' // more pixels than is allowed
  | 'media_timeout' // ffmpeg made no progress within its time limit
  | 'ffmpeg_missing'
  | 'ffmpeg_failed'; // anything else; the message has ffmpeg's last lines

/** What is wrong with the media is final (`retryable` false); what is wrong with the machine may be tried again. */
export class MediaError extends Error {
  override readonly name = 'MediaError';
  constructor(
    readonly code: MediaErrorCode,
    message: string,
    readonly retryable = false,
  ) {
    super(message);
  }
}
