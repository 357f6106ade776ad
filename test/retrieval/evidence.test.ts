import { expect, it } from 'vitest';
import type { Evidence, Moment } from '#retrieval';
// Not public: what a chat model is told stands in one document of its request.
import { evidenceOf } from '../../libs/retrieval/answer/prompt.ts';

const passage: Evidence = { kind: 'passage', atMs: 0, endMs: 2000, text: 'a car was sold', score: 5, confidence: 0.9 };
const frame = (confidence?: number): Evidence => ({
  ...{ kind: 'frame', atMs: 0, endMs: 1000, score: 0.1 },
  ...(confidence !== undefined && { confidence }),
});
const told = (evidence: Evidence[], withPictures = false) => {
  const moment: Moment = { videoId: 'v', startMs: 0, endMs: 2000, score: 1, confidence: 0.9, evidence };
  const question = { kind: 'needle', topic: '' } as never;
  return evidenceOf({ question, moments: [moment], found: true, videos: new Map() }, withPictures).map(
    ({ said, seen, confidence }) => ({ said, seen, confidence }),
  );
};

it('Evidence is told to a chat model as seen only where a frame of it is sure by itself', () => {
  const said = 'a car was sold';
  expect(told([passage, frame(0.1)])).toEqual([{ said }]);
  expect(told([passage, frame(0.1)], true)).toEqual([{ said }]);
  expect(told([passage, frame(0.1), frame(0.83)])).toEqual([{ said, seen: true, confidence: 0.83 }]);
  // What no search found is as sure as its moment.
  expect(told([frame()])).toEqual([{ seen: true, confidence: 0.9 }]);
  expect(told([frame(0.1)])).toEqual([]);
  // A model that gets the picture judges for itself.
  expect(told([frame(0.1)], true)).toEqual([{}]);
});
