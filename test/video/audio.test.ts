import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { decodeAudio, probe, quietestCut, SAMPLE_RATE } from '#video';
import { codecs, ffmpeg, makeAudio, makeVideo, remux, tempDir } from '../fixtures/media.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
beforeAll(async () => {
  dir = await tempDir();
});
afterAll(() => dir[Symbol.asyncDispose]());

/** A tone whose pitch rises with time, so that a shift of one sample shows. */
const SWEEP = "aevalsrc='0.5*sin(2*PI*(200+40*t)*t)':s=44100";

async function decode(path: string, startMs: number, endMs: number, chunkMs?: number): Promise<Float32Array> {
  const parts: Float32Array[] = [];
  for await (const part of decodeAudio(path, { startMs, endMs, chunkMs })) parts.push(part);
  const whole = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
const largest = (pcm: Float32Array) => pcm.reduce((max, x) => Math.max(max, Math.abs(x)), 0);
const difference = (a: Float32Array, b: Float32Array) => largest(a.map((x, i) => x - (b[i] as number)));

describe('decodeAudio', () => {
  test('gives 16 samples a millisecond, in pieces that may be handed to another thread', async () => {
    const path = await makeAudio(dir.path, { name: 'tone.wav', seconds: 5 });
    const parts: Float32Array[] = [];
    for await (const part of decodeAudio(path, { startMs: 500, endMs: 4700, chunkMs: 1000 })) parts.push(part);
    expect(parts.map((part) => part.length)).toEqual([16_000, 16_000, 16_000, 16_000, 3200]);
    expect(new Set(parts.map((part) => part.buffer)).size).toBe(5);
    for (const part of parts) expect(part.buffer.byteLength).toBe(part.byteLength);
    // lavfi's sine has an amplitude of 1/8
    expect(largest(parts[2] as Float32Array)).toBeCloseTo(0.125, 2);
  });

  test.each([
    ['sweep.wav', [], 1e-5],
    ['sweep.flac', [], 1e-5],
    ['sweep.m4a', ['-c:a', 'aac', '-b:a', '192k'], 1e-4],
    ['sweep.mp3', ['-b:a', '192k'], 1e-4],
    ['sweep.opus', ['-b:a', '128k'], 1e-3],
    // The clock of MPEG-TS is coarser than a sample: a shard may be off by one of 44100 a second.
    ['sweep.ts', ['-c:a', 'aac', '-b:a', '192k'], 0.1],
  ])('a shard of %s has the samples of an uncut run', async (name, output, tolerance) => {
    const path = await makeAudio(dir.path, { name, seconds: 9, source: SWEEP, output });
    const whole = await decode(path, 0, 9000);
    expect(Math.abs(whole.length - 9 * SAMPLE_RATE)).toBeLessThan(0.05 * SAMPLE_RATE);
    expect(largest(whole)).toBeGreaterThan(0.45);
    for (const [startMs, endMs] of [
      [0, 3000],
      [3000, 6321],
    ] as const) {
      const part = await decode(path, startMs, endMs);
      expect(part.length).toBe((endMs - startMs) * 16);
      expect(difference(part, whole.subarray(startMs * 16, endMs * 16))).toBeLessThan(tolerance);
    }
  });

  test('a shard of a file whose clock has milliseconds (Matroska) is off by half of one at most', async () => {
    const path = await makeAudio(dir.path, {
      name: 'sweep.mka',
      seconds: 9,
      source: SWEEP,
      output: ['-c:a', 'aac', '-b:a', '192k'],
    });
    const whole = await decode(path, 0, 9000);
    for (const startMs of [3000, 6210]) {
      const part = await decode(path, startMs, startMs + 2000);
      const offBy = (samples: number) =>
        difference(part, whole.subarray(startMs * 16 + samples, (startMs + 2000) * 16 + samples));
      expect(Math.min(...Array.from({ length: 17 }, (_, i) => offBy(i - 8)))).toBeLessThan(0.12);
    }
  });

  test('sound that starts later than the picture stays where it is heard', async () => {
    const picture = await makeVideo(dir.path, { name: 'picture.mp4', seconds: 6, picture: 'testsrc' });
    const sound = await makeAudio(dir.path, { name: 'sound.wav', seconds: 3 });
    for (const name of ['late.mp4', 'late.mkv', 'late.ts']) {
      const path = join(dir.path, name);
      await ffmpeg(
        '-i',
        picture,
        '-itsoffset',
        '2.5',
        '-i',
        sound,
        '-map',
        '0:v',
        '-map',
        '1:a',
        '-c:v',
        'copy',
        '-c:a',
        'aac',
        path,
      );
      const pcm = await decode(path, 0, 6000);
      const first = pcm.findIndex((x) => Math.abs(x) > 0.02) / 16;
      expect(Math.abs(first - 2500), name).toBeLessThan(30);
      const later = await decode(path, 2000, 4000);
      expect(Math.abs(later.findIndex((x) => Math.abs(x) > 0.02) / 16 - 500), name).toBeLessThan(30);
    }
  });

  test('a pause of the track is silence', async () => {
    const path = join(dir.path, 'pause.mkv');
    await ffmpeg(
      ...[
        '-f',
        'lavfi',
        '-i',
        'sine=d=6',
        '-f',
        'lavfi',
        '-t',
        '6',
        '-i',
        'testsrc=s=64x64',
        '-af',
        "aselect='not(between(t,2,4))'",
      ],
      ...['-c:a', 'flac', ...codecs.vp8, path],
    );
    const pcm = await decode(path, 0, 6000);
    expect(largest(pcm.subarray(0, 1900 * 16))).toBeGreaterThan(0.1);
    expect(largest(pcm.subarray(2200 * 16, 3800 * 16))).toBe(0);
    expect(largest(pcm.subarray(4200 * 16, 5800 * 16))).toBeGreaterThan(0.1);
  });

  test('surround sound is mixed down without clipping', async () => {
    const source =
      "aevalsrc='0.9*sin(880*t)|0.9*sin(880*t)|0.9*sin(880*t)|0|0.9*sin(880*t)|0.9*sin(880*t)':c=5.1:s=48000";
    const path = await makeAudio(dir.path, { name: 'surround.flac', seconds: 2, source });
    const peak = largest(await decode(path, 0, 2000));
    expect(peak).toBeGreaterThan(0.8);
    expect(peak).toBeLessThan(0.95);
  });

  test.each([
    ['5.1', 6],
    ['7.1', 8],
  ])(
    'the centre of %s sound, where people speak, stays loud, and the bass channel does not drown it',
    async (layout, channels) => {
      const only = async (channel: number) => {
        const source = Array.from({ length: channels }, (_, i) => (i === channel ? '0.9*sin(2*PI*440*t)' : '0')).join(
          '|',
        );
        const path = await makeAudio(dir.path, {
          name: `${layout}-${channel}.flac`,
          seconds: 1,
          source: `aevalsrc='${source}':c=${layout}:s=48000`,
        });
        return largest((await decode(path, 0, 1000)).subarray(1600));
      };
      const [left, centre, bass] = [await only(0), await only(2), await only(3)];
      expect(centre).toBeGreaterThan(0.15);
      expect(centre).toBeGreaterThan(left);
      expect(bass).toBeLessThan(0.01);
    },
  );

  test('samples out of range and not-a-numbers are put right', async () => {
    const source = "aevalsrc='if(gt(mod(t,0.2),0.1),3,if(gt(mod(t,0.2),0.05),-3,0/0))':s=16000";
    const path = await makeAudio(dir.path, { name: 'wild.wav', seconds: 1, source, output: ['-c:a', 'pcm_f32le'] });
    const pcm = await decode(path, 0, 1000);
    expect(pcm.length).toBe(16_000);
    expect(pcm.every((x) => x >= -1 && x <= 1)).toBe(true);
    expect(largest(pcm)).toBe(1);
  });

  test('a video without sound gives nothing, and a range beyond the end too', async () => {
    const mute = await makeVideo(dir.path, { name: 'mute.mp4', seconds: 1 });
    expect((await decode(mute, 0, 1000)).length).toBe(0);
    const short = await makeAudio(dir.path, { name: 'short.mp3', seconds: 2 });
    expect((await decode(short, 60_000, 61_000)).length).toBe(0);
  });

  test('a broadcast recording counts from its first packet', async () => {
    const path = join(dir.path, 'late-clock.ts');
    const plain = await makeAudio(dir.path, {
      name: 'sweep2.ts',
      seconds: 6,
      source: SWEEP,
      output: ['-c:a', 'aac', '-b:a', '192k'],
    });
    await remux(plain, path, '-output_ts_offset', '5000');
    expect((await probe(path)).startMs).toBeGreaterThan(5_000_000);
    expect(difference(await decode(path, 3000, 5000), await decode(plain, 3000, 5000))).toBeLessThan(0.01);
  });

  test('sound that is longer or shorter than the picture is heard to its own end', async () => {
    const picture = await makeVideo(dir.path, { name: 'p3.mp4', seconds: 3, picture: 'testsrc' });
    for (const [name, seconds] of [
      ['longer.mp4', 5],
      ['shorter.mkv', 1.5],
    ] as const) {
      const path = join(dir.path, name);
      const sound = await makeAudio(dir.path, { name: `${name}.wav`, seconds });
      await ffmpeg('-i', picture, '-i', sound, '-map', '0:v', '-map', '1:a', '-c:v', 'copy', '-c:a', 'aac', path);
      const { durationMs } = await probe(path);
      expect(Math.abs(durationMs - 1000 * Math.max(3, seconds)), name).toBeLessThan(60);
      const pcm = await decode(path, 0, durationMs);
      expect(Math.abs(pcm.findLastIndex((x) => Math.abs(x) > 0.02) / 16 - seconds * 1000), name).toBeLessThan(60);
    }
  });

  describe('of several tracks', () => {
    /** 300, 600, 900 Hz … */
    const pitch = (pcm: Float32Array) => {
      const heard = pcm.subarray(8000, 24_000);
      return heard.reduce((count, x, i) => count + (i > 0 && x >= 0 && (heard[i - 1] as number) < 0 ? 1 : 0), 0);
    };
    async function tracks(
      name: string,
      ...dispositions: { language?: string; disposition?: string; channels?: number }[]
    ) {
      const path = join(dir.path, name);
      await ffmpeg(
        ...dispositions.flatMap((_, i) => ['-f', 'lavfi', '-i', `sine=f=${300 * (i + 1)}:d=2:r=48000`]),
        ...dispositions.flatMap(({ language, disposition, channels }, i) => [
          ...['-map', `${i}`, `-disposition:a:${i}`, disposition ?? '0', `-ac:a:${i}`, `${channels ?? 1}`],
          ...(language ? [`-metadata:s:a:${i}`, `language=${language}`] : []),
        ]),
        ...['-c:a', 'aac', path],
      );
      return path;
    }
    const heard = async (path: string, language?: string) => {
      const parts: Float32Array[] = [];
      for await (const part of decodeAudio(path, { startMs: 0, endMs: 2000, language })) parts.push(part);
      return Math.round(pitch(parts[0] as Float32Array) / 300);
    };

    test('the one in the language asked for is heard, however it is written; else the default one', async () => {
      for (const ending of ['mkv', 'mp4', 'ts']) {
        const path = await tracks(
          `tracks.${ending}`,
          { language: 'eng' },
          { language: 'ger', disposition: 'default' },
          { language: 'fra' },
          { language: 'nob' },
        );
        const byLanguage = { de: 2, deu: 2, ger: 2, en: 1, fr: 3, fre: 3, no: 4, ja: ending === 'ts' ? 1 : 2 };
        for (const [language, track] of Object.entries(byLanguage))
          expect(await heard(path, language), `${ending} ${language}`).toBe(track);
        expect((await probe(path, { language: 'fr' })).audio?.language).toBe('fra');
      }
    });

    test('of two channels in one broadcast recording, the one whose picture is shown', async () => {
      const path = join(dir.path, 'channels.ts');
      const channel = (size: string, pitch: number) => [
        ...['-f', 'lavfi', '-i', `color=red:s=${size}:d=2`, '-f', 'lavfi', '-i', `sine=f=${pitch}:d=2:r=48000`],
      ];
      await ffmpeg(
        ...[...channel('96x96', 300), ...channel('192x96', 600), ...[0, 1, 2, 3].flatMap((i) => ['-map', `${i}`])],
        ...['-program', 'program_num=1:st=0:st=1', '-program', 'program_num=2:st=2:st=3'],
        ...['-metadata:s:a:0', 'language=eng', '-c:v', 'mpeg2video', '-c:a', 'mp2', path],
      );
      expect((await probe(path)).video?.width).toBe(192);
      expect(await heard(path)).toBe(2);
      expect(await heard(path, 'en')).toBe(2);
    });

    test('a commentary is heard only where there is nothing else, and more channels win', async () => {
      const path = await tracks(
        'extras.mkv',
        { disposition: 'comment', channels: 2 },
        {},
        { channels: 2 },
        { disposition: 'visual_impaired' },
      );
      expect(await heard(path)).toBe(3);
      expect(await heard(await tracks('talk.mkv', { disposition: 'comment' }))).toBe(1);
    });
  });

  test('a track that ffmpeg cannot decode (MPEG-H) gives way to one that it can', async () => {
    const path = join(dir.path, 'mpegh.mov');
    const sources = ['-f', 'lavfi', '-i', 'sine=f=300:d=2:r=48000', '-f', 'lavfi', '-i', 'sine=f=600:d=2:r=48000'];
    await ffmpeg(...sources, '-map', '0', '-map', '1', '-ac:0', '6', '-c:a:0', 'pcm_s16le', '-c:a:1', 'aac', path);
    const bytes = await readFile(path);
    bytes.write('mhm1', bytes.indexOf('sowt'), 'latin1');
    await writeFile(path, bytes);
    expect((await probe(path)).audio?.codec).toBe('aac');
    expect(largest(await decode(path, 0, 1000))).toBeGreaterThan(0.05);
  });

  describe('of odd files', () => {
    /** Where a tone of 0.3 s begins, in milliseconds. */
    const onsets = (pcm: Float32Array, startMs = 0) => {
      const found: number[] = [];
      let quiet = SAMPLE_RATE;
      for (let i = 0; i < pcm.length; i++) {
        if (Math.abs(pcm[i] as number) < 0.05) quiet++;
        else {
          if (quiet >= SAMPLE_RATE / 2) found.push(startMs + i / 16);
          quiet = 0;
        }
      }
      return found;
    };
    /** It sounds for 0.3 s each `everySec`. */
    const beeps = (everySec: number) => `0.5*sin(2*PI*440*t)*lt(mod(t,${everySec}),0.3)`;
    const near = (found: number[], wanted: number[], withinMs: number) => {
      expect(found.map(Math.round)).toHaveLength(wanted.length);
      for (const [i, at] of wanted.entries()) expect(Math.abs((found[i] as number) - at)).toBeLessThan(withinMs);
    };

    test.each([
      ['mp3', 44_100, ['-b:a', '64k']],
      ['ts', 44_100, ['-c:a', 'aac']],
      ['aac', 48_000, ['-c:a', 'aac']],
    ])('times stay true where the format changes midway (%s)', async (ending, rate, output) => {
      const parts: Buffer[] = [];
      for (const [i, format] of [`c=mono:s=${rate}`, 'c=stereo:s=48000'].entries()) {
        const source = `aevalsrc='${i ? `${beeps(4)}|${beeps(4)}` : beeps(4)}':${format}`;
        const options = ending === 'ts' ? [...output, '-output_ts_offset', `${12 * i}`] : output;
        parts.push(
          await readFile(
            await makeAudio(dir.path, { name: `part${i}.${ending}`, seconds: 12, source, output: options }),
          ),
        );
      }
      const path = join(dir.path, `joined.${ending}`);
      await writeFile(path, Buffer.concat(parts));
      const pcm = await decode(path, 0, 60_000);
      expect(Math.abs(pcm.length / 16 - 24_000)).toBeLessThan(150);
      near(onsets(pcm), [0, 4000, 8000, 12_000, 16_000, 20_000], 120);
      // over the change, and after it
      for (const startMs of [6000, 14_000]) {
        const part = await decode(path, startMs, startMs + 8000);
        expect(part.length).toBe(8000 * 16);
        near(
          onsets(part, startMs),
          [8000, 12_000, 16_000, 20_000].filter((at) => at > startMs && at < startMs + 8000),
          120,
        );
      }
    });

    test('surround sound that starts late, and pauses, by minutes is heard in its place', async () => {
      for (const [name, layout, channels, rate, output] of [
        ['late51.mp4', '5.1', 6, 48_000, ['-c:a', 'aac']],
        ['late71.mkv', '7.1', 8, 96_000, ['-c:a', 'flac']],
      ] as const) {
        const path = join(dir.path, name);
        const sound = `aevalsrc='${Array.from({ length: channels }, () => beeps(4)).join('|')}':c=${layout}:s=${rate}:d=8`;
        await ffmpeg(
          ...['-f', 'lavfi', '-i', 'color=s=16x16:r=1:d=704', '-f', 'lavfi', '-i', sound],
          ...['-af', "asetpts='PTS+(400+gte(T,2)*296)/TB'", ...codecs.h264, ...output, path],
        );
        const pcm = await decode(path, 0, 704_000);
        near(onsets(pcm), [400_000, 700_000], 60);
        near(onsets(await decode(path, 690_000, 704_000), 690_000), [700_000], 60);
      }
    });

    test('a pause of an hour is silence in pieces', async () => {
      const path = await makeAudio(dir.path, {
        name: 'hour.mka',
        seconds: 8,
        source: `aevalsrc='${beeps(4)}':s=16000`,
        output: ['-af', "asetpts='PTS+gte(T,2)*3596/TB'", '-c:a', 'flac'],
      });
      const lengths: number[] = [];
      const loud: number[] = [];
      for await (const piece of decodeAudio(path, { startMs: 0, endMs: 3_700_000, chunkMs: 10_000 })) {
        if (piece.some((x) => x !== 0)) loud.push(lengths.length);
        lengths.push(piece.length);
      }
      expect(loud).toEqual([0, 360]);
      expect(new Set(lengths.slice(0, 360))).toEqual(new Set([160_000]));
    });

    test('compressed sound in a WAV file whose header states a wrong rate of bytes', async () => {
      const source = `aevalsrc='${beeps(7)}':s=44100`;
      const path = await makeAudio(dir.path, {
        name: 'adpcm.wav',
        seconds: 60,
        source,
        output: ['-c:a', 'adpcm_ima_wav'],
      });
      near(onsets(await decode(path, 30_000, 50_000), 30_000), [35_000, 42_000, 49_000], 5);
    });

    test('channels that ffmpeg knows no way to mix', async () => {
      const path = await makeAudio(dir.path, {
        name: 'mask.wav',
        seconds: 5,
        source: `aevalsrc='0|0|${beeps(2)}':c=FL+FR+SL:s=48000`,
        output: ['-c:a', 'pcm_s16le'],
      });
      const pcm = await decode(path, 0, 5000);
      expect(pcm.length).toBe(5 * SAMPLE_RATE);
      expect(largest(pcm)).toBeCloseTo(0.5 / 3, 2);
      near(onsets(await decode(path, 3000, 5000), 3000), [4000], 5);
    });

    test.each([
      ['65 channels', 22, 65],
      ['one sample a second', 24, 1],
      ['two thousand million samples a second', 24, 0x7fffffff],
    ])('%s cannot be: refused for good, in words', async (_, at, value) => {
      const path = await makeAudio(dir.path, { name: 'header.wav', seconds: 1, output: ['-c:a', 'pcm_s16le'] });
      const bytes = await readFile(path);
      bytes.writeUIntLE(value, at, at === 22 ? 2 : 4);
      await writeFile(path, bytes);
      const message = expect.stringMatching(/^The sound cannot be what its header says/);
      const refusal = { code: 'media_broken', retryable: false, message };
      await expect(decode(path, 0, 1000)).rejects.toMatchObject(refusal);
      await expect(probe(path)).rejects.toMatchObject(refusal); // there is no picture
    });

    test('a file of one sample has one', async () => {
      for (const [name, output] of [
        ['one.wav', []],
        ['one.flac', []],
        ['one.m4a', ['-c:a', 'aac']],
        ['one.mp3', []],
      ] as const) {
        const path = await makeAudio(dir.path, { name, output: [...output, '-af', 'atrim=end_sample=1'] });
        const { durationMs } = await probe(path);
        expect((await decode(path, 0, durationMs)).length, name).toBeGreaterThan(0);
      }
    });
  });

  const jfk = new URL('../../../shared/media/jfk.flac', import.meta.url).pathname;
  test('real speech', async ({ skip }) => {
    if (!existsSync(jfk)) {
      console.log(`skipped: ${jfk} is not here`);
      skip();
    }
    const pcm = await decode(jfk, 0, 11_000);
    expect(pcm.length).toBe(176_000);
    expect(largest(pcm)).toBeGreaterThan(0.3);
    // "my fellow Americans" <pause> "ask not": the longest pause is at about 2.5 s or 4.8 s
    const cut = 4000 + quietestCut(pcm.subarray(4000 * 16, 6000 * 16));
    expect(largest(pcm.subarray((cut - 100) * 16, (cut + 100) * 16))).toBeLessThan(0.05);
  });
});

describe('quietestCut', () => {
  const noise = (ms: number, seed = 1) => {
    let state = seed;
    return Float32Array.from({ length: ms * 16 }, () => {
      state = (state * 1103515245 + 12345) % 2 ** 31;
      return state / 2 ** 30 - 1;
    });
  };

  test('is in the middle of the pause', () => {
    const pcm = noise(10_000);
    pcm.fill(0, 3000 * 16, 3200 * 16);
    expect(quietestCut(pcm)).toBe(3100);
  });
  test('prefers a quiet pause to a less quiet one', () => {
    const pcm = noise(10_000).map((x, i) =>
      i >= 8000 * 16 && i < 8300 * 16 ? x * 0.1 : i >= 2000 * 16 && i < 2300 * 16 ? x * 0.01 : x,
    );
    expect(Math.abs(quietestCut(pcm) - 2150)).toBeLessThanOrEqual(50);
  });
  test('takes the place nearest the middle where all is silent, or hissing of the last bit', () => {
    expect(quietestCut(new Float32Array(10_000 * 16))).toBe(5000);
    expect(quietestCut(noise(10_000).map((x) => x / 40_000))).toBe(5000);
  });
  test('is the same for two shards that look at the same sound', () => {
    expect(quietestCut(noise(4000))).toBe(quietestCut(noise(4000)));
  });
  test('takes the middle of what is shorter than the window', () => {
    expect(quietestCut(new Float32Array(100 * 16))).toBe(50);
    expect(quietestCut(new Float32Array(0))).toBe(0);
  });
});
