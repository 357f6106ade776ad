/** Length of the frames in which speech is told from all else. */
export const frameMs = 10;

/** One frame: its loudness, and whether it is speech. */
export interface Frame {
  db: number;
  active: boolean;
}

/** Decides frames in order, at times later than it hears them. What it decides depends on the audio alone, never on the pieces it comes in. */
export interface SpeechDetector {
  /** Whether loudness is all it goes by: then speech is also told from noise by how its loudness changes. */
  readonly hearsLoudness: boolean;
  /** Takes the next samples; gives the frames that can now be decided. */
  push(pcm: Float32Array): Frame[] | Promise<Frame[]>;
  /** Decides what is left. A last part of a frame counts as one. */
  flush(): Frame[] | Promise<Frame[]>;
}
