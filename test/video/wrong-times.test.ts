import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { decodeAudio, probe, sampleFrames } from '#video';
import { clockFrame, makeVideo, remux, tempDir } from '../fixtures/media.ts';

const SIZE = 48;
let dir: Awaited<ReturnType<typeof tempDir>>;
let whole: string;
const at = (name: string) => join(dir.path, name);
beforeAll(async () => {
  dir = await tempDir();
  // The sound of each second has a pitch of its own.
  const audio = "aevalsrc='0.5*sin(2*PI*(300+100*floor(t))*t)':s=48000";
  whole = await makeVideo(dir.path, { name: 'whole.mp4', seconds: 8, audio });
});
afterAll(() => dir[Symbol.asyncDispose]());

/** Numbers of the pictures, times of them, and the second that is heard in each second. */
async function indexed(path: string) {
  const media = await probe(path);
  const range = { startMs: 0, endMs: 8000 };
  const thumbnailDir = await mkdtemp(at('thumbs-'));
  const options = { ...range, media, intervalMs: 500, size: SIZE, thumbnailSize: 64, thumbnailDir };
  const seen: [picture: number, atMs: number][] = [];
  for await (const { rgb, atMs } of sampleFrames(path, options)) seen.push([clockFrame(rgb, SIZE), atMs]);
  const heard: number[] = [];
  for await (const pcm of decodeAudio(path, { ...range, chunkMs: 1000 })) {
    const second = pcm.subarray(2000, 14_000);
    const waves = second.filter((sample, i) => sample >= 0 && (second[i - 1] ?? 0) < 0).length;
    heard.push(Math.round((waves / 0.75 - 300) / 100));
  }
  return { durationMs: media.durationMs, seen, heard };
}

describe('times that leap ahead, and back again, cost no more than what has them', () => {
  test('those of a second of Matroska, in a recording without a duration', async () => {
    const live = await remux(whole, at('live.mkv'), '-live', '1', '-f', 'matroska', '-cluster_time_limit', '1000');
    const bytes = await readFile(live);
    let cluster = 0;
    for (let n = 0; n < 5; n++) cluster = bytes.indexOf(Buffer.from('1f43b675', 'hex'), cluster + 1);
    const time = bytes.indexOf(Buffer.from('e782', 'hex'), cluster) + 2;
    bytes.writeUInt16BE(bytes.readUInt16BE(time) + 50_000, time);
    await writeFile(live, bytes);
    const { durationMs, seen, heard } = await indexed(live);
    expect(Math.abs(durationMs - 8000)).toBeLessThan(60);
    expect(seen.length).toBeGreaterThanOrEqual(13);
    for (const [picture, atMs] of seen) expect(Math.abs(atMs - picture * 40)).toBeLessThan(45);
    expect(heard).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  test.each([
    ['beyond the range', 3600],
    ['within it', 3],
    ['backwards', -2],
  ])('those of one picture and one piece of sound: %s', async (_, seconds) => {
    const path = await remux(whole, at('tags.flv'));
    const bytes = await readFile(path);
    // Tags (Adobe FLV 10.1, E.4.1): type, size, time in milliseconds; the picture and the sound after the 100th of each.
    const count = new Map<number, number>();
    for (let tag = 13; tag + 11 < bytes.length; tag += 15 + bytes.readUIntBE(tag + 1, 3)) {
      const type = bytes[tag] as number;
      const n = (count.get(type) ?? 0) + 1;
      count.set(type, n);
      if (n !== 102) continue;
      const ms = bytes.readUIntBE(tag + 4, 3) + seconds * 1000;
      bytes.writeUIntBE(ms & 0xffffff, tag + 4, 3);
    }
    await writeFile(path, bytes);
    const { seen, heard } = await indexed(path);
    expect(seen.length).toBeGreaterThanOrEqual(16);
    for (const [picture, atMs] of seen) expect(Math.abs(atMs - picture * 40)).toBeLessThan(45);
    expect(heard).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  test.each([
    ['picture', 'e0'],
    ['piece of sound', 'c0'],
  ])('those of the very first %s of a transport stream, 3 hours ahead', async (_, id) => {
    const path = await remux(whole, at(`${id}.ts`));
    const bytes = await readFile(path);
    // The highest bits of presentation and decoding time (ISO 13818-1, 2.4.3.6), each 2^30 ticks of 1/90,000 s.
    const header = bytes.indexOf(Buffer.from(`000001${id}`, 'hex'));
    bytes.writeUInt8((bytes[header + 9] as number) ^ 2, header + 9);
    if ((bytes[header + 7] as number) & 0x40) bytes.writeUInt8((bytes[header + 14] as number) ^ 2, header + 14);
    await writeFile(path, bytes);
    const { durationMs, seen, heard } = await indexed(path);
    expect(Math.abs(durationMs - 8000)).toBeLessThan(60);
    expect(seen.length).toBe(16);
    for (const [picture, atMs] of seen) expect(Math.abs(atMs - picture * 40)).toBeLessThan(45);
    expect(heard.slice(0, 8)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });
});
