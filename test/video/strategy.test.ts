import { mkdtemp, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  chooseDecoding,
  configureFfmpeg,
  type Frame,
  type KeyframeSpacing,
  type MediaInfo,
  measureKeyframes,
  probe,
  type SampleOptions,
  sampleFrames,
  type VideoInfo,
} from '#video';
import { clockFrame, codecs, ffmpeg, makeVideo, tempDir } from '../fixtures/media.ts';

const SIZE = 48;
let dir: Awaited<ReturnType<typeof tempDir>>;
beforeAll(async () => {
  dir = await tempDir();
});
afterAll(() => dir[Symbol.asyncDispose]());

async function sample(path: string, media: MediaInfo, options: Partial<SampleOptions> = {}): Promise<Frame[]> {
  const thumbnailDir = await mkdtemp(join(dir.path, 'thumbs-'));
  const range = { startMs: 0, endMs: media.durationMs, intervalMs: 1000, size: SIZE, thumbnailSize: 64 };
  const frames: Frame[] = [];
  for await (const frame of sampleFrames(path, { ...range, ...options, media, thumbnailDir })) frames.push(frame);
  expect((await readdir(thumbnailDir)).length).toBe(frames.length);
  return frames;
}
const numbers = (frames: Frame[]) => frames.map(({ rgb }) => clockFrame(rgb, SIZE));
/** The same file, told to be decoded in this way. */
function decodedBy(media: MediaInfo, decoding: 'all' | 'keyframes' | 'seek'): MediaInfo {
  const averageMs = decoding === 'seek' ? 1e-3 : 600;
  const keyframes = decoding === 'all' ? undefined : { longestMs: 600, averageMs };
  const told = { ...media, video: { ...(media.video as NonNullable<MediaInfo['video']>), keyframes } };
  expect(chooseDecoding(told, 1000)).toBe(decoding);
  return told;
}
/** A keyframe every 15 pictures of 25 a second. */
const every600ms = (codec: string[]) => [...codec, '-g', '15', '-keyint_min', '15', '-sc_threshold', '0'];

describe('how a file is decoded follows from its keyframes and the interval', () => {
  test.each(['mp4', 'ts', 'flv'])('.%s', async (ending) => {
    const path = await makeVideo(dir.path, { name: `gop.${ending}`, seconds: 6, codec: every600ms(codecs.h264) });
    const media = await probe(path);
    const found = await measureKeyframes(path, media, 1000);
    expect(found?.longestMs).toBeGreaterThanOrEqual(599);
    expect(found?.longestMs).toBeLessThanOrEqual(700); // FLV does not tell how far decoding runs ahead
    expect(found?.averageMs).toBeCloseTo(media.durationMs / 10, 0);
    const measured = { ...media, video: { ...(media.video as NonNullable<MediaInfo['video']>), keyframes: found } };
    expect(chooseDecoding(measured, 1000)).toBe('keyframes');
    expect(chooseDecoding(measured, 500)).toBe('all');
    expect(await measureKeyframes(path, media, 500)).toBeUndefined();
  });

  test('keyframes of a program stream that have no time of their own do not suffice: all pictures, with their times', async () => {
    // Small pictures: many begin in the midst of a packet, whose one time is that of the picture before.
    const path = await makeVideo(dir.path, { name: 'small.mpg', seconds: 6, codec: every600ms(codecs.mpeg2) });
    const media = await probe(path);
    expect(await measureKeyframes(path, media, 1000)).toBeUndefined();
    for (const { atMs, rgb } of await sample(path, media)) expect(atMs).toBeCloseTo(clockFrame(rgb, SIZE) * 40, 1);
    // Nor those that stand before a file's zero, where ffmpeg gives none.
    const early = ['-output_ts_offset', '-1', '-avoid_negative_ts', 'disabled'];
    const before = await makeVideo(dir.path, { name: 'below.mkv', codec: every600ms(codecs.h264), output: early });
    expect(await measureKeyframes(before, await probe(before), 1000)).toBeUndefined();
  });

  test('one gap that is too long means all pictures, at the start, in the middle or at the end', async () => {
    for (const [name, keyframes] of [
      ['middle', '0,1,2,4.5,5.5'],
      ['end', '0,1,2,3'],
    ]) {
      const path = await makeVideo(dir.path, {
        name: `${name}.mp4`,
        seconds: 6,
        codec: [...codecs.h264, '-g', '999', '-force_key_frames', keyframes as string],
      });
      const media = await probe(path);
      expect(await measureKeyframes(path, media, 1000), name).toBeUndefined();
      expect(await measureKeyframes(path, media, 3000), name).toBeDefined();
    }
    const audio = await makeVideo(dir.path, {
      name: 'early.mkv',
      seconds: 6,
      audio: 'tone',
      codec: every600ms(codecs.h264),
    });
    const late = join(dir.path, 'late.mkv');
    await ffmpeg(...['-i', audio, '-itsoffset', '4', '-i', audio, '-map', '0:a', '-map', '1:v', '-c', 'copy', late]);
    expect(await measureKeyframes(late, await probe(late), 1000)).toBeUndefined();
  });

  test('sparse sampling of an indexed file seeks; sound alone and bare streams have nothing to choose', async () => {
    const video = { codec: 'h264', width: 1920, height: 1080, fps: 30, rotation: 0 };
    const keyframes = { longestMs: 2000, averageMs: 2000 };
    const media = { container: 'mov', durationMs: 36e6, startMs: 0, video: { ...video, keyframes } };
    expect(chooseDecoding(media, 1000)).toBe('all');
    expect(chooseDecoding(media, 10_000)).toBe('keyframes');
    expect(chooseDecoding(media, 60_000)).toBe('seek');
    expect(chooseDecoding({ ...media, container: 'mpegts' }, 60_000)).toBe('keyframes');
    expect(chooseDecoding({ ...media, video: { ...media.video, codec: 'vp9' } }, 10_000)).toBe('all'); // its decoder skips nothing
    const bare = await makeVideo(dir.path, { name: 'bare.h264', seconds: 2 });
    expect(await measureKeyframes(bare, await probe(bare), 60_000)).toBeUndefined();
  });
});

describe('keyframes alone, and seeking from one to the next,', () => {
  test.each(['keyframes', 'seek'] as const)(
    '(%s) give the first keyframe of each cell, at its true time, whole or in shards',
    async (decoding) => {
      const path = await makeVideo(dir.path, { name: `${decoding}.mp4`, seconds: 4, codec: every600ms(codecs.h264) });
      const told = decodedBy(await probe(path), decoding);
      const whole = await sample(path, told);
      expect(numbers(whole)).toEqual([0, 30, 60, 75]); // keyframes at 0, 0.6, 1.2 …: the first of each second
      for (const { rgb, atMs } of whole) expect(clockFrame(rgb, SIZE) * 40).toBe(atMs);
      const shard = await sample(path, told, { startMs: 2000 });
      expect(shard.map(({ atMs }) => atMs)).toEqual([2400, 3000]);
      for (const [i, { rgb }] of shard.entries()) expect(Buffer.compare(rgb, (whole[2 + i] as Frame).rgb)).toBe(0);
    },
  );
});

test('what the index calls keyframes though none can be decoded by itself (intra refresh): every picture is decoded', async () => {
  const codec = ['-c:v', 'libx264', '-preset', 'ultrafast', '-x264-params', 'intra-refresh=1:keyint=25'];
  const path = await makeVideo(dir.path, { name: 'refresh.mp4', seconds: 6, picture: 'testsrc2', codec });
  const media = await probe(path);
  const keyframes = { longestMs: 1000, averageMs: 1000 };
  expect(await measureKeyframes(path, media, 1000)).toEqual(keyframes);
  const times = async (intervalMs: number, spacing: KeyframeSpacing) => {
    const video = { ...(media.video as VideoInfo), keyframes: spacing };
    return (await sample(path, { ...media, video }, { intervalMs })).map(({ atMs }) => atMs);
  };
  expect(await times(1000, keyframes)).toEqual([0, 1000, 2000, 3000, 4000, 5000]);
  expect(await times(2000, { ...keyframes, averageMs: 1e-3 })).toEqual([0, 2000, 4000]); // so many that it seeks
});

describe('adaptive sampling', () => {
  /** Scenes begin at 0, 1.2, 1.32, 3.6 and 7.08 s. */
  const scenes = async (name: string) => {
    const lengths = [1.2, 0.12, 2.28, 3.48, 1.92];
    const colours = ['black', 'white', 'red', 'yellow', 'navy'];
    const inputs = lengths.flatMap((d, i) => [
      '-f',
      'lavfi',
      '-i',
      `color=${colours[i]}:s=96x96:r=25:d=${d},noise=alls=10:allf=t`,
    ]);
    const path = join(dir.path, name);
    await ffmpeg(...inputs, '-filter_complex', `concat=n=${lengths.length}`, ...codecs.h264, path);
    return path;
  };

  test('takes a frame at each change of scene, one an interval at most, and one each longest gap', async () => {
    const path = await scenes('scenes.mp4');
    const media = await probe(path);
    const options = { intervalMs: 200, adaptive: { maxGapMs: 2000 } };
    const whole = await sample(path, media, options);
    // 1.32 s lies in the interval of 1.2 s; 0, 2, 4, 6 and 8 s are the longest gap's.
    expect(whole.map(({ atMs }) => atMs)).toEqual([0, 1200, 2000, 3600, 4000, 6000, 7080, 8000]);
    const parts = [
      ...(await sample(path, media, { ...options, endMs: 4000 })),
      ...(await sample(path, media, { ...options, startMs: 4000, endMs: 6000 })),
      ...(await sample(path, media, { ...options, startMs: 6000 })),
    ];
    expect(parts.map(({ atMs }) => atMs)).toEqual(whole.map(({ atMs }) => atMs));
  });

  test('a change of scene on the border of two shards is seen once', async () => {
    const path = await scenes('border.mkv');
    const media = await probe(path);
    const options = { intervalMs: 600, adaptive: { maxGapMs: 1200 } };
    const parts = [
      ...(await sample(path, media, { ...options, endMs: 1200 })),
      ...(await sample(path, media, { ...options, startMs: 1200 })),
    ];
    const whole = await sample(path, media, options);
    expect(parts.map(({ atMs }) => atMs)).toEqual(whole.map(({ atMs }) => atMs));
    expect(whole.filter(({ atMs }) => atMs === 1200).length).toBe(1);
  });
});

test('a GPU that is not there is told of, and software decodes the same', async () => {
  const path = await makeVideo(dir.path, { name: 'gpu.mp4', seconds: 2 });
  const media = await probe(path);
  const plain = await sample(path, media);
  for (const hwaccel of ['cuda', 'nonsense', 'auto']) {
    const notes: string[] = [];
    configureFfmpeg({ hwaccel, onNote: (note) => notes.push(note) });
    try {
      const frames = await sample(path, media);
      for (const [i, { rgb }] of frames.entries()) expect(Buffer.compare(rgb, (plain[i] as Frame).rgb)).toBe(0);
      expect(frames.length).toBe(plain.length);
      if (hwaccel === 'nonsense') expect(notes).toEqual(['h264 is decoded in software: nonsense does not work']);
    } finally {
      configureFfmpeg({ hwaccel: 'none', onNote: () => {} });
    }
  }
});
