import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { decodePicture, shrinkPicture } from '#video';

/** Half red, half blue, as ffmpeg writes it. */
function picture(size: string, codec: string, format = 'image2pipe'): Buffer {
  const boxes = 'color=red:s=64x64,format=rgb24,drawbox=x=32:w=32:h=64:c=blue:t=fill';
  const graph = `${boxes},scale=${size.replace('x', ':')}:flags=neighbor`;
  const args = ['-v', 'error', '-f', 'lavfi', '-i', graph, '-frames:v', '1', '-c:v', codec, '-f', format, '-'];
  return execFileSync('ffmpeg', args, { maxBuffer: 2 ** 28 });
}

describe('A picture', () => {
  it.each([
    ['mjpeg', 'image2pipe'],
    ['png', 'image2pipe'],
    ['bmp', 'image2pipe'],
    ['gif', 'gif'],
  ])('of a %s file becomes rows of RGB', async (codec, format) => {
    const { rgb, width, height } = await decodePicture(picture('64x32', codec, format));
    expect([width, height]).toEqual([64, 32]);
    expect(rgb.length).toBe(64 * 32 * 3);
    const [r = 0, , b = 0] = rgb.subarray(3 * 8, 3 * 9);
    expect(r).toBeGreaterThan(200);
    expect(b).toBeLessThan(60);
    expect(rgb[3 * 56 + 2]).toBeGreaterThan(200);
  });

  it('is made smaller where a side is long, and keeps its shape', async () => {
    const { width, height } = await decodePicture(picture('3000x1500', 'mjpeg'));
    expect([width, height]).toEqual([1024, 512]);
  });

  it.each([
    ['480x270', 128, [128, 72]],
    ['270x480', 64, [36, 64]],
    ['64x32', 480, [64, 32]],
  ])('of %s becomes a JPEG with no side over %i', async (size, most, sides) => {
    const jpeg = await shrinkPicture(picture(size, 'mjpeg'), most);
    expect(jpeg.subarray(0, 3)).toEqual(Buffer.from([0xff, 0xd8, 0xff]));
    const { rgb, width, height } = await decodePicture(jpeg);
    expect([width, height]).toEqual(sides);
    expect([rgb[0], rgb[2]].map((part = 0) => part > 128)).toEqual([true, false]);
  });

  it('that cannot be decoded cannot be made smaller', async () => {
    await expect(shrinkPicture(picture('64x64', 'mjpeg').subarray(0, 40), 64)).rejects.toMatchObject({
      code: 'media_broken',
    });
  });

  it.each([
    ['nothing', Buffer.alloc(0), 'media_empty'],
    ['text', Buffer.from('#EXTM3U\nhttp://127.0.0.1/x'), 'media_not_recognised'],
    [
      'an SVG, which may name other files',
      Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'),
      'media_not_recognised',
    ],
    ['the beginning of a PNG', picture('64x64', 'png').subarray(0, 30), 'media_broken'],
    ['a PNG of one pixel', picture('1x1', 'png'), 'media_broken'],
    ['a line 20,000 pixels wide', picture('20000x4', 'png'), 'media_broken'],
    ['more pixels than is allowed', hugePng(), 'media_too_large'],
    [
      'JPEG bytes and then anything',
      Buffer.concat([Buffer.from([0xff, 0xd8, 0xff]), Buffer.alloc(5000, 7)]),
      'media_broken',
    ],
  ])('is refused when it is %s', async (_what, bytes, code) => {
    await expect(decodePicture(bytes)).rejects.toMatchObject({ code });
  });
});

/** A PNG whose header says 60,000 x 60,000. */
function hugePng(): Buffer {
  const png = Buffer.from(picture('64x64', 'png'));
  png.writeUInt32BE(60_000, 16);
  png.writeUInt32BE(60_000, 20);
  return png;
}
