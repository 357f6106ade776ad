import { mkdir, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Frame, nextPictureMs, probe, type SampleOptions, sampleFrames } from '#video';
import {
  clockFrame,
  codecs,
  ffmpeg,
  hasEncoder,
  jpegSize,
  makeVideo,
  overwriteMedia,
  readPicture,
  remux,
  tempDir,
  truncate,
  turnClockwise,
} from '../fixtures/media.ts';

const SIZE = 48;
let dir: Awaited<ReturnType<typeof tempDir>>;
beforeAll(async () => {
  dir = await tempDir();
});
afterAll(() => dir[Symbol.asyncDispose]());

async function sample(path: string, options: Partial<SampleOptions> = {}): Promise<Frame[]> {
  const media = options.media ?? (await probe(path));
  const thumbnailDir = options.thumbnailDir ?? (await mkdtemp(join(dir.path, 'thumbs-')));
  const range = { startMs: 0, endMs: media.durationMs, intervalMs: 500, size: SIZE, thumbnailSize: 64 };
  const frames: Frame[] = [];
  for await (const frame of sampleFrames(path, { ...range, ...options, media, thumbnailDir })) frames.push(frame);
  return frames;
}
/** First frame of each cell, by hand: numbers of the frames and their times. */
function firstOfCells(timesMs: number[], intervalMs: number) {
  let last = -1;
  return timesMs.flatMap((ms, frame) => {
    const cell = Math.floor(Math.round(ms * 1000) / Math.round(intervalMs * 1000));
    if (cell <= last) return [];
    last = cell;
    return [{ frame, ms }];
  });
}
const ntsc = (seconds: number) =>
  Array.from({ length: Math.ceil((seconds * 30000) / 1001) }, (_, n) => (n * 1001) / 30);

describe('every frame has the time at which it is shown', () => {
  test.each([
    ['clock.mp4', codecs.h264, 0.1],
    ['clock.mkv', codecs.h264OpenGop, 1],
    ['clock.mov', codecs.h264TenBit, 0.1],
    ['hevc.mp4', codecs.hevc, 0.1],
    ['clock.webm', codecs.vp9, 1],
    ['clock.ts', codecs.h264, 0.1],
    ['clock.mpg', codecs.mpeg2, 0.1],
    ['clock.avi', codecs.mpeg4, 0.1],
    ['late.avi', codecs.h264, 0.1], // AVI stores decoding times only
    ['late-mpeg4.avi', [...codecs.mpeg4, '-bf', '2'], 0.1],
    ['clock.flv', [...codecs.h264], 1],
  ])('29.97 frames a second in %s', async (name, codec, toleranceMs) => {
    const path = await makeVideo(dir.path, { name, codec, seconds: 6, fps: '30000/1001' });
    const frames = await sample(path);
    const expected = firstOfCells(ntsc(6), 500);
    // Containers with times in whole milliseconds may move a frame over a border.
    expect(frames.length).toBe(expected.length);
    for (const [i, frame] of frames.entries()) {
      const number = clockFrame(frame.rgb, SIZE);
      expect(Math.abs(frame.atMs - (number * 1001) / 30)).toBeLessThanOrEqual(toleranceMs);
      expect(Math.abs(number - (expected[i]?.frame ?? 0))).toBeLessThanOrEqual(toleranceMs >= 1 ? 1 : 0);
    }
  });

  test.each([
    ['av1.mkv', 'libsvtav1', ['-preset', '12', '-g', '25'], 'yuv420p', '128x96'],
    ['mjpeg.avi', 'mjpeg', ['-q:v', '3'], 'yuvj420p', '96x96'],
    ['mjpeg.mov', 'mjpeg', ['-q:v', '3'], 'yuvj420p', '96x96'],
    ['ten-bit.ts', 'libx265', ['-preset', 'ultrafast', '-x265-params', 'log-level=none'], 'yuv420p10le', '96x96'],
    ['odd.mkv', 'libx264', ['-preset', 'ultrafast', '-bf', '3'], 'yuv444p', '97x95'],
    ['mpeg4.mp4', 'mpeg4', ['-q:v', '3', '-bf', '2'], 'yuv420p', '96x96'],
  ])('%s (%s), at a variable frame rate where it can have one', async (name, encoder, output, pixelFormat, size) => {
    if (!(await hasEncoder(encoder))) {
      console.log(`skipped: this ffmpeg has no ${encoder}`);
      return;
    }
    // AVI knows constant rates only, and the MPEG-4 encoder no clock this fine.
    const setpts = name.endsWith('.avi') || encoder === 'mpeg4' ? undefined : 'round((N*0.04+gte(N,30)*0.5)/TB)';
    const codec = ['-c:v', encoder, ...output];
    const path = await makeVideo(dir.path, { name, seconds: 3, codec, pixelFormat, size, setpts });
    const frames = await sample(path);
    expect(frames.length).toBeGreaterThanOrEqual(6);
    for (const { rgb, atMs } of frames) {
      const n = clockFrame(rgb, SIZE);
      expect(Math.abs(n * 40 + (setpts && n >= 30 ? 500 : 0) - atMs)).toBeLessThanOrEqual(1);
    }
  });

  test('variable frame rate', async () => {
    // frame N at 40 N + 10 (N mod 3) ms, and a second without any after frame 60
    const setpts = 'round((N*0.04+mod(N,3)*0.01+gte(N,60))/TB)';
    const path = await makeVideo(dir.path, { name: 'vfr.mp4', seconds: 5, setpts });
    const times = Array.from({ length: 125 }, (_, n) => n * 40 + (n % 3) * 10 + (n >= 60 ? 1000 : 0));
    const frames = await sample(path, { intervalMs: 200 });
    expect(frames.map((f) => ({ frame: clockFrame(f.rgb, SIZE), ms: Math.round(f.atMs) }))).toEqual(
      firstOfCells(times, 200),
    );
  });

  test('H.264 that is copied into an AVI file, which has twice as many places for pictures', async () => {
    const path = await remux(await makeVideo(dir.path), join(dir.path, 'copied.avi'));
    expect((await probe(path)).video?.fps).toBe(25);
    for (const { rgb, atMs } of await sample(path)) expect(atMs).toBeCloseTo(clockFrame(rgb, SIZE) * 40, 1);
  });

  test('a file whose clock does not start at zero counts from its first packet', async () => {
    const plain = await makeVideo(dir.path, { name: 'plain.mp4', seconds: 3 });
    const path = await remux(plain, join(dir.path, 'late.ts'), '-output_ts_offset', '5000');
    expect((await probe(path)).startMs).toBeGreaterThan(5_000_000);
    const frames = await sample(path);
    expect(frames.map((f) => [clockFrame(f.rgb, SIZE), f.atMs])).toEqual(
      [0, 13, 25, 38, 50, 63].map((n) => [n, n * 40]),
    );
  });

  test('an edit list that cuts off the start is obeyed', async () => {
    const plain = await makeVideo(dir.path, {
      name: 'whole.mp4',
      seconds: 4,
      audio: 'tone',
      codec: [...codecs.h264, '-g', '25'],
    });
    const path = join(dir.path, 'edited.mp4');
    await ffmpeg('-ss', '1.4', '-i', plain, '-c', 'copy', path);
    const { startMs } = await probe(path);
    const frames = await sample(path);
    const shift = clockFrame((frames[0] as Frame).rgb, SIZE) * 40 - (frames[0] as Frame).atMs;
    for (const f of frames) expect(Math.abs(clockFrame(f.rgb, SIZE) * 40 - f.atMs - shift)).toBeLessThan(0.1);
    expect(Math.abs(shift - 1400 - startMs)).toBeLessThanOrEqual(40);
  });

  test('a slide show gives each slide once', async () => {
    const path = await makeVideo(dir.path, { name: 'slides.mp4', seconds: 30, fps: '1/10' });
    const frames = await sample(path, { intervalMs: 1000 });
    expect(frames.map((f) => [clockFrame(f.rgb, SIZE), f.atMs])).toEqual([
      [0, 0],
      [1, 10_000],
      [2, 20_000],
    ]);
  });
});

describe('shards cut on the grid give the frames of an uncut run, to the byte', () => {
  test.each([
    ['shards-open.mp4', codecs.h264OpenGop],
    ['shards.mkv', codecs.h264OpenGop],
    [
      'shards-hevc.mkv',
      ['-c:v', 'libx265', '-preset', 'ultrafast', '-x265-params', 'log-level=none:keyint=40:open-gop=1'],
    ],
    ['shards.webm', codecs.vp9],
    ['shards-live.webm', [...codecs.vp8, '-live', '1']],
    ['shards.ts', codecs.h264OpenGop],
    ['shards.mpg', codecs.mpeg2],
    ['shards.avi', codecs.h264],
    ['shards.flv', codecs.h264],
    ['shards.h264', codecs.h264],
  ])('%s', async (name, codec) => {
    const path = await makeVideo(dir.path, {
      name,
      codec: [...codec, '-g', '90'],
      seconds: 10,
      fps: '30000/1001',
      picture: 'testsrc2',
    });
    const media = await probe(path);
    const options = { media, intervalMs: 300 };
    const whole = await sample(path, options);
    const parts = [];
    for (let startMs = 0; startMs < media.durationMs; startMs += 5100)
      parts.push(...(await sample(path, { ...options, startMs, endMs: Math.min(media.durationMs, startMs + 5100) })));
    expect(whole.length).toBeGreaterThan(30);
    expect(parts.map((f) => f.atMs)).toEqual(whole.map((f) => f.atMs));
    for (const [i, frame] of parts.entries())
      expect(Buffer.compare(frame.rgb, (whole[i] as Frame).rgb), `frame ${i}`).toBe(0);
  });
});

test.each(['mp4', 'ts'])('the next picture of a .%s is the one that sampling finds there', async (ending) => {
  const path = await makeVideo(dir.path, { name: `next.${ending}`, seconds: 4, fps: '30000/1001' });
  const media = await probe(path);
  for (const startMs of [500, 2010]) {
    const [frame] = await sample(path, { media, startMs });
    expect(await nextPictureMs(path, media, startMs)).toBe(frame?.atMs);
  }
  expect(await nextPictureMs(path, media, 10_000)).toBeUndefined();
});

describe('the picture is what a viewer sees', () => {
  const quarters = (rgb: Uint8Array, size: number) =>
    [
      [0.2, 0.2],
      [0.8, 0.2],
      [0.2, 0.8],
      [0.8, 0.8],
    ].map(([x = 0, y = 0]) => {
      const at = (Math.floor(y * size) * size + Math.floor(x * size)) * 3;
      return [...rgb.subarray(at, at + 3)].map((c) => (c > 128 ? 1 : 0)).join('');
    });
  const corners = (size: string) =>
    `color=red:s=${size}:d=1:r=5,drawbox=x=iw/2:w=iw/2:h=ih/2:c=lime:t=fill,drawbox=y=ih/2:w=iw/2:h=ih/2:c=blue:t=fill,` +
    'drawbox=x=iw/2:y=ih/2:w=iw/2:h=ih/2:c=white:t=fill';

  test.each([
    [0, ['100', '010', '001', '111']],
    [90, ['001', '100', '111', '010']],
    [180, ['111', '001', '010', '100']],
    [270, ['010', '111', '100', '001']],
  ])('a phone video turned by %i degrees', async (degrees, expected) => {
    const flat = join(dir.path, 'flat.mp4');
    const path = join(dir.path, `turned${degrees}.mp4`);
    await ffmpeg('-f', 'lavfi', '-i', corners('128x96'), ...codecs.h264, flat);
    await turnClockwise(flat, path, degrees);
    const { video } = await probe(path);
    expect(video).toMatchObject({
      rotation: degrees,
      ...(degrees % 180 ? { width: 96, height: 128 } : { width: 128, height: 96 }),
    });
    const [frame] = await sample(path);
    expect(quarters((frame as Frame).rgb, SIZE)).toEqual(expected);
    expect(await jpegSize((frame as Frame).thumbnailPath)).toBe(degrees % 180 ? '48x64' : '64x48');
  });

  test('a model that squashes sees all of it, one that crops the centre square', async () => {
    const path = join(dir.path, 'wide.mp4');
    const bars = 'color=white:s=192x96:d=1:r=5,drawbox=w=48:h=96:c=black:t=fill,drawbox=x=144:w=48:h=96:c=black:t=fill';
    await ffmpeg('-f', 'lavfi', '-i', bars, ...codecs.h264, path);
    for (const [fit, dark] of [
      ['crop', 0],
      ['squash', SIZE / 2],
    ] as const) {
      const [frame] = await sample(path, { fit });
      const row = [...(frame as Frame).rgb.subarray(24 * SIZE * 3, 25 * SIZE * 3)].filter((_, i) => i % 3 === 0);
      expect(Math.abs(row.filter((c) => c < 128).length - dark), fit).toBeLessThanOrEqual(1);
    }
  });

  test('pixels that are not square are stretched', async () => {
    const path = join(dir.path, 'anamorphic.mp4');
    await ffmpeg(
      '-f',
      'lavfi',
      '-i',
      'color=white:s=72x96:d=1:r=5,drawbox=x=24:w=24:h=96:c=black:t=fill,setsar=2',
      ...codecs.h264,
      path,
    );
    expect((await probe(path)).video).toMatchObject({ width: 144, height: 96 });
    const [frame] = await sample(path);
    // The black bar is a third of 144 pixels: half of the centre square of 96.
    const row = [...(frame as Frame).rgb.subarray(24 * SIZE * 3, 25 * SIZE * 3)].filter((_, i) => i % 3 === 0);
    expect(row.filter((c) => c < 128).length).toBe(SIZE / 2);
    expect(await jpegSize((frame as Frame).thumbnailPath)).toBe('64x42');
  });

  test.each([
    ['1x1', '2x2'],
    ['1x1080', '2x64'],
    ['3001x1', '64x2'],
    ['33x31', '32x30'],
    ['640x360', '64x36'],
  ])('a picture of %s works, and its thumbnail is %s', async (size, thumbnail) => {
    const path = await makeVideo(dir.path, {
      name: `${size}.mkv`,
      size,
      seconds: 1,
      picture: 'color=white',
      pixelFormat: 'rgb24',
      codec: codecs.lossless,
    });
    const frames = await sample(path);
    expect(frames.length).toBe(2);
    for (const frame of frames) {
      expect(frame.rgb.length).toBe(SIZE * SIZE * 3);
      expect(frame.rgb.every((c) => c > 250)).toBe(true);
      expect(await jpegSize(frame.thumbnailPath)).toBe(thumbnail);
    }
  });

  test('the thumbnail shows the same moment as the frame', async () => {
    const path = await makeVideo(dir.path, { name: 'same.mp4', seconds: 4, size: '120x120' });
    const frames = await sample(path, { intervalMs: 500, thumbnailSize: 120 });
    expect(frames.length).toBe(8);
    for (const frame of frames)
      expect(clockFrame(await readPicture(frame.thumbnailPath, `${SIZE}x${SIZE}`), SIZE)).toBe(
        clockFrame(frame.rgb, SIZE),
      );
  });

  test('a change of the picture size midway loses no time and doubles no cell', async () => {
    const a = await makeVideo(dir.path, { name: 'a.ts', seconds: 2, size: '96x96', codec: codecs.mpeg2 });
    const b = await makeVideo(dir.path, {
      name: 'b.ts',
      seconds: 2,
      size: '192x96',
      codec: codecs.mpeg2,
      output: ['-output_ts_offset', '2'],
    });
    const path = join(dir.path, 'change.ts');
    await ffmpeg('-i', `concat:${a}|${b}`, '-c', 'copy', path);
    const frames = await sample(path, { intervalMs: 700 });
    const cells = frames.map((f) => Math.floor(f.atMs / 700));
    expect(cells).toEqual([0, 1, 2, 3, 4, 5]);
    for (const frame of frames) expect(await jpegSize(frame.thumbnailPath)).toBe('64x64');
  });

  test('the two fields of interlaced video are not mixed, and its times stay', async () => {
    const path = join(dir.path, 'interlaced.ts');
    const fields = "nullsrc=s=96x96:r=25:d=2,format=gray,geq=lum='if(mod(Y,2),16,235)',format=yuv420p,setfield=tff";
    await ffmpeg('-f', 'lavfi', '-i', fields, ...codecs.h264Interlaced, path);
    const media = await probe(path);
    expect(media.video?.interlaced).toBe(true);
    const frames = await sample(path);
    expect(frames.map(({ atMs }) => atMs)).toEqual([0, 520, 1000, 1520]);
    for (const { rgb } of frames) expect(Math.abs((rgb[(24 * SIZE + 24) * 3] as number) - 128)).toBeGreaterThan(80);
    const shard = await sample(path, { media, startMs: 1000 });
    for (const [i, { rgb }] of shard.entries()) expect(Buffer.compare(rgb, (frames[2 + i] as Frame).rgb)).toBe(0);
  });

  test.each([
    ['pq', 'smpte2084', 0.58],
    ['hlg', 'arib-std-b67', 0.75],
  ])('diffuse white of high dynamic range (%s) is nearly white, black is black', async (transfer, tag, white) => {
    const path = join(dir.path, `${transfer}.mkv`);
    const picture = `nullsrc=s=96x96:r=5:d=1,format=yuv420p10le,geq=lum='if(lt(X,48),64,${64 + 876 * white})':cb=512:cr=512`;
    const tags = ['-color_primaries', 'bt2020', '-color_trc', tag, '-colorspace', 'bt2020nc'];
    await ffmpeg('-f', 'lavfi', '-i', picture, ...codecs.h264TenBit, ...tags, path);
    expect((await probe(path)).video?.transfer).toBe(transfer);
    const [frame] = await sample(path);
    const { rgb, thumbnailPath } = frame as Frame;
    const at = (x: number) => rgb[(24 * SIZE + x) * 3 + 1] as number;
    expect(at(8)).toBeLessThan(8);
    expect(at(40)).toBeGreaterThan(215);
    expect(at(40)).toBeLessThan(235);
    const thumbnail = await readPicture(thumbnailPath, `${SIZE}x${SIZE}`);
    expect(Math.abs((thumbnail[(24 * SIZE + 40) * 3 + 1] as number) - at(40))).toBeLessThan(6);
  });
});

describe('damaged files', () => {
  test('a file cut off after its index gives the frames that are there', async () => {
    const whole = await makeVideo(dir.path, {
      name: 'faststart.mp4',
      seconds: 8,
      picture: 'testsrc2',
      output: ['-movflags', '+faststart'],
    });
    const path = await truncate(whole, join(dir.path, 'cut.mp4'), 0.5);
    expect((await probe(path)).durationMs).toBe(8000);
    const frames = await sample(path);
    expect(frames.length).toBeGreaterThan(4);
    expect(frames.length).toBeLessThan(13);
    expect(await sample(path, { startMs: 7000, endMs: 8000 })).toEqual([]);
  });

  test('rubbish in the middle costs only the frames it hit', async () => {
    const path = await makeVideo(dir.path, { name: 'hurt.ts', seconds: 8, picture: 'testsrc2' });
    const bytes = await readFile(path);
    bytes.fill(0x5a, Math.floor(bytes.length * 0.4), Math.floor(bytes.length * 0.5));
    await writeFile(path, bytes);
    const frames = await sample(path, { endMs: 8000 });
    expect(frames.length).toBeGreaterThan(11);
    expect((frames.at(-1) as Frame).atMs).toBeGreaterThan(7400);
  });

  test.each(['mkv', 'flv', 'ts'])(
    'a stretch of a .%s that holds no packets is told of, a whole file is not',
    async (ending) => {
      const path = await makeVideo(dir.path, {
        name: `lost.${ending}`,
        seconds: 8,
        size: '320x240',
        picture: 'testsrc2',
      });
      let told = 0;
      const options = { startMs: 3000, endMs: 8000, onDamage: () => told++ };
      await sample(path, options);
      expect(told).toBe(0);
      const bytes = await readFile(path);
      bytes.fill(0, Math.floor(bytes.length * 0.6), Math.floor(bytes.length * 0.8));
      await writeFile(path, bytes);
      expect((await sample(path, options)).length).toBeGreaterThan(2);
      expect(told).toBeGreaterThan(0);
    },
  );

  test('a range beyond the last frame is empty', async () => {
    const path = await makeVideo(dir.path, { name: 'short.mkv', seconds: 2 });
    expect(await sample(path, { startMs: 60_000, endMs: 70_000 })).toEqual([]);
  });

  test('a file of which nothing decodes gives no frames', async () => {
    const whole = await makeVideo(dir.path, { name: 'whole2.mp4', seconds: 2 });
    const path = await overwriteMedia(whole, join(dir.path, 'rubbish.mp4'));
    expect((await probe(path)).video).toBeDefined();
    expect(await sample(path)).toEqual([]);
  });

  test('a file without a picture gives no frames', async () => {
    expect(await sample('nowhere', { media: { container: 'mp3', durationMs: 1000, startMs: 0 } })).toEqual([]);
  });
});

test('names of files and folders are taken as they are', async () => {
  for (const name of ['-i ☃ü\'"$(x).mp4', 'concat:a|b.mp4', "a'b:c,d;[e].mp4"]) {
    const folder = join(dir.path, `odd %d ${name}.d`);
    await mkdir(folder, { recursive: true });
    const path = await makeVideo(folder, { name, seconds: 1 });
    const frames = await sample(path, { thumbnailDir: folder });
    expect(frames.length).toBe(2);
    for (const frame of frames) expect(await jpegSize(frame.thumbnailPath)).toBe('64x64');
    expect((await readdir(folder)).length).toBe(3);
  }
});

test('each picture is a buffer of its own that may be handed to another thread', async () => {
  const path = await makeVideo(dir.path, { name: 'own.mp4', seconds: 2 });
  const frames = await sample(path);
  expect(new Set(frames.map((f) => f.rgb.buffer)).size).toBe(4);
  for (const { rgb } of frames) expect(rgb.buffer.byteLength).toBe(SIZE * SIZE * 3);
});
