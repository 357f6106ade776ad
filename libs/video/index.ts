/** Everything Cuepoint does with ffmpeg. Knows nothing of queues, HTTP or Nest. One unit inside: milliseconds. */
export { decodeAudio, SAMPLE_RATE } from './audio.ts';
export {
  type Captions,
  type CaptionTrack,
  type Cue,
  findCaptionTrack,
  MAX_CAPTION_BYTES,
  parseCaptions,
  readCaptionTrack,
} from './captions.ts';
export { clockGoesBack } from './clock.ts';
export { MediaError, type MediaErrorCode } from './errors.ts';
export { checkFfmpeg, configureFfmpeg, type FfmpegSettings } from './ffmpeg.ts';
export { type Frame, type SampleOptions, sampleFrames } from './frames.ts';
export { languageOf } from './language.ts';
export { holdsSeveral } from './parts.ts';
export { type DecodedPicture, decodePicture, shrinkPicture } from './picture.ts';
export { type AudioInfo, type KeyframeSpacing, type MediaInfo, probe, type VideoInfo } from './probe.ts';
export { nextPictureMs } from './seek.ts';
export { quietestCut } from './silence.ts';
export { chooseDecoding, type Decoding, measureKeyframes } from './strategy.ts';
