import { MediaError } from './errors.ts';
import { type Packet, readPackets } from './packets.ts';
import { holdsSeveral } from './parts.ts';
import type { MediaInfo, Probed, Stream } from './probe.ts';
import { WRONG_SEC } from './start.ts';

/** Containers whose header knows no duration: ffprobe's number is a guess from the bit rate. */
const WITHOUT_DURATION = new Set(['h264', 'hevc', 'm4v', 'mpegvideo', 'obu', 'aac', 'ac3', 'eac3', 'amr', 'dv']);

/** Theirs is read from the last timestamps. */
const MEASURED = new Set(['mpegts', 'mpeg']);
/** Theirs is what a recorder wrote into the header, which may not have gone back to it. */
const WRITTEN = new Set(['mov', 'matroska', 'flv', 'asf']);
/** It goes on after that with more packets than these, a second later or more: fewer may have wrong times. */
const BEYOND = 10;
const BEYOND_MS = 1_000;
/** A file that ends so much before its headers say, in time and as a share, is not what they say. */
const MISSING_MS = 5_000;
const MISSING_SHARE = 0.02;
/** Of a file that begins so late, headers may say when it ends in place of how long it lasts. */
const LATE_MS = 500;

type Tracks = { video?: Stream; audio?: Stream };

/** `statedMs`: what the headers say, where that is wrong. Cut off and damaged files say it, and what is made to do harm. */
export async function findDuration(
  path: string,
  probed: Probed,
  startMs: number,
  tracks: Tracks,
  signal?: AbortSignal,
): Promise<Pick<MediaInfo, 'durationMs' | 'statedMs' | 'cutMs'>> {
  const container = probed.format?.format_name?.split(',')[0] ?? '';
  // The last page of Ogg counts from the last link of a chain.
  const isChain = container === 'ogg' && (await holdsSeveral(path, { container }, signal));
  const guessed = WITHOUT_DURATION.has(container) || /Estimating duration from bitrate/.test(probed.stderr) || isChain;
  const stated = [probed.format, ...(probed.streams ?? [])].map((part) => Number(part?.duration)).filter((s) => s > 0);
  if (guessed || stated.length === 0) return { durationMs: await lastPacketEnd(path, startMs, [], signal) };
  const statedMs = Math.round(Math.max(...stated) * 1e6) / 1000;
  const allowedMs = Math.max(MISSING_MS, statedMs * MISSING_SHARE);
  const nearMs = statedMs - allowedMs;
  if (MEASURED.has(container)) {
    // A first time that is wrong makes it hours longer: is there anything?
    const { endMs } = nearMs > 0 ? await endAfter(path, startMs + nearMs, [], signal) : { endMs: startMs };
    return { durationMs: endMs >= startMs + nearMs ? statedMs : await lastPacketEnd(path, startMs, [], signal) };
  }
  const laterMs = WRITTEN.has(container) && (await endBeyond(path, startMs, statedMs, signal));
  if (laterMs) return { durationMs: laterMs };
  if (startMs >= LATE_MS) {
    const endMs = await lastPacketEnd(path, startMs, from(Math.max(startMs, nearMs)), signal);
    if (endMs > nearMs - startMs) return { durationMs: Math.min(statedMs, endMs) };
  }
  if (nearMs <= 0) return { durationMs: statedMs };
  const fromMs = startMs + nearMs;
  const { endMs, missing } = await endAfter(path, fromMs, statedToLast(tracks, fromMs), signal);
  if (endMs >= fromMs) {
    const cutMs: MediaInfo['cutMs'] = {};
    for (const { kind, stream } of missing) {
      const trackMs = await lastPacketEnd(path, startMs, ['-select_streams', `${stream}`], signal);
      if (trackMs < nearMs) cutMs[kind] = trackMs;
    }
    return { durationMs: statedMs, ...(Object.keys(cutMs).length > 0 && { cutMs }) };
  }
  const durationMs = await lastPacketEnd(path, startMs, [], signal);
  // Some writers state the last timestamp of what begins late, others have longer headers than packets.
  if (!(durationMs > 0) || durationMs + startMs >= nearMs) return { durationMs: durationMs || statedMs };
  return { durationMs, statedMs };
}

const from = (ms: number) => ['-read_intervals', `${(ms / 1000).toFixed(6)}%`];

/** The tracks that are looked at, of those that say of themselves that they last until `fromMs` or longer. */
const statedToLast = ({ video, audio }: Tracks, fromMs: number) =>
  ([video && ({ kind: 'video', track: video } as const), audio && ({ kind: 'audio', track: audio } as const)] as const)
    .filter((each) => each !== undefined)
    .filter(({ track }) => statedEndSec(track) * 1000 > fromMs)
    .map(({ kind, track }) => ({ kind, stream: track.index }));

/** On the file's own clock. Matroska says it of each track in a tag; what ffprobe calls the duration of its video is that of the file. */
function statedEndSec({ start_time, duration, tags = {} }: Stream): number {
  const [, hours, minutes, seconds] = /^(\d+):(\d+):([\d.]+)$/.exec(tags.DURATION ?? tags['DURATION-eng'] ?? '') ?? [];
  if (seconds === undefined) return Number(start_time) + Number(duration);
  return Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
}

/** Where the last packet ends that is found from `fromMs` (on the file's own clock) on, until each of the `expected` tracks has one; and those that have none. */
async function endAfter(
  path: string,
  fromMs: number,
  expected: ReturnType<typeof statedToLast>,
  signal?: AbortSignal,
): Promise<{ endMs: number; missing: typeof expected }> {
  let endMs = Number.NEGATIVE_INFINITY;
  let missing = expected;
  try {
    for await (const packet of readPackets(path, from(fromMs), signal)) {
      const atSec = packet.ptsSec ?? packet.dtsSec ?? Number.NEGATIVE_INFINITY;
      const packetEndMs = (atSec + (packet.durationSec ?? 0)) * 1000;
      endMs = Math.max(endMs, packetEndMs);
      if (packetEndMs >= fromMs) missing = missing.filter(({ stream }) => stream !== packet.stream);
      if (endMs >= fromMs && missing.length === 0) break;
    }
  } catch (error) {
    if (!(error instanceof MediaError && error.code === 'ffmpeg_failed')) throw error;
  }
  return { endMs, missing };
}

/** Where a file ends that goes on long after its headers say; undefined: it does not. */
async function endBeyond(path: string, startMs: number, statedMs: number, signal?: AbortSignal) {
  let beyond = 0;
  async function* counted() {
    for await (const packet of readPackets(path, from(startMs + statedMs), signal)) {
      if ((packet.ptsSec ?? packet.dtsSec ?? 0) * 1000 > startMs + statedMs + BEYOND_MS) beyond++;
      yield packet;
    }
  }
  try {
    const endMs = await endOf(counted(), startMs);
    return beyond > BEYOND ? endMs : undefined;
  } catch (error) {
    if (!(error instanceof MediaError && error.code === 'ffmpeg_failed')) throw error;
    return undefined;
  }
}

/** Reads the timestamps of every packet that `args` leave (no decoding), for live recordings and bare streams. Memory does not grow with the file. */
const lastPacketEnd = (path: string, startMs: number, args: string[], signal?: AbortSignal): Promise<number> =>
  endOf(readPackets(path, args, signal), startMs);

async function endOf(packets: AsyncIterable<Packet>, startMs: number): Promise<number> {
  const ends = new Map<number, TrackEnd>();
  const summedSec = new Map<number, number>();
  for await (const packet of packets) {
    const { stream, durationSec = 0 } = packet;
    const atSec = packet.ptsSec ?? packet.dtsSec;
    if (atSec !== undefined) ends.set(stream, goOn(ends.get(stream), atSec, atSec + durationSec));
    summedSec.set(stream, (summedSec.get(stream) ?? 0) + durationSec);
  }
  const endSec = Math.max(...[...ends.values()].map((track) => track.endSec));
  if (ends.size > 0) return Math.round(endSec * 1e6) / 1000 - startMs;
  return Math.round(Math.max(0, ...summedSec.values()) * 1e6) / 1000;
}

interface TrackEnd {
  endSec: number;
  /** How many packets it had, among its first. */
  begun?: number;
  /** Where it was before it leapt ahead, and to where. */
  leap?: { fromSec: number; toSec: number };
}
/** Further ahead than packets of a track are out of order. */
const LEAP_SEC = 10;
/** Packets that have their time from the first one that a track of a transport stream states. */
const FIRST = 64;

/** A track with one more packet. What had leapt ahead had wrong times where the track then goes on as before. */
function goOn(track: TrackEnd | undefined, atSec: number, untilSec: number): TrackEnd {
  const { endSec, leap, begun = FIRST } = track ?? { endSec: atSec, begun: 0 };
  if (begun < FIRST && atSec < endSec + LEAP_SEC) {
    const isWrong = atSec < endSec - WRONG_SEC; // what it began with
    return { endSec: isWrong ? untilSec : Math.max(endSec, untilSec), begun: begun + 1 };
  }
  if (leap && atSec < leap.toSec && atSec > leap.fromSec - LEAP_SEC)
    return { endSec: Math.max(leap.fromSec, untilSec) };
  if (atSec > endSec + LEAP_SEC) return { endSec: untilSec, leap: { fromSec: endSec, toSec: atSec - LEAP_SEC } };
  return { endSec: Math.max(endSec, untilSec), leap };
}
