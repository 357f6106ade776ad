import { createReadStream } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { openPassageEncoder } from '#models';
import { captionsKey } from '#store';
import { ffmpeg, makeVideo, tempDir } from '../fixtures/media.ts';
import { goldenModel } from '../models/golden.ts';
import { type System, startSystem, TENANT } from './harness.ts';

vi.setConfig({ testTimeout: 120_000 });

let system: System;
let dir: Awaited<ReturnType<typeof tempDir>>;
let plain: string;
let withTrack: string;
beforeAll(async () => {
  dir = await tempDir();
  system = await startSystem();
  await system.startWorker();
  plain = await makeVideo(dir.path, { name: 'plain.mp4', seconds: 4, audio: 'tone' });
  const srt = join(dir.path, 'en.srt');
  await writeFile(srt, '1\n00:00:01,000 --> 00:00:02,000\nA zebra crosses the river.\n');
  withTrack = join(dir.path, 'track.mkv');
  await ffmpeg(
    '-i',
    plain,
    '-i',
    srt,
    '-c:v',
    'copy',
    '-c:a',
    'flac',
    '-c:s',
    'subrip',
    '-metadata:s:s:0',
    'language=eng',
    '-metadata',
    'creation_time=2023-05-06T07:08:09Z',
    withTrack,
  );
});
afterAll(async () => {
  await system?.[Symbol.asyncDispose]();
  await dir?.[Symbol.asyncDispose]();
});

/** Stores a caption file as the api does. */
async function give(id: string, text: string): Promise<{ sha256: string }> {
  const path = join(dir.path, `${v7()}.srt`);
  await writeFile(path, text);
  const { sha256 } = await system.blobs.put(captionsKey({ tenant: TENANT, id }), createReadStream(path));
  return { sha256 };
}
const captionsIn = async (videoId: string) =>
  (await system.index.listPassages(TENANT, videoId, { kinds: ['caption'] })).map(
    ({ startMs, endMs, text, language }) => ({
      startMs,
      endMs,
      text,
      language,
    }),
  );

/** Until no job about captions is left. */
const settled = () =>
  expect
    .poll(async () => (await system.jobs.counts()).captions, { timeout: 30_000 })
    .toMatchObject({ waiting: 0, active: 0, delayed: 0 });

describe('captions', () => {
  it('of a track in the file are indexed with times and language; `auto` then transcribes nothing', async () => {
    const { id } = await system.addVideo(withTrack, { transcribe: 'auto' });
    const video = await system.finished(id);
    expect(video).toMatchObject({
      status: 'ready',
      warnings: [],
      media: { recordedAt: Date.UTC(2023, 4, 6, 7, 8, 9) },
      captions: { source: 'embedded', language: 'en', cues: 1 },
      stages: { speech: { state: 'skipped' } },
    });
    expect(await captionsIn(id)).toEqual([
      { startMs: 1000, endMs: 2000, text: 'A zebra crosses the river.', language: 'en' },
    ]);
    const [hit] = await system.index.searchPassages('zebra', { tenant: TENANT, videoIds: [id] }, 5);
    expect(hit).toMatchObject({ videoId: id, kind: 'caption' });
  });

  it('of a track in which nothing is said are none, with a warning where it is a drone’s: `auto` then transcribes the sound', async () => {
    const add = async (name: string, text: string, codec: string) => {
      const srt = join(dir.path, `${name}.srt`);
      await writeFile(srt, text);
      const path = join(dir.path, name);
      await ffmpeg('-i', plain, '-i', srt, '-c', 'copy', '-c:s', codec, path);
      return (await system.addVideo(path, { transcribe: 'auto' })).id;
    };
    const line = (n: number) => `FrameCnt: ${n}, DiffTime: 33ms [iso: ${n}] [shutter: 1/60.0] [latitude: 47.${n}]`;
    const cue = (n: number) => `${n}\n00:00:00,${n * 100} --> 00:00:00,${n * 100 + 33}\n${line(n)}\n`;
    const readings = [1, 2, 3, 4, 5, 6].map(cue).join('\n');
    const markup = await add('markup.mkv', '1\n00:00:01,000 --> 00:00:02,000\n<i> </i>\n', 'subrip');
    const drone = await add('drone.mp4', readings, 'mov_text');
    const transcribed = { status: 'ready', stages: { speech: { state: 'done' } } };
    expect(await system.finished(markup)).toMatchObject({ ...transcribed, warnings: [] });
    const leftOut = { captions: { cues: 0, readings: 6 }, warnings: [{ code: 'captions_readings' }] };
    expect(await system.finished(drone)).toMatchObject({ ...transcribed, ...leftOut });
    for (const id of [markup, drone]) expect(await captionsIn(id)).toEqual([]);
  });

  it('of the uploader go before those in the file; `always` transcribes as well, and `auto` where there are none', async () => {
    const id = v7();
    const captionsFile = await give(id, '00:00.500 --> 00:01.000\nAn owl.\n\n00:03.000 --> 00:02.000\nbroken\n');
    await system.addVideo(withTrack, { id, captionsFile });
    const video = await system.finished(id);
    expect(video).toMatchObject({
      status: 'ready',
      captions: { source: 'upload', cues: 1 },
      stages: { speech: { state: 'done' } },
      warnings: [{ code: 'captions_damaged' }],
    });
    expect((await captionsIn(id)).map(({ text }) => text)).toEqual(['An owl.']);
    const none = await system.addVideo(plain, { transcribe: 'auto' });
    const transcribed = await system.finished(none.id);
    expect(transcribed).toMatchObject({ status: 'ready', stages: { speech: { state: 'done' } } });
    expect(transcribed).not.toHaveProperty('captions');
    const never = await system.addVideo(plain, { transcribe: 'never' });
    expect(await system.finished(never.id)).toMatchObject({
      status: 'ready',
      stages: { speech: { state: 'skipped' } },
    });
  });

  it('change at any time: given later, given twice at once, and removed, when those in the file come back', async () => {
    const { id } = await system.addVideo(withTrack, { transcribe: 'never' });
    await system.finished(id);
    const ref = { tenant: TENANT, videoId: id };
    const put = async (text: string, own: { language?: string } = {}) => {
      await system.catalog.patchVideo(ref, { captionsFile: { ...(await give(id, text)), ...own } });
      await system.jobs.addCaptions(ref);
    };
    await put('00:01.000 --> 00:02.000\nfirst\n');
    await put('00:01.000 --> 00:02.000\nsecond\n');
    await expect.poll(() => captionsIn(id), { timeout: 30_000 }).toMatchObject([{ text: 'second' }]);
    await settled();
    expect(await captionsIn(id)).toMatchObject([{ text: 'second' }]);
    await put('00:01.000 --> 00:02.000\nthird\n\n00:03.000 --> 00:02.000\nbroken\n\n00:09.000 --> 00:10.000\nlate\n');
    await expect
      .poll(() => system.get(id), { timeout: 30_000 })
      .toMatchObject({
        captions: { source: 'upload', cues: 1, broken: 2 },
        warnings: [{ code: 'captions_damaged', message: '2 captions were left out: their times make no sense.' }],
      });
    await system.catalog.patchVideo(ref, { language: 'en' });
    for (const [language, expected] of [
      [undefined, 'en'],
      ['deu', 'de'],
    ] as const) {
      await put('00:01.000 --> 00:02.000\nZwei Häuser.\n', language && { language });
      await expect
        .poll(() => captionsIn(id), { timeout: 30_000 })
        .toMatchObject([{ text: 'Zwei Häuser.', language: expected }]);
      await expect.poll(() => system.get(id)).toMatchObject({ language: 'en', captions: { language: expected } });
    }
    const found = await system.index.searchPassages('Haus', { tenant: TENANT, videoIds: [id], language: 'de' }, 5);
    expect(found).toMatchObject([{ kind: 'caption' }]);
    await system.catalog.patchVideo(ref, { captionsFile: undefined });
    await system.jobs.addCaptions(ref);
    await expect
      .poll(() => captionsIn(id), { timeout: 30_000 })
      .toMatchObject([{ text: 'A zebra crosses the river.' }]);
    await expect.poll(() => system.get(id)).toMatchObject({ captions: { source: 'embedded' }, warnings: [] });
  });

  it('given while a video is indexed again are there when it is, though they came before its plan', async () => {
    const { id } = await system.addVideo(plain, { transcribe: 'never' });
    await system.finished(id);
    const ref = { tenant: TENANT, videoId: id };
    const again = await system.catalog.startRun(ref, ['ready']);
    await system.catalog.patchVideo(ref, { captionsFile: await give(id, '00:01.000 --> 00:02.000\nAn owl.\n') });
    await system.jobs.addCaptions(ref);
    await expect.poll(async () => (await system.jobs.counts()).captions.delayed, { timeout: 30_000 }).toBe(1);
    expect(await captionsIn(id)).toEqual([]);
    await system.jobs.addPlan({ ...ref, run: again?.run as number });
    await system.finished(id);
    await settled();
    expect(await captionsIn(id)).toMatchObject([{ text: 'An owl.' }]);
  });

  it('of a video that has failed are not indexed, since nothing of it is to be found', async () => {
    const { id } = await system.addVideo(plain, { transcribe: 'never' });
    await system.finished(id);
    const ref = { tenant: TENANT, videoId: id };
    await system.catalog.patchVideo(ref, { status: 'failed' });
    await system.catalog.patchVideo(ref, { captionsFile: await give(id, '00:01.000 --> 00:02.000\nAn owl.\n') });
    await system.jobs.addCaptions(ref);
    await settled();
    expect(await captionsIn(id)).toEqual([]);
    expect(await system.get(id)).not.toHaveProperty('captions');
  });

  it('are embedded where there is a model for it, and then found by their vectors', async () => {
    const folder = goldenModel('text', dir.path);
    await using other = await startSystem({ TEXT_MODEL: folder });
    await other.startWorker();
    const { id } = await other.addVideo(withTrack, { transcribe: 'never' });
    await other.finished(id);
    await expect
      .poll(async () => (await other.catalog.listWorkers())[0]?.models?.text, { timeout: 20_000 })
      .toMatch(/^text-.*@/);
    const [worker] = await other.catalog.listWorkers();
    await using encoder = await openPassageEncoder(folder, { id: worker?.models?.text as string, device: 'cpu' });
    const [same] = await encoder.encodePassages(['A zebra crosses the river.']);
    const filter = { tenant: TENANT, videoIds: [id] };
    const [hit] = await other.index.searchPassagesByVector(encoder, same as Float32Array, filter, 5);
    expect(hit).toMatchObject({ kind: 'caption', text: 'A zebra crosses the river.' });
    expect(hit?.score).toBeGreaterThan(0.999);
  });
});
