import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { decodeAudio, type MediaErrorCode, type MediaInfo, probe, sampleFrames } from '#video';
import { codecs, ffmpeg, makeAudio, makeVideo, pointOutside, remux, tempDir, truncate } from '../fixtures/media.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
let video: string;
const at = (name: string) => join(dir.path, name);
beforeAll(async () => {
  dir = await tempDir();
  video = await makeVideo(dir.path, {
    name: 'video.mp4',
    seconds: 3,
    size: '128x96',
    audio: 'tone',
    picture: 'testsrc',
  });
});
afterAll(() => dir[Symbol.asyncDispose]());

const refusal = (path: string) =>
  probe(path).then(
    () => 'accepted',
    (error) => error.code as MediaErrorCode,
  );

describe('probe tells what a file is', () => {
  test('a video with sound', async () => {
    expect(await probe(video)).toEqual({
      container: 'mov',
      durationMs: 3000,
      startMs: 0,
      video: { stream: 0, codec: 'h264', width: 128, height: 96, fps: 25, rotation: 0 },
      audio: { codec: 'aac', channels: 1, sampleRate: 48000, language: undefined },
    });
  });

  test('a video without sound', async () => {
    const info = await probe(await makeVideo(dir.path, { name: 'mute.webm', seconds: 1, codec: codecs.vp8 }));
    expect(info).toMatchObject({ container: 'matroska', video: { codec: 'vp8' } });
    expect(info.audio).toBeUndefined();
  });

  test.each(['wav', 'mp3', 'flac', 'ogg', 'm4a', 'aac', 'mka'])('sound alone in .%s', async (ending) => {
    const info = await probe(await makeAudio(dir.path, { name: `sound.${ending}`, seconds: 3 }));
    expect(info.video).toBeUndefined();
    expect(info.audio).toMatchObject({ channels: 1, sampleRate: 48000 });
    expect(Math.abs(info.durationMs - 3000)).toBeLessThan(80);
  });

  test('a song with a cover picture is sound alone', async () => {
    const cover = at('cover.png');
    await ffmpeg('-f', 'lavfi', '-i', 'testsrc=s=64x64', '-frames:v', '1', cover);
    for (const name of ['cover.mp3', 'cover.m4a']) {
      await ffmpeg(
        '-f',
        'lavfi',
        '-i',
        'sine=d=2',
        '-i',
        cover,
        '-map',
        '0',
        '-map',
        '1',
        '-c:v',
        'copy',
        '-disposition:v',
        'attached_pic',
        at(name),
      );
      const info = await probe(at(name));
      expect(info.video).toBeUndefined();
      expect(info.audio).toBeDefined();
    }
  });

  test('when a file was recorded, where it says so and that can be true', async () => {
    const dated = async (name: string, date: string) => {
      await ffmpeg('-i', video, '-t', '0.2', '-metadata', `creation_time=${date}`, at(name));
      return (await probe(at(name))).recordedAt;
    };
    const at2023 = Date.UTC(2023, 4, 6, 7, 8, 9);
    expect(await dated('dated.mp4', '2023-05-06T09:08:09+02:00')).toBe(at2023);
    expect(await dated('dated.mkv', '2023-05-06T07:08:09Z')).toBe(at2023);
    // Of its tracks alone: the header of the whole says nothing.
    const bytes = await readFile(at('dated.mp4'));
    bytes.fill(0, bytes.indexOf('mvhd') + 8, bytes.indexOf('mvhd') + 12);
    await writeFile(at('tracks.mp4'), bytes);
    expect((await probe(at('tracks.mp4'))).recordedAt).toBe(at2023);
    for (const nonsense of ['1904-01-01T00:00:00Z', '1970-01-01T00:00:00Z', '2999-01-01T00:00:00Z'])
      expect(await dated('nonsense.mkv', nonsense)).toBeUndefined();
    expect((await probe(video)).recordedAt).toBeUndefined();
  });

  test('the language of the track that plays by default', async () => {
    const path = at('languages.mkv');
    await ffmpeg(
      ...[
        '-f',
        'lavfi',
        '-t',
        '1',
        '-i',
        'sine',
        '-f',
        'lavfi',
        '-t',
        '1',
        '-i',
        'sine',
        '-map',
        '0',
        '-map',
        '1',
        '-c:a',
        'flac',
      ],
      ...[
        '-metadata:s:a:0',
        'language=deu',
        '-metadata:s:a:1',
        'language=fra',
        '-disposition:a:0',
        '0',
        '-disposition:a:1',
        'default',
        path,
      ],
    );
    expect((await probe(path)).audio?.language).toBe('fra');
  });

  test('a recording without a duration in its header is measured', async () => {
    const live = at('live.webm');
    await ffmpeg('-f', 'lavfi', '-i', 'testsrc=s=64x64:d=4.2:r=10', ...codecs.vp8, '-f', 'webm', '-live', '1', live);
    expect((await probe(live)).durationMs).toBe(4200);
    const bare = at('bare.h264');
    await ffmpeg('-i', video, '-an', '-c', 'copy', bare);
    expect(Math.abs((await probe(bare)).durationMs - 3000)).toBeLessThan(1);
  });

  test('a file that ends long before its headers say: by what is there', async () => {
    const whole = await makeVideo(dir.path, {
      name: 'front.mp4',
      seconds: 20,
      audio: 'tone',
      picture: 'testsrc',
      output: ['-movflags', '+faststart'],
    });
    const cut = await probe(await truncate(whole, at('half.mp4'), 0.5));
    expect(cut.statedMs).toBe(20_000);
    expect(cut.durationMs).toBeGreaterThan(5000);
    expect(cut.durationMs).toBeLessThan(15_000);
    // 30 years, in the header of a file of 3 s
    const bytes = await readFile(await remux(video, at('lie.mkv')));
    bytes.writeDoubleBE(1e12, bytes.indexOf(Buffer.from([0x44, 0x89, 0x88])) + 3);
    await writeFile(at('lie.mkv'), bytes);
    const lie = await probe(at('lie.mkv'));
    expect(lie.statedMs).toBe(1e12);
    expect(Math.abs(lie.durationMs - 3000)).toBeLessThan(60);
  });

  test('a file that goes on after its stated end, as where a recorder never went back to its header', async () => {
    const bytes = await readFile(await remux(video, at('early.mkv')));
    bytes.writeDoubleBE(1000, bytes.indexOf(Buffer.from([0x44, 0x89, 0x88])) + 3);
    await writeFile(at('early.mkv'), bytes);
    expect(Math.abs((await probe(at('early.mkv'))).durationMs - 3000)).toBeLessThan(60);
  });

  test.each([0, 0.5])('an MP4 whose headers state %f of what it holds', async (share) => {
    const bytes = await readFile(await remux(video, at('wrong.mp4'), '-use_editlist', '0'));
    // Where each box has its duration (ISO 14496-12, 8.2.2, 8.3.2, 8.4.2, version 0)
    for (const [type, offset] of [
      ['mvhd', 20],
      ['tkhd', 24],
      ['mdhd', 20],
    ] as const)
      for (let box = bytes.indexOf(type); box >= 0; box = bytes.indexOf(type, box + 4))
        bytes.writeUInt32BE(Math.round(bytes.readUInt32BE(box + offset) * share), box + offset);
    await writeFile(at('wrong.mp4'), bytes);
    expect(Math.abs((await probe(at('wrong.mp4'))).durationMs - 3000)).toBeLessThan(150);
  });

  test('an MP4 whose edit list leaves out its end lasts until there', async () => {
    const bytes = await readFile(await remux(video, at('trimmed.mp4')));
    for (const [type, offset] of [
      ['mvhd', 20],
      ['tkhd', 24],
      ['elst', 12],
    ] as const)
      for (let box = bytes.indexOf(type); box >= 0; box = bytes.indexOf(type, box + 4))
        bytes.writeUInt32BE(1000, box + offset);
    await writeFile(at('trimmed.mp4'), bytes);
    expect((await probe(at('trimmed.mp4'))).durationMs).toBeCloseTo(1000, -2);
  });

  test('a Matroska file that begins late, whose header has its end', async () => {
    const info = await probe(await remux(video, at('late.mkv'), '-output_ts_offset', '1000'));
    expect(info.statedMs).toBeUndefined();
    expect(Math.abs(info.durationMs - 3000)).toBeLessThan(60);
  });

  test.each(['mkv', 'mp4'])('an .%s that begins a few seconds late, whose header has its end', async (ending) => {
    const late = at(`few.${ending}`);
    const info = await probe(await remux(video, late, '-output_ts_offset', '4', '-avoid_negative_ts', 'disabled'));
    expect(Math.round(info.startMs / 1000)).toBe(4);
    expect(Math.abs(info.durationMs - 3000)).toBeLessThan(60);
  });

  test('a file of which only the sound was cut off: when that ends', async () => {
    const whole = await makeVideo(dir.path, { name: 'both.mp4', seconds: 20, audio: 'tone' });
    expect((await probe(whole)).cutMs).toBeUndefined();
    const bytes = await readFile(whole);
    const chunks = bytes.lastIndexOf('stco') + 8; // of the sound, the second track
    const count = bytes.readUInt32BE(chunks);
    for (let n = count >> 1; n < count; n++) bytes.writeUInt32BE(bytes.length, chunks + 4 + 4 * n);
    await writeFile(at('mute.mp4'), bytes);
    const info = await probe(at('mute.mp4'));
    expect(info).toMatchObject({ durationMs: 20_000, cutMs: { audio: expect.closeTo(10_000, -3) } });
    expect(info.cutMs?.video).toBeUndefined();
  });

  test('a still picture with a long sound is whole, as Matroska says of each track', async () => {
    const still = ['-f', 'lavfi', '-i', 'testsrc=s=64x64:r=25:d=0.04'];
    await ffmpeg(...still, '-f', 'lavfi', '-i', 'sine=d=12', ...codecs.h264, '-c:a', 'aac', at('still.mkv'));
    const info = await probe(at('still.mkv'));
    expect(Math.abs(info.durationMs - 12_000)).toBeLessThan(60);
    expect(info.cutMs).toBeUndefined();
  });

  test('a display matrix of zeros turns nothing', async () => {
    const bytes = await readFile(video);
    bytes.fill(0, bytes.indexOf('tkhd') + 44, bytes.indexOf('tkhd') + 80);
    await writeFile(at('zeros.mp4'), bytes);
    expect((await probe(at('zeros.mp4'))).video).toMatchObject({ rotation: 0, width: 128, height: 96 });
  });

  test('a broadcast recording whose clock starts anywhere', async () => {
    const info = await probe(await remux(video, at('late.ts'), '-output_ts_offset', '1000'));
    expect(info.container).toBe('mpegts');
    expect(Math.round(info.startMs / 1000)).toBe(1001);
    expect(Math.abs(info.durationMs - 3000)).toBeLessThan(60);
  });
});

describe('probe refuses what cannot be indexed, and says why', () => {
  const write = async (name: string, content: string | Buffer) => {
    await writeFile(at(name), content);
    return at(name);
  };

  test('an empty file', async () => {
    for (const name of ['empty.mp4', 'empty']) expect(await refusal(await write(name, ''))).toBe('media_empty');
  });
  test('text, whatever it is called', async () => {
    for (const ending of ['mp4', 'mkv', 'mp3', 'ts', 'aac', 'h264', 'txt', 'srt'])
      expect(await refusal(await write(`text.${ending}`, 'It was a dark and stormy night.\n'.repeat(500)))).toBe(
        'media_not_recognised',
      );
  });
  test('random bytes, whatever they are called', async () => {
    const bytes = Buffer.from(Array.from({ length: 40_000 }, (_, i) => (i * i * 31 + (i >> 3) * 7) & 0xff));
    for (const ending of ['mp4', 'mkv', 'bin', 'wav', 'aac', 'flac'])
      expect(await refusal(await write(`random.${ending}`, bytes))).toBe('media_not_recognised');
  });
  test('pictures', async () => {
    for (const ending of ['png', 'jpg', 'gif']) {
      await ffmpeg('-f', 'lavfi', '-i', 'testsrc=s=64x64', '-frames:v', '1', at(`still.${ending}`));
      expect(await refusal(at(`still.${ending}`))).toBe('media_not_recognised');
      expect(await refusal(await write(`still-${ending}.mp4`, await readFile(at(`still.${ending}`))))).toBe(
        'media_not_recognised',
      );
    }
  });
  test('photos and animations, with what can be done', async () => {
    const box = (brand: string) => Buffer.from(`\0\0\0\x18ftyp${brand}\0\0\0\0mif1${brand}`, 'latin1');
    for (const [name, head] of [
      ['photo.heic', box('heic')],
      ['photo.avif', box('avif')],
      ['moving.webp', Buffer.from('RIFF\x24\0\0\0WEBPVP8X\x0a\0\0\0', 'latin1')],
    ] as const)
      await expect(probe(await write(name, Buffer.concat([head, Buffer.alloc(5000)])))).rejects.toMatchObject({
        code: 'media_not_recognised',
        message: expect.stringMatching(/is a picture.*ffmpeg -i/),
      });
  });
  test('folders, devices and files that are not there', async () => {
    await mkdir(at('folder.mp4'));
    expect(await refusal(at('folder.mp4'))).toBe('media_not_recognised');
    expect(await refusal('/dev/zero')).toBe('media_not_recognised');
    expect(await refusal(at('nowhere.mp4'))).toBe('ffmpeg_failed');
  });
  test('a file cut off before its index', async () => {
    expect(await refusal(await truncate(video, at('cut.mp4'), 0.6))).toBe('media_broken');
    await expect(probe(at('cut.mp4'))).rejects.toThrow(/damaged.*cut off/);
  });
  test('a file with neither picture nor sound', async () => {
    await write('subtitles.srt', '1\n00:00:01,000 --> 00:00:02,000\nhi\n');
    await ffmpeg('-i', at('subtitles.srt'), at('subtitles.mkv'));
    expect(await refusal(at('subtitles.mkv'))).toBe('media_no_streams');
  });
  test('a file of no duration', async () => {
    await ffmpeg('-f', 'lavfi', '-i', 'sine', '-t', '0', '-c:a', 'pcm_s16le', at('zero.wav'));
    expect(await refusal(at('zero.wav'))).toBe('media_zero_duration');
  });
  test('timestamps of years, which would be cut into more parts than a queue holds', async () => {
    const path = await makeVideo(dir.path, { name: 'jump.mkv', seconds: 0.2, setpts: 'if(lt(N,3),N*3600,1e9*90000)' });
    expect(await refusal(path)).toBe('media_too_long');
  });
  test('an encrypted file', async () => {
    const key = [
      '-encryption_key',
      '76a6c65c5ea762046bd749a2e632ccbb',
      '-encryption_kid',
      'a7e61c373e219033c21091fa607bf3b8',
    ];
    await remux(video, at('encrypted.mp4'), '-encryption_scheme', 'cenc-aes-ctr', ...key);
    expect(await refusal(at('encrypted.mp4'))).toBe('media_encrypted');
  });
  test('a picture larger than memory should hold', async () => {
    const path = await makeVideo(dir.path, {
      name: 'large.mkv',
      seconds: 0.1,
      size: '8400x4400',
      fps: '10',
      picture: 'color=black',
      pixelFormat: 'gray',
      codec: codecs.lossless,
    });
    expect(await refusal(path)).toBe('media_too_large');
  });
  test('final errors are not to be tried again', async () => {
    await expect(probe(at('empty.mp4'))).rejects.toMatchObject({ name: 'MediaError', retryable: false });
    await expect(probe(at('nowhere.mp4'))).rejects.toMatchObject({ retryable: true });
  });
});

describe('a file cannot make ffmpeg open anything else', () => {
  const asVideo = (container: string): MediaInfo => ({
    container,
    durationMs: 3000,
    startMs: 0,
    video: { codec: 'h264', width: 128, height: 96, fps: 25, rotation: 0 },
    audio: { codec: 'aac', channels: 1, sampleRate: 48000 },
  });
  /** What the decoders get out of a file, even when it is not probed first. */
  async function decoded(path: string) {
    const options = {
      media: asVideo('mov'),
      startMs: 0,
      endMs: 3000,
      intervalMs: 500,
      size: 32,
      thumbnailDir: dir.path,
      thumbnailSize: 64,
    };
    let got = 0;
    try {
      for await (const _ of sampleFrames(path, options)) got++;
    } catch {}
    try {
      for await (const pcm of decodeAudio(path, { startMs: 0, endMs: 3000 })) got += pcm.length;
    } catch {}
    return got;
  }

  test('the decoders do read the target itself', async () => {
    expect(await decoded(video)).toBe(6 + 48_000);
  });

  test('through playlists and scripts', async () => {
    const ts = await remux(video, at('target.ts'));
    const scripts = {
      'hls.mp4': `#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n${ts}\n#EXT-X-ENDLIST\n`,
      'hls-file.m3u8': `#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile://${ts}\n#EXT-X-ENDLIST\n`,
      'concat.mp4': `ffconcat version 1.0\nfile ${ts}\n`,
      'concat.ffconcat': `ffconcat version 1.0\nfile '${ts}'\n`,
      'dash.mpd': `<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT3S"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>${video}</BaseURL></Representation></AdaptationSet></Period></MPD>`,
      'movie.sdp':
        'v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n',
    };
    for (const [name, script] of Object.entries(scripts)) {
      await writeFile(at(name), script);
      expect(await refusal(at(name)), name).toBe('media_not_recognised');
      expect(await decoded(at(name)), name).toBe(0);
      // the same with bytes that are no text, so that the demuxer list has to refuse it
      await writeFile(at(name), Buffer.concat([Buffer.from(script), Buffer.alloc(200, 1)]));
      expect(await refusal(at(name)), name).toBe('media_not_recognised');
    }
  });

  test('through addresses: no connection is made', async () => {
    let connections = 0;
    const server = createServer((socket) => {
      connections++;
      socket.destroy();
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const { port } = server.address() as { port: number };
    for (const [name, text] of [
      [
        'net.mp4',
        `#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:${port}/a.ts\n#EXT-X-ENDLIST\n\u0001`,
      ],
      ['net.ffconcat', `ffconcat version 1.0\nfile http://127.0.0.1:${port}/a.ts\n\u0001`],
      [
        'net.sdp',
        `v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\na=control:rtsp://127.0.0.1:${port}/\u0001`,
      ],
    ] as const) {
      await writeFile(at(name), text);
      expect(await refusal(at(name))).toBe('media_not_recognised');
      expect(await decoded(at(name))).toBe(0);
    }
    for (const path of [
      `http://127.0.0.1:${port}/a.mp4`,
      `tcp://127.0.0.1:${port}`,
      `file:${video}`,
      `concat:${video}|${video}`,
    ]) {
      expect(await refusal(path)).toBe('ffmpeg_failed');
      expect(await decoded(path)).toBe(0);
    }
    expect(connections).toBe(0);
    server.close();
  });

  test('through a QuickTime data reference', async () => {
    const raw = at('target.mov');
    await ffmpeg('-f', 'lavfi', '-i', 'color=white:s=64x64:d=2:r=5', '-c:v', 'rawvideo', '-pix_fmt', 'rgb24', raw);
    await ffmpeg(
      '-f',
      'lavfi',
      '-i',
      'color=black:s=64x64:d=2:r=5',
      '-c:v',
      'rawvideo',
      '-pix_fmt',
      'rgb24',
      at('own.mov'),
    );
    const path = await pointOutside(at('own.mov'), at('outside.mov'), raw);
    const media = { ...asVideo('mov'), durationMs: 2000, audio: undefined };
    const options = {
      media,
      startMs: 0,
      endMs: 2000,
      intervalMs: 500,
      size: 32,
      thumbnailDir: dir.path,
      thumbnailSize: 64,
    };
    // Told to, ffmpeg follows the reference: the file is the attack it should be.
    await ffmpeg(
      '-enable_drefs',
      '1',
      '-use_absolute_path',
      '1',
      '-i',
      path,
      '-frames:v',
      '1',
      '-pix_fmt',
      'rgb24',
      '-f',
      'rawvideo',
      at('stolen.rgb'),
    );
    expect((await readFile(at('stolen.rgb')))[0]).toBe(255);
    for await (const frame of sampleFrames(path, options)) expect(frame.rgb[0]).toBe(0);
  });

  test('a link is followed to a plain file, which is what the caller gave', async () => {
    await symlink(video, at('link.mp4'));
    expect((await probe(at('link.mp4'))).durationMs).toBe(3000);
  });
});
