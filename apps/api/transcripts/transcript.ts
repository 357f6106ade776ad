import type { IndexFilter, PassageRow, VectorIndex, Video } from '#store';

/** Where a transcript's text comes from. */
export type TranscriptSource = 'captions' | 'speech';

/** Captions, which people wrote, go before what was heard, where there are any. */
export const sourceOf = (video: Video): TranscriptSource => (video.captions?.cues ? 'captions' : 'speech');

/** What is said in a video or a part of it, once, in time order: captions and speech of a video that has both say the same twice. */
export function transcriptOf(
  index: VectorIndex,
  video: Video,
  { source = sourceOf(video), timeRange }: { source?: TranscriptSource; timeRange?: IndexFilter['timeRange'] } = {},
): Promise<PassageRow[]> {
  const kinds = [source === 'captions' ? ('caption' as const) : ('speech' as const)];
  return index.listPassages(video.tenant, video.id, { kinds, ...(timeRange && { timeRange }) });
}
