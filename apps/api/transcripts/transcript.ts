import type { PassageRow, VectorIndex, Video } from '#store';

/** Where a transcript's text comes from. */
export type TranscriptSource = 'captions' | 'speech';

/** Captions, which people wrote, go before what was heard, where there are any. */
export const sourceOf = (video: Video): TranscriptSource => (video.captions?.cues ? 'captions' : 'speech');

/** What is said in a video, once, in time order: captions and speech of a video that has both say the same twice. */
export function transcriptOf(index: VectorIndex, video: Video, source = sourceOf(video)): Promise<PassageRow[]> {
  return index.listPassages(video.tenant, video.id, { kinds: [source === 'captions' ? 'caption' : 'speech'] });
}
