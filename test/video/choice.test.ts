import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Frame, type MediaInfo, measureKeyframes, nextPictureMs, probe, sampleFrames } from '#video';
import { clockFrame, codecs, ffmpeg, makeVideo, tempDir } from '../fixtures/media.ts';

const SIZE = 48;
let dir: Awaited<ReturnType<typeof tempDir>>;
/** 6 s: black, a keyframe each 0.6 s; and the clock, larger, a keyframe each 1.8 s. */
let black: string;
let clock: string;
const at = (name: string) => join(dir.path, name);
beforeAll(async () => {
  dir = await tempDir();
  const gop = (pictures: number) => [...codecs.h264, '-g', `${pictures}`, '-sc_threshold', '0'];
  black = await makeVideo(dir.path, { name: 'black.mp4', seconds: 6, picture: 'color=black', codec: gop(15) });
  clock = await makeVideo(dir.path, { name: 'clock.mp4', seconds: 6, size: '128x96', codec: gop(45) });
});
afterAll(() => dir[Symbol.asyncDispose]());

async function sample(path: string, media: MediaInfo, startMs = 0): Promise<Frame[]> {
  const thumbnailDir = await mkdtemp(at('thumbs-'));
  const range = { startMs, endMs: media.durationMs, intervalMs: 500, size: SIZE, thumbnailDir, thumbnailSize: 64 };
  const frames: Frame[] = [];
  for await (const frame of sampleFrames(path, { ...range, media })) frames.push(frame);
  return frames;
}
const numbers = (frames: Frame[]) => frames.map(({ rgb }) => clockFrame(rgb, SIZE));
const everyHalfSecond = [0, 13, 25, 38, 50, 63, 75, 88, 100, 113, 125, 138];

/** Both in one file, black first; `options` follow. */
async function both(name: string, ...options: string[]): Promise<string> {
  await ffmpeg('-i', black, '-i', clock, '-map', '0:v', '-map', '1:v', '-c', 'copy', ...options, at(name));
  return at(name);
}

describe('of several videos in a file', () => {
  test.each([
    ['mkv', 'larger', '0'],
    ['ts', 'larger', '0'],
    ['mp4', 'default', 'default'], // where none is marked, MP4 marks the first
  ])('(.%s) the %s one is sampled, whole or in shards', async (ending, _, mark) => {
    const path = await both(`both.${ending}`, '-disposition:v:0', '0', '-disposition:v:1', mark);
    const media = await probe(path);
    expect(media.video).toMatchObject({ stream: 1, width: 128 });
    const whole = await sample(path, media);
    expect(numbers(whole)).toEqual(everyHalfSecond);
    const shard = await sample(path, media, 3500);
    expect(shard.length).toBe(5);
    for (const [i, { rgb }] of shard.entries()) expect(Buffer.compare(rgb, (whole[7 + i] as Frame).rgb)).toBe(0);
    expect(await measureKeyframes(path, media, 1000)).toBeUndefined();
    expect((await measureKeyframes(path, media, 2000))?.longestMs).toBeCloseTo(1800, -2);
    expect(await nextPictureMs(path, media, 3000)).toBeCloseTo(3000, -2);
  });

  test('the one marked as default goes before a larger one, which a run planned without a choice keeps', async () => {
    const path = await both('default.mkv', '-disposition:v:0', '0', '-disposition:v:1', 'default');
    expect((await probe(path)).video?.stream).toBe(1);
    const first = await both('first.mkv', '-disposition:v:0', 'default', '-disposition:v:1', '0');
    const media = await probe(first);
    expect(media.video).toMatchObject({ stream: 0, width: 96 });
    const { stream: _, ...earlier } = media.video as NonNullable<MediaInfo['video']>;
    const frames = await sample(path, { ...media, video: earlier });
    expect(frames.every(({ rgb }) => rgb.every((value) => value < 20))).toBe(true);
  });

  test('one that ffmpeg knows goes before one of an unknown codec', async () => {
    const path = await both('unknown.mp4');
    const bytes = await readFile(path);
    bytes.write('zzzz', bytes.indexOf('avc1', bytes.indexOf('stsd')), 'latin1');
    await writeFile(path, bytes);
    const media = await probe(path);
    expect(media.video).toMatchObject({ stream: 1, codec: 'h264' });
    // ffmpeg looks long for what the unknown one is, and hands out what it has read meanwhile: no keyframe each
    expect(await measureKeyframes(path, media, 1000)).toBeUndefined();
    expect(numbers(await sample(path, media))).toEqual(everyHalfSecond);
  });

  test.each(['mp4', 'mkv'])('(.%s) a thumbnail that is not marked as one is not the film', async (ending) => {
    const path = at(`thumbnail.${ending}`);
    const still = ['-f', 'lavfi', '-i', 'testsrc=s=256x256:r=25:d=0.04'];
    const marks = ['-disposition:v:0', 'default', '-disposition:v:1', '0'];
    const streams = ['-map', '0:v', '-map', '1:v', '-c:v:0', 'mjpeg', '-pix_fmt:v:0', 'yuvj420p', '-c:v:1', 'copy'];
    await ffmpeg(...still, '-i', clock, ...streams, ...marks, path);
    const media = await probe(path);
    expect(media.video).toMatchObject({ stream: 1, codec: 'h264' });
    expect(numbers(await sample(path, media))).toEqual(everyHalfSecond);
  });
});

test('a cover picture may be of any size', async () => {
  const cover = at('cover.png');
  await ffmpeg('-f', 'lavfi', '-i', 'color=black:s=6000x6000,format=gray', '-frames:v', '1', cover);
  const attached = ['-c', 'copy', '-disposition:v', '0'];
  const film = at('cover.mp4');
  await ffmpeg(
    '-i',
    clock,
    '-i',
    cover,
    '-map',
    '0',
    '-map',
    '1',
    ...attached,
    '-disposition:v:1',
    'attached_pic',
    film,
  );
  expect((await probe(film)).video).toMatchObject({ stream: 0, codec: 'h264', width: 128 });
  const song = at('cover.m4a');
  const sound = ['-f', 'lavfi', '-i', 'sine=d=1'];
  await ffmpeg(...sound, '-i', cover, '-map', '0', '-map', '1', '-c:v', 'copy', '-disposition:v', 'attached_pic', song);
  expect(await probe(song)).toMatchObject({ video: undefined, audio: { codec: 'aac' } });
});

test('the one picture of an AVI file, whose times come late, is at its start', async () => {
  const path = await makeVideo(dir.path, { name: 'one.avi', seconds: 0.04 });
  const media = await probe(path);
  expect(media.video?.lateFrames).toBeGreaterThan(0);
  expect((await sample(path, media)).map(({ atMs }) => atMs)).toEqual([0]);
});
