import { open } from 'node:fs/promises';
import type { MediaInfo } from './probe.ts';

/** Broadcast formats: written to be joined and cut anywhere, so that a file may hold several recordings, each with times of its own. */
const CLOCKS: Record<string, ReadClock> = { mpegts: transportClock, mpeg: programClock };
/** Ticks (1/90,000 s) of a programme's clock in file order, modulo 2^33. */
type ReadClock = (bytes: Buffer) => Iterable<{ programme: number; ticks: number }>;

/** The clock is read in this many places, evenly spread: smaller files are read whole, of larger ones up to 128 MB. */
const PLACES = 256;
/** Holds several references: they are at most 0.1 s apart in a transport stream (ISO 13818-1, 2.7.2), 0.7 s in a program stream (2.7.1). */
const PLACE_BYTES = 2 ** 19;
const SECOND = 90_000;
const TURN = 2 ** 33;
/** After so long (26.5 hours) the clock of a broadcast format begins anew. */
export const TURN_SEC = TURN / SECOND;

/**
 * Whether a recording's clock goes back by more than a second, as it does where files were joined end to end: times are then not unique, and what
 * comes later in the file with a time that has passed is not found by it. A part shorter than a 256th of a large file may be missed.
 */
export async function clockGoesBack(path: string, { container }: MediaInfo, signal?: AbortSignal): Promise<boolean> {
  const read = CLOCKS[container];
  if (!read) return false;
  const latest = new Map<number, number>();
  for await (const bytes of places(path, signal)) {
    const before = new Map<number, number>();
    for (const { programme, ticks } of read(bytes)) {
      // Rubbish may look like a reference: one counts when another of the same place follows from it.
      const previous = before.get(programme);
      before.set(programme, ticks);
      if (previous === undefined || Math.abs(later(ticks, previous)) > SECOND) continue;
      if (later(ticks, latest.get(programme) ?? ticks) < -SECOND) return true;
      latest.set(programme, ticks);
    }
  }
  return false;
}

/** What stands in each of `PLACES` of a file; the next overwrites it. */
export async function* places(path: string, signal?: AbortSignal): AsyncGenerator<Buffer> {
  await using file = await open(path);
  const { size } = await file.stat();
  const buffer = Buffer.alloc(PLACE_BYTES);
  const stepBytes = Math.max(PLACE_BYTES, (size - PLACE_BYTES) / (PLACES - 1));
  for (let at = 0; at < size; at += stepBytes) {
    signal?.throwIfAborted();
    const { bytesRead } = await file.read(buffer, 0, PLACE_BYTES, Math.floor(at));
    yield buffer.subarray(0, bytesRead);
  }
}

/** How much later than `b` is `a`? The clock turns over every 26.5 hours. */
function later(a: number, b: number): number {
  const ticks = (a - b + TURN) % TURN;
  return ticks < TURN / 2 ? ticks : ticks - TURN;
}

/** Program clock references of a transport stream (ISO 13818-1, 2.4.3.4), by packet identifier. */
function* transportClock(bytes: Buffer): ReturnType<ReadClock> {
  for (const { pid, packet } of transportPackets(bytes)) {
    const hasReference = (packet[3] as number) & 0x20 && (packet[4] as number) >= 7 && (packet[5] as number) & 0x10;
    if (!hasReference) continue;
    yield { programme: pid, ticks: packet.readUInt32BE(6) * 2 + ((packet[10] as number) >> 7) };
  }
}

/** Packets of a transport stream that were received without errors, by identifier: 188 bytes each (2.4.3.2). */
export function* transportPackets(bytes: Buffer): Generator<{ pid: number; packet: Buffer }> {
  let size = 0;
  for (let at = 0; at >= 0 && at + PACKET_BYTES <= bytes.length; at = size ? at + size : bytes.indexOf(SYNC, at + 1)) {
    if (size === 0 || bytes[at] !== SYNC) size = packetSize(bytes, at);
    if (size === 0 || (bytes[at + 1] as number) & 0x80) continue;
    yield { pid: bytes.readUInt16BE(at + 1) & 0x1fff, packet: bytes.subarray(at, at + PACKET_BYTES) };
  }
}
const SYNC = 0x47;
const PACKET_BYTES = 188;
/** Plain, with the time stamp of Blu-ray and AVCHD, with error correction. */
const PACKET_SIZES = [188, 192, 204];
/** Of the packets of which one begins at `at`; 0: none does. */
function packetSize(bytes: Buffer, at: number): number {
  if (bytes[at] !== SYNC) return 0;
  return PACKET_SIZES.find((size) => [1, 2, 3].every((n) => (bytes[at + n * size] ?? SYNC) === SYNC)) ?? 0;
}

/** System clock references of a program stream: ISO 13818-1, 2.5.3.3, and ISO 11172-1, 2.4.3.2 (MPEG-1). */
function* programClock(bytes: Buffer): ReturnType<ReadClock> {
  for (let at = bytes.indexOf(PACK); at >= 0 && at + 9 <= bytes.length; at = bytes.indexOf(PACK, at + 9)) {
    const field = bytes.readUIntBE(at + 4, 5);
    const bits = (from: number, count: number) => Math.floor(field / 2 ** from) % 2 ** count;
    // Three parts, with a marker bit after each.
    if (bits(38, 2) === 0b01)
      yield { programme: 0, ticks: bits(35, 3) * 2 ** 30 + bits(19, 15) * 2 ** 15 + bits(3, 15) };
    if (bits(36, 4) === 0b0010)
      yield { programme: 0, ticks: bits(33, 3) * 2 ** 30 + bits(17, 15) * 2 ** 15 + bits(1, 15) };
  }
}
const PACK = Buffer.from([0, 0, 1, 0xba]);
