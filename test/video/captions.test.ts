import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findCaptionTrack, parseCaptions, probe, readCaptionTrack } from '#video';
import { ffmpeg, makeVideo, tempDir } from '../fixtures/media.ts';

const read = (text: string, durationMs?: number) => parseCaptions(Buffer.from(text), durationMs);

describe('parseCaptions', () => {
  test('reads SubRip', async () => {
    const srt =
      '1\r\n00:00:01,500 --> 00:00:03,000\r\nHello, <i>world</i>.\r\nSecond line.\r\n\r\n2\r\n00:01:00,000 --> 00:01:02,000\r\nBye.\r\n';
    expect(await read(srt)).toEqual({
      cues: [
        { startMs: 1500, endMs: 3000, text: 'Hello, world. Second line.' },
        { startMs: 60_000, endMs: 62_000, text: 'Bye.' },
      ],
      broken: 0,
    });
  });

  test('reads a million lines: what has more is no caption file of people, and costs memory', async () => {
    const cuesBehind = async (lines: number) => (await read(`${'\n'.repeat(lines)}0:01 --> 0:02\nlate\n`)).cues.length;
    expect(await cuesBehind(999_000)).toBe(1);
    expect(await cuesBehind(1_000_000)).toBe(0);
  });

  test('reads WebVTT: no hours, settings, names of cues, notes, styles, voices, references', async () => {
    const vtt =
      'WEBVTT - title\n\nSTYLE\n::cue { color: red }\n\nNOTE\nnot a cue\n\nintro\n00:01.000 --> 00:02.250 align:start line:0\n' +
      '<v Ann>Fish &amp; <c.loud>chips</c> &lt;3</v>\nit&#39;s &apos;th&#xE9;&apos; &#9999999;\n\n100:00:00.000 --> 100:00:01.000\nlate\n';
    expect((await read(vtt)).cues).toEqual([
      { startMs: 1000, endMs: 2250, text: "Fish & chips <3 it's 'thé' &#9999999;" },
      { startMs: 360_000_000, endMs: 360_001_000, text: 'late' },
    ]);
  });

  test('forgives what players forgive: old Mac line ends, no numbers, no empty lines, short fractions, text out of order', async () => {
    expect((await read('00:00:05,5 --> 00:00:06\rlater\r\r00:00:01,000 --> 00:00:02,000\rfirst')).cues).toEqual([
      { startMs: 1000, endMs: 2000, text: 'first' },
      { startMs: 5500, endMs: 6000, text: 'later' },
    ]);
    const tight = '1\n00:00:01,000 --> 00:00:02,000\none\n2\n00:00:02,000 --> 00:00:03,000\ntwo\n';
    expect((await read(tight)).cues.map(({ text }) => text)).toEqual(['one', 'two']);
  });

  test('leaves out cues whose times make no sense, and says how many', async () => {
    const srt = [
      '00:00:03,000 --> 00:00:02,000\nbackwards',
      '00:00:04,000 --> 00:00:04,000\nno length',
      '00:xx:05,000 --> 00:00:06,000\nnot a time',
      '00:00:09,000 --> 00:00:20,000\nends late',
      '00:00:30,000 --> 00:00:31,000\nafter the end',
      '00:00:01,000 --> 00:00:02,000\n\n',
    ].join('\n\n');
    expect(await read(srt, 10_000)).toEqual({ cues: [{ startMs: 9000, endMs: 10_000, text: 'ends late' }], broken: 4 });
  });

  test('makes several of a caption that nobody could read at once, cut at words, each with its share of the time', async () => {
    const cue = (text: string) => read(`00:00:10,000 --> 00:00:20,000\n${text}\n`);
    const { cues } = await cue('sixteen letters. '.repeat(100));
    expect(cues.map(({ text }) => text).join(' ')).toBe('sixteen letters. '.repeat(100).trim());
    expect(cues.map(({ text }) => text.length)).toEqual([500, 492, 492, 212]);
    expect(cues.map(({ startMs, endMs }) => [startMs, endMs])).toEqual([
      [10_000, 12_949],
      [12_949, 15_851],
      [15_851, 18_752],
      [18_752, 20_000],
    ]);
    for (const text of ['a'.repeat(50_000), '漢字'.repeat(20_000), '👩‍👩‍👧'.repeat(9000)]) {
      const pieces = (await cue(text)).cues;
      expect(pieces.map((piece) => piece.text).join('')).toBe(text);
      for (const { startMs, endMs } of pieces)
        expect(endMs > startMs && startMs >= 10_000 && endMs <= 20_000).toBe(true);
    }
  });

  test('keeps the order of time where a caption begins during a long one', async () => {
    const long = (from: number, letter: string) =>
      `00:00:0${from},000 --> 00:00:1${from},000\n${letter.repeat(1000)}\n\n`;
    expect((await read(long(0, 'a') + long(2, 'b'))).cues.map(({ startMs, text }) => [startMs, text[0]])).toEqual([
      [0, 'a'],
      [2000, 'b'],
      [5000, 'a'],
      [7000, 'b'],
    ]);
  });

  test('takes no text for a tag: a heart is none', async () => {
    const { cues } = await read('00:01.000 --> 00:02.000\nI <3 you -> me <00:01.500>and <i>you</i>\n');
    expect(cues[0]?.text).toBe('I <3 you -> me and you');
  });

  test('reads very many lines without comparing each with each', async () => {
    const lines = 'line\n'.repeat(300_000);
    const startedAt = performance.now();
    await read(`00:00:01,000 --> 00:00:02,000\n${lines}\n00:00:02,000 --> 00:00:03,000\nother\n${lines}\n`);
    expect(performance.now() - startedAt).toBeLessThan(10_000);
  });

  test.each([
    ['UTF-8 with a mark', Buffer.from('\ufeff00:01.000 --> 00:02.000\nnaïve café')],
    ['UTF-16', Buffer.from('\ufeff00:01.000 --> 00:02.000\nnaïve café', 'utf16le')],
    ['Latin-1', Buffer.from('00:01.000 --> 00:02.000\nnaïve café', 'latin1')],
  ])('reads %s', async (_, bytes) => {
    expect((await parseCaptions(bytes)).cues).toEqual([{ startMs: 1000, endMs: 2000, text: 'naïve café' }]);
  });

  test('says a line of rolling captions once', async () => {
    const rolling =
      'WEBVTT\n\n00:01.000 --> 00:02.000\nfirst line\n\n00:02.000 --> 00:02.010\nfirst line\n\n' +
      '00:02.010 --> 00:04.000\nfirst line\nsecond <00:03.000><c>line</c>\n\n00:04.000 --> 00:05.000\nsecond line\nthird line\n';
    expect((await read(rolling)).cues).toEqual([
      { startMs: 1000, endMs: 2010, text: 'first line' },
      { startMs: 2010, endMs: 4000, text: 'second line' },
      { startMs: 4000, endMs: 5000, text: 'third line' },
    ]);
  });

  test('leaves out the shapes that SubStation draws, as ffmpeg writes them down', async () => {
    const { cues } = await read(
      '00:01.000 --> 00:02.000\nm 0 0 l 100 0 100.5 -20 b 1 2 3 4 5 6\n\n00:02.000 --> 00:03.000\nm 4 4 you\n',
    );
    expect(cues).toEqual([{ startMs: 2000, endMs: 3000, text: 'm 4 4 you' }]);
  });

  test.each([
    [
      'a drone, 30 a second',
      (n: number) =>
        `<font size="28">FrameCnt: ${n}, DiffTime: 33ms\n2023-06-18 14:02:${n % 60}.${n}\n[iso: ${100 + n}] [shutter: 1/${n}00.0] ` +
        `[fnum: 1.7] [ev: ${n % 2 ? '-0.3' : '0'}] [latitude: 47.${n}] [longitude: -8.${n}] [rel_alt: 1.${n} abs_alt: 400.${n}] </font>`,
    ],
    ['an older one', (n: number) => `F/2.8, SS ${n}.14, ISO 150, EV 0, GPS (-122.${n}, 37.59, 15), D 0.${n}m, H 0.10m`],
    ['a camcorder', (n: number) => `2012-10-03 17:${n}:20`],
  ])('leaves out the readings of %s, which nobody says', async (_, textOf) => {
    const cues = Array.from(
      { length: 9 },
      (_, n) => `${n + 1}\n00:00:0${n},000 --> 00:00:0${n},900\n${textOf(n + 1)}\n`,
    );
    expect(await read(cues.join('\n'))).toEqual({ cues: [], broken: 0, readings: 9 });
  });

  test('keeps what is said of numbers', async () => {
    const said = (n: number) =>
      n % 3 ? `Lot ${n}: 1,250 against 1,300.` : `From ${n} to 10: 3 of 5 in 2022, 4 of 5 in 2023.`;
    const cues = Array.from({ length: 9 }, (_, n) => `00:0${n}.000 --> 00:0${n}.900\n${said(n)}\n`);
    expect((await read(cues.join('\n'))).cues.length).toBe(9);
  });

  test('finds nothing in what is no caption file, fast', async () => {
    expect(await read('')).toEqual({ cues: [], broken: 0 });
    expect((await read('#EXTM3U\nfile:///etc/passwd\n')).cues).toEqual([]);
    const noise = Buffer.alloc(4e6, '-->\n<<<<<<{\\{\\');
    const before = performance.now();
    expect((await parseCaptions(noise)).cues).toEqual([]);
    expect(performance.now() - before).toBeLessThan(2000);
  });
});

describe('caption tracks in a file', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let video: string;
  const any = () => false;
  beforeAll(async () => {
    dir = await tempDir();
    video = await makeVideo(dir.path, { seconds: 6 });
    await writeFile(
      join(dir.path, 'en.srt'),
      '1\n00:00:01,000 --> 00:00:02,500\nA <b>red</b> circle.\n\n2\n00:00:04,000 --> 00:00:09,000\nThe end.\n',
    );
    await writeFile(join(dir.path, 'de.srt'), '1\n00:00:01,000 --> 00:00:02,500\nEin roter Kreis.\n');
  });
  afterAll(() => dir[Symbol.asyncDispose]());

  async function mux(name: string, codec: string, ...more: string[]): Promise<string> {
    const path = join(dir.path, name);
    const inputs = ['-i', video, '-i', join(dir.path, 'en.srt'), '-i', join(dir.path, 'de.srt')];
    const maps = ['-map', '0:v', '-map', '1', '-map', '2', '-c:v', 'copy', '-c:s', codec];
    const tags = ['-metadata:s:s:0', 'language=eng', '-metadata:s:s:1', 'language=deu'];
    await ffmpeg(...inputs, ...maps, ...tags, ...more, path);
    return path;
  }

  test.each([
    ['subs.mkv', 'subrip'],
    ['subs-ass.mkv', 'ass'],
    ['subs.mp4', 'mov_text'],
  ])('%s (%s): text and times, inside the video', async (name, codec) => {
    const path = await mux(name, codec);
    const media = await probe(path);
    const track = await findCaptionTrack(path, any);
    expect(track?.language).toBe('eng');
    const { cues } = await readCaptionTrack(path, track as NonNullable<typeof track>, media);
    expect(cues).toEqual([
      { startMs: 1000, endMs: 2500, text: 'A red circle.' },
      { startMs: 4000, endMs: media.durationMs, text: 'The end.' },
    ]);
  });

  test('takes the language asked for, else the default track', async () => {
    const path = await mux('default.mkv', 'subrip', '-disposition:s:0', '0', '-disposition:s:1', 'default');
    expect((await findCaptionTrack(path, any))?.language).toMatch(/deu|ger/);
    expect((await findCaptionTrack(path, (track) => track.language === 'eng'))?.language).toBe('eng');
  });

  test('a file that starts late: times count from its start', async () => {
    const path = await mux('late.mkv', 'subrip');
    const shifted = join(dir.path, 'shifted.mkv');
    await ffmpeg('-i', path, '-map', '0', '-c', 'copy', '-output_ts_offset', '100', shifted);
    const media = await probe(shifted);
    expect(media.startMs).toBeGreaterThan(90_000);
    const track = await findCaptionTrack(shifted, any);
    const { cues } = await readCaptionTrack(shifted, track as NonNullable<typeof track>, media);
    expect(cues.map(({ startMs }) => startMs)).toEqual([1000, 4000]);
  });

  test('forced parts and files without text have none', async () => {
    const path = await mux('forced.mkv', 'subrip', '-disposition:s:0', 'forced', '-disposition:s:1', 'forced');
    expect(await findCaptionTrack(path, any)).toBeUndefined();
    expect(await findCaptionTrack(video, any)).toBeUndefined();
  });
});
