import { ProcessFailed, runFfprobe } from './ffmpeg.ts';

export interface Packet {
  stream: number;
  keyframe: boolean;
  ptsSec?: number;
  dtsSec?: number;
  durationSec?: number;
}

/** A file's packets that are shown or heard, in file order, from ffprobe, without decoding; `args` narrow them down (`-select_streams`, `-read_intervals`). */
export async function* readPackets(path: string, args: string[], signal?: AbortSignal): AsyncGenerator<Packet> {
  const columns = 'packet=stream_index,pts_time,dts_time,duration_time,flags';
  const show = ['-v', 'fatal', '-of', 'compact=print_section=0', '-show_entries', columns, ...args];
  let rest = '';
  try {
    for await (const chunk of runFfprobe(path, show, { signal })) {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const fields = new Map(line.split('|').map((field) => field.split('=') as [string, string]));
        const seconds = (name: string) => {
          const value = Number.parseFloat(fields.get(name) ?? '');
          return Number.isNaN(value) ? undefined : value;
        };
        const flags = fields.get('flags') ?? '';
        if (!fields.has('stream_index') || flags[1] === 'D') continue; // decoded, and not shown: an edit list leaves it out
        yield {
          stream: Number(fields.get('stream_index')),
          keyframe: flags.startsWith('K'),
          ptsSec: seconds('pts_time'),
          dtsSec: seconds('dts_time'),
          durationSec: seconds('duration_time'),
        };
      }
    }
  } catch (error) {
    throw error instanceof ProcessFailed ? error.toMediaError() : error;
  }
}
