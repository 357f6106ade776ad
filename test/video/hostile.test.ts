import { execFile } from 'node:child_process';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { decodeAudio, type Frame, measureKeyframes, probe, type SampleOptions, sampleFrames } from '#video';
import { clockFrame, codecs, ffmpeg, jpegSize, keepTimes, makeVideo, tempDir } from '../fixtures/media.ts';

const SIZE = 48;
let dir: Awaited<ReturnType<typeof tempDir>>;
beforeAll(async () => {
  dir = await tempDir();
});
afterAll(() => dir[Symbol.asyncDispose]());
const at = (name: string) => join(dir.path, name);

async function sample(path: string, options: Partial<SampleOptions> = {}): Promise<Frame[]> {
  const media = options.media ?? (await probe(path));
  const thumbnailDir = await mkdtemp(at('thumbs-'));
  const range = { startMs: 0, endMs: media.durationMs, intervalMs: 500, size: SIZE, thumbnailSize: 64 };
  const frames: Frame[] = [];
  for await (const frame of sampleFrames(path, { ...range, ...options, media, thumbnailDir })) frames.push(frame);
  return frames;
}
/** Where each packet of the file lies in it. */
async function packets(path: string): Promise<{ pos: string; size: string; flags: string }[]> {
  const args = ['-v', 'error', '-select_streams', 'v', '-show_entries', 'packet=pos,size,flags', '-of', 'json', path];
  return JSON.parse((await promisify(execFile)('ffprobe', args)).stdout).packets;
}
const clocks = (frames: Frame[]) => frames.map(({ rgb, atMs }) => [clockFrame(rgb, SIZE), Math.round(atMs)]);

describe('files nobody planned for', () => {
  test.each([
    ['one.mp4', codecs.h264],
    ['one.mkv', codecs.mpeg4],
    ['one.webm', codecs.vp8],
    ['one.ts', codecs.h264],
  ])('a video of one frame gives it (%s)', async (name, codec) => {
    const path = await makeVideo(dir.path, { name, codec, seconds: 0.04 });
    expect((await probe(path)).durationMs).toBeGreaterThan(0);
    expect(clocks(await sample(path))).toEqual([[0, 0]]);
  });

  test('the largest picture there may be (8192x4320) is scaled, one more row is refused', async () => {
    const large = { seconds: 0.1, fps: '10', picture: 'color=white' } as const;
    const codec = ['-c:v', 'mjpeg', '-q:v', '31'];
    const path = await makeVideo(dir.path, {
      ...large,
      codec,
      name: '8k.mkv',
      size: '8192x4320',
      pixelFormat: 'yuvj420p',
    });
    const [frame, ...more] = await sample(path);
    expect(more).toEqual([]);
    expect((frame as Frame).rgb.every((c) => c > 250)).toBe(true);
    expect(await jpegSize((frame as Frame).thumbnailPath)).toBe('64x32');
    const over = await makeVideo(dir.path, {
      ...large,
      codec,
      name: '8k1.mkv',
      size: '8192x4322',
      pixelFormat: 'yuvj420p',
    });
    await expect(probe(over)).rejects.toMatchObject({ code: 'media_too_large' });
  });

  test('a fragmented MP4 that was cut off in the midst of the header of a fragment gives what stands before it', async () => {
    const codec = [...codecs.h264, '-g', '25', '-bf', '0'];
    const output = ['-c:a', 'aac', '-movflags', 'frag_keyframe+empty_moov+default_base_moof'];
    const whole = await makeVideo(dir.path, { name: 'fragments.mp4', seconds: 4, audio: 'tone', codec, output });
    const bytes = await readFile(whole);
    const path = at('cut, in a,,moof: 50%.mp4');
    await writeFile(path, bytes.subarray(0, bytes.lastIndexOf('moof') + 100));
    const media = await probe(path);
    expect(media).toMatchObject({ durationMs: expect.closeTo(3000, -2), endsMidway: true });
    for (const [startMs, pictures] of [
      [0, 6],
      [2000, 2],
    ] as const) {
      const found = clocks(await sample(path, { startMs, endMs: 3000 }));
      expect(found).toEqual(clocks(await sample(whole, { startMs, endMs: 3000 })));
      expect(found).toHaveLength(pictures);
    }
    let samples = 0;
    for await (const part of decodeAudio(path, { startMs: 0, endMs: 3000 })) samples += part.length;
    expect(samples / 16).toBeGreaterThan(2800);
    await writeFile(path, bytes.subarray(0, bytes.indexOf('moof') + 100));
    await expect(probe(path)).rejects.toMatchObject({ code: 'media_broken' });
  });

  test('timestamps that jump back (two recordings, one after the other) give each cell once, in order', async () => {
    const part = await makeVideo(dir.path, { name: 'part.ts', seconds: 3, codec: codecs.mpeg2 });
    const bytes = await readFile(part);
    await writeFile(at('back.ts'), Buffer.concat([bytes, bytes]));
    const frames = await sample(at('back.ts'), { endMs: 6000 });
    const times = frames.map(({ atMs }) => atMs);
    expect(times.length).toBeGreaterThanOrEqual(6);
    expect(times).toEqual([...times].sort((a, b) => a - b));
    expect(new Set(times.map((ms) => Math.floor(ms / 500))).size).toBe(times.length);
    expect(times.every((ms) => ms >= 0 && ms < 6000)).toBe(true);
  });

  test.each([
    ['whose header is gone is told of', 8, true],
    ['with rubbish inside is decoded as far as it can be', 24, false],
  ])('a damaged keyframe %s, and costs nothing before it or after the next', async (_, skipped, told) => {
    const codec = [...codecs.h264, '-g', '25', '-keyint_min', '25', '-sc_threshold', '0'];
    const path = await makeVideo(dir.path, { name: 'keys.mkv', seconds: 4, codec });
    const plain = await sample(path);
    const media = await probe(path);
    const keyframe = (await packets(path)).filter(({ flags }) => flags.startsWith('K'))[1];
    const [position, size] = [Number(keyframe?.pos), Number(keyframe?.size)];
    const bytes = await readFile(path);
    // Matroska's block header and the length of the slice are 8 bytes; the slice's own header follows.
    bytes.fill(0xff, position + skipped, position + size);
    await writeFile(at('hurt.mkv'), bytes);
    let damaged = false;
    const frames = await sample(at('hurt.mkv'), { media, onDamage: () => (damaged = true) });
    expect(damaged).toBe(told);
    for (const ms of [0, 520, 2000, 2520, 3000, 3520]) {
      const [whole, found] = [plain, frames].map((list) => list.find(({ atMs }) => Math.round(atMs) === ms));
      expect(Buffer.compare((found as Frame).rgb, (whole as Frame).rgb), `${ms} ms`).toBe(0);
    }
  });

  test('ten hours with a picture every ten minutes take no longer than their pictures', async () => {
    const path = await makeVideo(dir.path, {
      name: 'sparse.mkv',
      seconds: 36_000,
      fps: '1/600',
      codec: [...codecs.mpeg4, '-g', '1'],
    });
    const media = await probe(path);
    expect(media.durationMs).toBe(36_000_000);
    const expected = Array.from({ length: 60 }, (_, n) => [n, n * 600_000]);
    expect(clocks(await sample(path, { intervalMs: 1000 }))).toEqual(expected);
    expect(clocks(await sample(path, { intervalMs: 1000, startMs: 17_999_000, endMs: 18_001_000 }))).toEqual([
      [30, 18_000_000],
    ]);
    expect(await sample(path, { intervalMs: 1000, startMs: 18_001_000, endMs: 18_300_000 })).toEqual([]);
    const keyframes = await measureKeyframes(path, media, 600_000);
    const sparse = { ...media, video: { ...(media.video as NonNullable<typeof media.video>), keyframes } };
    expect(clocks(await sample(path, { media: sparse, intervalMs: 600_000 }))).toEqual(expected);
  });

  test.each(['mp4', 'mkv', 'ts'])(
    'sound that starts before the picture: both stay where they are (.%s)',
    async (ending) => {
      const path = at(`early.${ending}`);
      const picture = await makeVideo(dir.path, { name: 'picture.mp4', seconds: 3 });
      const tone = ['-f', 'lavfi', '-t', '5', '-i', "aevalsrc='0.5*sin(2000*t)*gte(t,1)':s=48000"];
      await ffmpeg(
        ...tone,
        '-itsoffset',
        '2',
        '-i',
        picture,
        '-map',
        '0:a',
        '-map',
        '1:v',
        '-c:v',
        'copy',
        '-c:a',
        'aac',
        path,
      );
      for (const [number = 0, ms = 0] of clocks(await sample(path)))
        expect(Math.abs(ms - 2000 - number * 40)).toBeLessThanOrEqual(45);
      const pcm: number[] = [];
      for await (const part of decodeAudio(path, { startMs: 0, endMs: 2000 })) pcm.push(...part);
      expect(Math.abs(pcm.findIndex((x) => Math.abs(x) > 0.05) / 16 - 1000)).toBeLessThan(45);
    },
  );

  test('an edit list over a variable frame rate shifts all times alike', async () => {
    // frame N at 40 N + 10 (N mod 3) ms, and a second without any after frame 50
    const setpts = 'round((N*0.04+mod(N,3)*0.01+gte(N,50))/TB)';
    const whole = await makeVideo(dir.path, {
      name: 'vfr.mp4',
      seconds: 4,
      setpts,
      codec: [...codecs.h264, '-g', '25'],
    });
    await ffmpeg('-ss', '1.1', '-i', whole, '-c', 'copy', ...(await keepTimes()).slice(0, 2), at('vfr-edited.mp4'));
    const { startMs } = await probe(at('vfr-edited.mp4'));
    const frames = await sample(at('vfr-edited.mp4'), { intervalMs: 200 });
    expect(frames.length).toBeGreaterThan(8);
    const shifts = frames.map(({ rgb, atMs }) => {
      const n = clockFrame(rgb, SIZE);
      return n * 40 + (n % 3) * 10 + (n >= 50 ? 1000 : 0) - atMs;
    });
    for (const shift of shifts) expect(Math.abs(shift - (shifts[0] as number))).toBeLessThan(0.1);
    expect(Math.abs((shifts[0] as number) - 1100 - startMs)).toBeLessThanOrEqual(50);
  });
});
