import { spawn } from 'node:child_process';
import { chmod, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { checkFfmpeg, configureFfmpeg, decodeAudio, type MediaInfo, probe, sampleFrames } from '#video';
import { childProcesses, makeVideo, tempDir } from '../fixtures/media.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
let path: string;
let media: MediaInfo;
beforeAll(async () => {
  dir = await tempDir();
  path = await makeVideo(dir.path, { seconds: 40, fps: '20', picture: 'testsrc', audio: 'tone' });
  media = await probe(path);
});
afterAll(() => dir[Symbol.asyncDispose]());
beforeEach(() =>
  configureFfmpeg({ ffmpegPath: 'ffmpeg', ffprobePath: 'ffprobe', stallMs: 120_000, maxMemoryBytes: 4 * 2 ** 30 }),
);

const frames = (signal?: AbortSignal) =>
  sampleFrames(
    path,
    { media, startMs: 0, endMs: 40_000, intervalMs: 50, size: 224, thumbnailDir: dir.path, thumbnailSize: 64 },
    signal,
  );
const pcm = (signal?: AbortSignal) => decodeAudio(path, { startMs: 0, endMs: 40_000, chunkMs: 100 }, signal);
const running = async () => (await childProcesses('ffmpeg')).length + (await childProcesses('ffprobe')).length;

describe.each([
  ['frames', frames],
  ['audio', pcm],
])('no process is left when the reading of %s', (_, read: (signal?: AbortSignal) => AsyncIterable<unknown>) => {
  test('ends', async () => {
    let count = 0;
    for await (const _ of read()) if (++count === 5) expect(await running()).toBe(1);
    expect(count).toBeGreaterThan(390);
    expect(await running()).toBe(0);
  });

  test('is left early', async () => {
    for await (const _ of read()) break;
    expect(await running()).toBe(0);
  });

  test('fails in the hands of the taker', async () => {
    const taking = (async () => {
      for await (const _ of read()) throw new Error('disk full');
    })();
    await expect(taking).rejects.toThrow('disk full');
    expect(await running()).toBe(0);
  });

  test('is aborted, before it begins, while it is waited for, and while the taker is busy', async () => {
    const reason = new Error('cancelled by its owner');
    const taking = async (signal: AbortSignal, onFirst: () => unknown) => {
      for await (const _ of read(signal)) await onFirst();
    };
    await expect(taking(AbortSignal.abort(reason), () => {})).rejects.toBe(reason);

    const waiting = new AbortController();
    await expect(taking(waiting.signal, () => void setTimeout(() => waiting.abort(reason), 1))).rejects.toBe(reason);
    expect(await running()).toBe(0);

    const busy = new AbortController();
    let leftWhileBusy = -1;
    const seen = taking(busy.signal, async () => {
      busy.abort(reason);
      await sleep(300);
      leftWhileBusy = await running();
    });
    await expect(seen).rejects.toBe(reason);
    expect(leftWhileBusy).toBe(0);
  });
});

test('ffmpeg waits for a slow taker', async () => {
  const slow = frames();
  await slow.next();
  await sleep(1000);
  const thumbnails = async () => (await readdir(dir.path)).filter((name) => name.endsWith('.jpg')).length;
  const before = await thumbnails();
  await sleep(1000);
  expect(await thumbnails()).toBe(before);
  const [pid] = await childProcesses('ffmpeg');
  expect(pid).toBeDefined();
  await slow.return(undefined);
});

test('ffmpeg ends when the process that reads from it is killed', async () => {
  const script = `
    import { sampleFrames } from '#video';
    const options = { media: ${JSON.stringify(media)}, startMs: 0, endMs: 40000, intervalMs: 50, size: 224, thumbnailDir: ${JSON.stringify(dir.path)}, thumbnailSize: 64 };
    for await (const _ of sampleFrames(${JSON.stringify(path)}, options)) { console.log('first'); await new Promise(() => setTimeout(() => {}, 60000)); }`;
  const worker = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise((first) => worker.stdout.once('data', first));
  const [ffmpegPid] = await childProcesses('ffmpeg', worker.pid);
  expect(ffmpegPid).toBeDefined();
  worker.kill('SIGKILL');
  const alive = () => {
    try {
      return process.kill(ffmpegPid as number, 0);
    } catch {
      return false;
    }
  };
  for (let i = 0; i < 50 && alive(); i++) await sleep(100);
  expect(alive()).toBe(false);
});

describe('when ffmpeg misbehaves', () => {
  /** An executable that does `script` in place of ffmpeg. */
  async function fake(script: string): Promise<string> {
    const file = join(dir.path, 'fake-ffmpeg');
    await writeFile(file, `#!/bin/sh\n${script}\n`);
    await chmod(file, 0o755);
    return file;
  }
  const first = async () => {
    for await (const _ of frames()) return;
  };

  test('one that gives nothing is killed after the time limit', async () => {
    configureFfmpeg({
      ffmpegPath: await fake('exec sleep 60'),
      ffprobePath: await fake('exec sleep 60'),
      stallMs: 500,
    });
    await expect(first()).rejects.toMatchObject({ code: 'media_timeout', retryable: true });
    await expect(probe(path)).rejects.toMatchObject({ code: 'media_timeout' });
    expect(await childProcesses('sleep')).toEqual([]);
  });

  test('one that eats the memory is killed', async () => {
    configureFfmpeg({ maxMemoryBytes: 1 });
    const taking = (async () => {
      for await (const _ of frames()) await sleep(5);
    })();
    await expect(taking).rejects.toMatchObject({ code: 'media_too_large' });
    expect(await running()).toBe(0);
  });

  test('one that is gone between a frame and its thumbnail is reported as what ended it', async () => {
    const frame = `echo "frame:0 pts:0 pts_time:0" >&3; head -c ${224 * 224 * 3} /dev/zero`;
    configureFfmpeg({ ffmpegPath: await fake(`${frame}; echo "the sky is falling" >&2; exit 3`) });
    await expect(first()).rejects.toThrow(/ended with code 3: the sky is falling/);
    configureFfmpeg({ ffmpegPath: await fake(`${frame}; exec sleep 60`), maxMemoryBytes: 1 });
    await expect(first()).rejects.toMatchObject({ code: 'media_too_large' });
    configureFfmpeg({ ffmpegPath: await fake(frame) });
    await expect(first()).rejects.toMatchObject({ code: 'ffmpeg_failed', retryable: true });
  }, 15_000);

  test('its last words are in the error', async () => {
    configureFfmpeg({ ffmpegPath: await fake('echo "the sky is falling" >&2; exit 3') });
    await expect(first()).rejects.toMatchObject({
      code: 'ffmpeg_failed',
      retryable: true,
      message: expect.stringContaining('the sky is falling'),
    });
    configureFfmpeg({ ffmpegPath: await fake('kill -SEGV $$') });
    await expect(first()).rejects.toThrow(/SIGSEGV/);
  });

  test('one that is not there is asked for', async () => {
    configureFfmpeg({ ffmpegPath: '/nowhere/ffmpeg' });
    await expect(first()).rejects.toMatchObject({
      code: 'ffmpeg_missing',
      message: expect.stringContaining('FFMPEG_PATH'),
    });
    await expect(checkFfmpeg()).rejects.toMatchObject({
      code: 'ffmpeg_missing',
      message: expect.stringContaining('apt install ffmpeg'),
    });
    configureFfmpeg({ ffmpegPath: 'ffmpeg', ffprobePath: '/nowhere/ffprobe' });
    await expect(probe(path)).rejects.toMatchObject({
      code: 'ffmpeg_missing',
      message: expect.stringContaining('FFPROBE_PATH'),
    });
  });

  test('one that is too old is refused', async () => {
    configureFfmpeg({ ffmpegPath: await fake('echo "ffmpeg version 4.3.9-0+deb11u2 Copyright (c)"') });
    await expect(checkFfmpeg()).rejects.toThrow(/4\.3\.9.* too old/);
    configureFfmpeg({ ffmpegPath: await fake('echo "ffmpeg version 4.4.2-0ubuntu0.22.04.1 Copyright (c)"') });
    expect((await checkFfmpeg()).ffmpeg).toBe('4.4.2-0ubuntu0.22.04.1');
    configureFfmpeg({ ffmpegPath: await fake('echo "ffmpeg version N-112233-gabcdef Copyright (c)"') });
    expect((await checkFfmpeg()).ffmpeg).toBe('N-112233-gabcdef');
  });

  test('the installed one is good', async () => {
    expect(await checkFfmpeg()).toEqual({
      ffmpeg: expect.stringMatching(/^\S+$/),
      ffprobe: expect.stringMatching(/^\S+$/),
    });
  });
});
