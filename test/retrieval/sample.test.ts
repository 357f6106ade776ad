import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ClipModel, openClip, openWhisper } from '#models';
import { search } from '#retrieval';
import { type FrameRow, frameId, openVectorIndex, type PassageRow, passageId, type VectorIndex } from '#store';
import { decodeAudio, probe, sampleFrames } from '#video';

/** The real thing end to end, less the queue: the sample video through ffmpeg, the bundled CLIP and Whisper, LanceDB and search. */
const root = join(import.meta.dirname, '../..');
const video = join(root, 'test/fixtures/sample/sample.mp4');
const truth = JSON.parse(await readFile(join(root, 'test/fixtures/sample/sample.json'), 'utf8')) as {
  questions: { query: string; kind: 'seen' | 'said' | 'both'; start: number; end: number }[];
};
const INTERVAL_MS = 1000;
const ids = { every: '0190a000-0000-7000-8000-000000000001', sparse: '0190a000-0000-7000-8000-000000000002' };

let dir: string;
let clip: ClipModel;
let index: VectorIndex;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'cuepoint-sample-'));
  index = await openVectorIndex({ lanceDir: join(dir, 'lance') });
  clip = await openClip(join(root, 'models/tiny/clip'), { id: 'tiny', towers: 'both', device: 'cpu' });
  await using whisper = await openWhisper(join(root, 'models/tiny/whisper'), { id: 'tiny', device: 'cpu' });
  const media = await probe(video);

  const frames: FrameRow[] = [];
  const range = { startMs: 0, endMs: media.durationMs, intervalMs: INTERVAL_MS };
  const size = { size: clip.imageSize, thumbnailDir: dir, thumbnailSize: 64 };
  for await (const { atMs, rgb } of sampleFrames(video, { media, ...range, ...size })) {
    const [vector] = await clip.encodeImages(rgb, 1);
    frames.push(row(ids.every, atMs, vector as Float32Array));
  }
  await index.upsertFrames(clip, frames);
  // As a worker stores them: a frame like the one before it is left out, which then lasts longer.
  const kept: FrameRow[] = [];
  for (const frame of frames) {
    const last = kept.at(-1);
    if (last && dot(last.vector, frame.vector) > 0.97) last.endMs = frame.endMs;
    else kept.push(row(ids.sparse, frame.startMs, frame.vector));
  }
  expect(kept.length).toBeLessThan(frames.length);
  await index.upsertFrames(clip, kept);

  for (const videoId of Object.values(ids)) {
    const passages: PassageRow[] = [];
    const pcm = decodeAudio(video, { startMs: 0, endMs: media.durationMs });
    for await (const { startMs, endMs, text } of whisper.transcribe(pcm, { language: 'en' })) {
      passages.push({ id: passageId(videoId, startMs), tenant: 't', videoId, startMs, endMs, text });
    }
    await index.upsertPassages(passages);
  }
}, 180_000);
afterAll(async () => {
  await index.close();
  await clip.close();
  await rm(dir, { recursive: true, force: true });
});

describe.each(Object.entries(ids))('With the frames of the sample video stored %s', (_how, videoId) => {
  it.each(truth.questions)('“$query” ($kind) is answered at $start s', async ({ query, kind, start, end }) => {
    const [first] = await search({ index, encoder: clip }, { tenant: 't', query, videoIds: [videoId], limit: 5 });
    expect(first).toBeDefined();
    if (!first) return;
    expect(first.startMs / 1000).toBeLessThan(end);
    expect(first.endMs / 1000).toBeGreaterThan(start);
    expect(Math.abs(first.startMs / 1000 - start)).toBeLessThan(2);
    expect(Math.abs(first.endMs / 1000 - end)).toBeLessThan(2);
    const kinds = new Set(first.evidence.map((one) => one.kind));
    if (kind !== 'said') expect(kinds).toContain('frame');
    if (kind !== 'seen') expect(kinds).toContain('passage');
    for (const { atMs, endMs } of first.evidence) {
      expect(endMs).toBeGreaterThan(first.startMs);
      expect(atMs).toBeLessThan(first.endMs);
    }
  });
});

function row(videoId: string, atMs: number, vector: Float32Array): FrameRow {
  return { id: frameId(videoId, atMs), tenant: 't', videoId, startMs: atMs, endMs: atMs + INTERVAL_MS, vector };
}
function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0);
}
