import { places, transportPackets } from './clock.ts';

/** A track as a transport stream names it. */
interface Entry {
  kind: 'video' | 'audio';
  /** What tells one codec from another. */
  codec: number;
}
/** Tracks by identifier. */
type Entries = Map<number, Entry>;

/**
 * Does one of these tracks of a transport stream (by identifier) go on under another, or in another codec, as where other recordings or another channel
 * follow in the file? ffmpeg reads on in the track it began with, and so not what comes then. Found as `clockGoesBack` finds it.
 */
export async function tracksMove(path: string, pids: number[], signal?: AbortSignal): Promise<boolean> {
  /** By the identifiers of the tables: what each lists. That of all programmes is number 0. */
  const programmes = new Map<number, Entries>();
  const first: Entries = new Map();
  const before = new Map<number, string>();
  for await (const bytes of places(path, signal)) {
    for (const { pid, table } of tables(bytes, programmes)) {
      // A table counts when it comes again: rubbish may look like one.
      const text = table.toString('latin1');
      const again = before.get(pid) === text;
      before.set(pid, text);
      if (!again) continue;
      if (pid === 0) keepOnly(programmes, listed(table));
      else programmes.set(pid, entries(table));
      const now: Entries = new Map([...programmes.values()].flatMap((each) => [...each]));
      for (const track of pids) {
        const is = now.get(track);
        const was = first.get(track) ?? is;
        if (was) first.set(track, was);
        if (was && is?.codec !== was.codec && [...now.values()].some(({ kind }) => kind === was.kind)) return true;
      }
    }
  }
  return false;
}

function keepOnly(programmes: Map<number, Entries>, pids: Set<number>): void {
  for (const pid of programmes.keys()) if (!pids.has(pid)) programmes.delete(pid);
  for (const pid of pids) if (!programmes.has(pid)) programmes.set(pid, new Map());
}

/** Tables of these programmes, and of the programmes themselves, without their checksum: ISO 13818-1, 2.4.4. */
function* tables(bytes: Buffer, programmes: Map<number, Entries>): Generator<{ pid: number; table: Buffer }> {
  const begun = new Map<number, Buffer>();
  for (const { pid, packet } of transportPackets(bytes)) {
    if (pid !== 0 && !programmes.has(pid)) continue;
    const adaptation = (packet[3] as number) & 0x20 ? 1 + (packet[4] as number) : 0;
    const payload = packet.subarray(4 + adaptation);
    const begins = ((packet[1] as number) & 0x40) !== 0;
    const earlier = begun.get(pid);
    if (payload.length === 0 || (!begins && !earlier)) continue;
    // One that begins a section says where.
    const section = begins ? payload.subarray(1 + (payload[0] as number)) : Buffer.concat([earlier as Buffer, payload]);
    begun.delete(pid);
    if (section.length < 3) continue;
    const length = 3 + (section.readUInt16BE(1) & 0xfff);
    if (section.length < length) begun.set(pid, section);
    else if (
      section[0] === (pid === 0 ? LISTS_PROGRAMMES : LISTS_TRACKS) &&
      length >= SHORTEST &&
      (section[5] as number) & 1
    )
      yield { pid, table: section.subarray(0, length - CHECKSUM) };
  }
}
const LISTS_PROGRAMMES = 0;
const LISTS_TRACKS = 2;
const SHORTEST = 12;
const CHECKSUM = 4;

/** Where the tables of the programmes are (2.4.4.3); number 0 is no programme. */
function listed(table: Buffer): Set<number> {
  const pids = new Set<number>();
  for (let at = 8; at + 4 <= table.length; at += 4)
    if (table.readUInt16BE(at) !== 0) pids.add(table.readUInt16BE(at + 2) & 0x1fff);
  return pids;
}

/** Picture and sound of a programme (2.4.4.8). */
function entries(table: Buffer): Entries {
  const found: Entries = new Map();
  for (let at = 12 + (table.readUInt16BE(10) & 0xfff); at + 5 <= table.length; ) {
    const descriptors = at + 5;
    const type = table[at] as number;
    const end = descriptors + (table.readUInt16BE(at + 3) & 0xfff);
    const codec = type === PRIVATE ? privateSound(table.subarray(descriptors, end)) : (SAME.get(type) ?? type);
    const kind = VIDEO.has(type) ? 'video' : type === PRIVATE || AUDIO.has(type) ? 'audio' : undefined;
    if (kind && codec !== undefined) found.set(table.readUInt16BE(at + 1) & 0x1fff, { kind, codec });
    at = end;
  }
  return found;
}
/** Types of streams (table 2-34, ATSC A/53, SMPTE RP 227): MPEG-1 and -2, MPEG-4, H.264, HEVC, VVC, Dirac, VC-1; MPEG, AAC, AC-3, E-AC-3, DTS. */
const VIDEO = new Set([0x01, 0x02, 0x10, 0x1b, 0x24, 0x33, 0xd1, 0xea]);
const AUDIO = new Set([0x03, 0x04, 0x0f, 0x11, 0x1c, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0xa1]);
/** One decoder takes both. */
const SAME = new Map([
  [0x01, 0x02],
  [0x03, 0x04],
]);
const PRIVATE = 0x06;

/** The descriptor that tells which sound a private stream is (ETSI EN 300 468, 6.1, or its registration); undefined: it is none (subtitles, teletext). */
function privateSound(descriptors: Buffer): number | undefined {
  for (let at = 0; at + 2 <= descriptors.length; at += 2 + (descriptors[at + 1] as number)) {
    const tag = descriptors[at] as number;
    if ([0x6a, 0x7a, 0x7b, 0x7c].includes(tag)) return tag;
    const name = descriptors.toString('latin1', at + 2, at + 6);
    if (tag === 0x05 && /^(AC-3|EAC3|Opus|DTS\d|BSSD)$/.test(name)) return descriptors.readUInt32BE(at + 2);
  }
  return undefined;
}
