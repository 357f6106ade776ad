import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Frame, probe, sampleFrames } from '#video';
import { jpegSize, readPicture, tempDir } from '../fixtures/media.ts';

test.each([
  ['bottle-detection.mp4', { width: 640, height: 360, fps: 179 / 6 }, 39_855, 40],
  ['one-by-one-person-detection.mp4', { width: 768, height: 432, fps: 10 }, 139_400, 140],
])('a real video: %s', async (name, video, durationMs, count) => {
  const path = new URL(`../../../shared/media/${name}`, import.meta.url).pathname;
  if (!existsSync(path)) {
    console.log(`skipped: ${path} is not here`);
    return;
  }
  await using dir = await tempDir();
  const media = await probe(path);
  expect(media).toMatchObject({ container: 'mov', durationMs, startMs: 0, audio: undefined });
  expect(media.video).toMatchObject({ codec: 'h264', width: video.width, height: video.height, rotation: 0 });
  expect(media.video?.fps).toBeCloseTo(video.fps, 2);

  const options = {
    media,
    intervalMs: 1000,
    size: 224,
    thumbnailDir: process.env.KEEP_THUMBNAILS ?? dir.path,
    thumbnailSize: 320,
  };
  const whole: Frame[] = [];
  for await (const frame of sampleFrames(path, { ...options, startMs: 0, endMs: media.durationMs })) whole.push(frame);
  expect(whole.length).toBe(count);
  for (const [i, frame] of whole.entries()) {
    expect(frame.atMs).toBeGreaterThanOrEqual(i * 1000);
    expect(frame.atMs).toBeLessThan(i * 1000 + 1000 / video.fps + 0.1);
  }

  const shard: Frame[] = [];
  for await (const frame of sampleFrames(path, { ...options, startMs: 17_000, endMs: 29_000 })) shard.push(frame);
  expect(shard.map((frame) => frame.atMs)).toEqual(whole.slice(17, 29).map((frame) => frame.atMs));
  for (const [i, frame] of shard.entries()) expect(Buffer.compare(frame.rgb, (whole[17 + i] as Frame).rgb)).toBe(0);

  // The thumbnail's centre square is the model's picture.
  const [width, height] = (await jpegSize((shard[3] as Frame).thumbnailPath)).split('x').map(Number) as [
    number,
    number,
  ];
  expect([width, height]).toEqual([320, 180]);
  const thumbnail = await readPicture((shard[3] as Frame).thumbnailPath);
  let off = 0;
  for (let y = 0; y < 224; y++)
    for (let x = 0; x < 224; x++) {
      const at = (Math.floor((y * height) / 224) * width + Math.floor((width - height) / 2 + (x * height) / 224)) * 3;
      off += Math.abs((thumbnail[at] as number) - ((shard[3] as Frame).rgb[(y * 224 + x) * 3] as number));
    }
  expect(off / 224 ** 2).toBeLessThan(8);
  expect(join((shard[3] as Frame).thumbnailPath, '..')).toBe(options.thumbnailDir);
});
