/** Clocks that were never set begin at the epoch of Unix or of QuickTime (1904): what they say in their first day is no date. */
const EARLIEST_MS = 24 * 60 * 60 * 1000;
/** Cameras write their own time of day as if it were UTC; nowhere is it farther ahead than this. */
const AHEAD_MS = 14 * 60 * 60 * 1000;
const DATE = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d(?:\.\d+)?)(Z|[+-]\d\d:?\d\d)?$/;

/** When a file was recorded, in ms since the epoch: the first of its `creation_time` tags that can be true. */
export function recordedAt(tags: (string | undefined)[], nowMs = Date.now()): number | undefined {
  return tags.map(toMs).find((ms) => ms >= EARLIEST_MS && ms <= nowMs + AHEAD_MS);
}

/** UTC where no zone is named. */
function toMs(text = ''): number {
  const [, date, time, zone = 'Z'] = DATE.exec(text.trim()) ?? [];
  return Date.parse(`${date}T${time}${zone}`);
}
