import { ORDINALS } from '#store';
import type { Evidence, LabelInVideo, Moment } from '../index.ts';
import {
  closest,
  type Findings,
  type Mark,
  needles,
  nothingOf,
  onlyNamed,
  passagesIn,
  saidIn,
  saidOrShown,
} from './plan.ts';
import { numberOf } from './prompt.ts';
import { clock, lasting, neutral, placeOf, quoted, titled } from './text.ts';
import { whenOf, whereIn } from './times.ts';

/** Places that are written out; more are only counted and cited. */
const MAX_SENTENCES = 10;
const MAX_SUMMARY = 8;
/** Of a stretch, which may be asked for what is said in it, word for word. */
const MAX_IN_STRETCH = 20;
const MAX_TITLES = 3;
const MAX_QUOTE = 300;
/** What begins so little later begins together. */
const TOGETHER_MS = 500;
const UNKNOWN = { title: 'a video' };

/** A moment with its `[n]` and what it is to the answer. */
type Numbered = Mark & { moment: Moment; n: number };
const numbered = ({ moments, marks }: Findings): Numbered[] =>
  moments.map((moment, i) => ({ ...marks?.[i], moment, n: i + 1 }));

/** An answer made of what was found, word for word, with no model: what is said, what is seen, where, each with its `[n]`. */
export function extractive(findings: Findings): string {
  if (!findings.found) return notFound(findings) + nearest(findings);
  if (findings.parts) return inParts(findings.parts, findings.missing ?? []);
  const { question, marks, videos } = findings;
  const { kind, direction, nth } = question;
  if (question.without && !question.topic) return lacking(findings, question.without);
  if (kind === 'list' || kind === 'count') return places(findings);
  if (kind === 'summary' || (kind === 'comparison' && marks?.[0]?.role)) return summary(findings);
  if (kind === 'comparison') return comparison(findings);
  if (kind === 'order' && marks) return neighbours(findings);
  if (kind === 'sequence' && marks) return sequence(findings);
  const all = numbered(findings);
  if (kind === 'length')
    return all.map(({ moment, n }) => `${titleOf(moment, videos)} is ${clock(moment.endMs)} long [${n}].`).join(' ');
  if (kind === 'clock') return described(all, videos);
  if (kind === 'order' && (direction === 'first' || direction === 'last'))
    return described(all, videos, nth ? `The ${ORDINALS[nth - 1]} time,` : capital(direction));
  const told = needles(findings);
  return described(
    told.flatMap((moment) => all.find((one) => one.moment === moment) ?? []),
    videos,
  );
}

/** What an answer says of itself, after what it says of the videos. */
export function remarks({ covers, note }: Findings): string {
  return [...(covers ? [`This covers ${covers} videos.`] : []), ...(note ? [note] : [])].join(' ');
}

/** Says that it is not there, and where it was looked for. */
export function notFound({ question, scope, reason, isPart, unheard = [] }: Findings): string {
  if (scope?.length === 0) return 'There is no video to answer from.';
  if (reason) return reason;
  const videos =
    scope && scope.length <= MAX_TITLES ? scope.map(({ title }) => titled(title)).join(', ') : 'these videos';
  const where = isPart ? `what the filter leaves of ${videos}` : videos;
  const words = unheard.map((word) => quoted(word));
  const said = words.length > 0 ? ` Nobody says ${joined(words, 'or')}.` : '';
  return `I found nothing ${question.stretch ? whereIn(question.stretch, where) : `in ${where}`} that answers this.${said}`;
}

/** What has half of what was asked for, told as that. */
function nearest(findings: Findings): string {
  const { moments, reason, scope, videos } = findings;
  const moment = reason || scope?.length === 0 ? undefined : closest(findings);
  return moment ? ` ${described([{ moment, n: moments.indexOf(moment) + 1 }], videos, 'What comes nearest is')}` : '';
}

/** Each answered for itself, its citations counted on. */
function inParts(parts: Findings[], missing: string[]): string {
  let before = 0;
  const answers = parts.flatMap((part) => {
    if (!part.found) return [];
    const from = before;
    before += part.moments.length;
    return [extractive(part).replace(/\[(\d+)\]/g, (_, n) => `[${from + Number(n)}]`)];
  });
  return [...answers, ...nothingOf(missing)].join(' ');
}

function places(findings: Findings): string {
  const { moments, question, capped, count, videos } = findings;
  const { unit, kind } = question;
  const least = capped ? 'at least ' : '';
  const what = unit === 'videos' ? 'video' : kind === 'count' ? 'time' : 'place';
  const number = plural(numberOf(findings), unit === 'time' ? 'place' : what);
  const lead =
    unit === 'time'
      ? `In all ${least}${lasting(count?.totalMs ?? 0)}, in ${number}`
      : `Found ${what === 'time' ? '' : 'in '}${least}${number}`;
  const written = numbered(findings).slice(0, MAX_SENTENCES);
  const given = moments.length - written.length;
  const rest = given + Math.max(0, (count?.places ?? 0) - moments.length);
  const some = rest > given ? `, of which ${given} are` : '';
  const more = rest > 0 ? [`And ${rest} more${some} ${cites(moments.slice(written.length), written.length)}.`] : [];
  return [`${lead} ${cites(moments)}.`, described(written, videos), ...more].join(' ');
}

/** Videos that have nothing of something. */
function lacking({ question, moments, count, videos }: Findings, without: string): string {
  const nothing = question.modalities
    ? `${quoted(without)} is not ${saidOrShown(question)}`
    : `Nothing of ${quoted(without)} was found`;
  const all = count?.videos ?? 0;
  if (all === 0) return `There is no video in which ${nothing.replace('Nothing', 'nothing')} ${cites(moments)}.`;
  const given = moments.map((moment, i) => `${titleOf(moment, videos)} [${i + 1}]`);
  const more = all > given.length ? [`${all - given.length} more`] : [];
  return `${nothing} in ${plural(all, 'video')}: ${joined([...given, ...more])}.`;
}

const SIDES = { after: 'After', before: 'Before', during: 'During' } as const;
function neighbours(findings: Findings): string {
  const { question, moments, marks, videos, isPart } = findings;
  const side = question.direction as keyof typeof SIDES;
  const isPlaced = marks?.[0]?.role === 'place';
  const sentences = numbered(findings).map(({ moment, n, role }) => {
    if (role === 'place') return described([{ moment, n }], videos);
    const [only] = moment.evidence;
    const when = only?.kind === 'passage' ? `said at ${clock(moment.startMs)}` : `seen ${span(moment)}`;
    const words = only?.text ? `: ${quoted(only.text, MAX_QUOTE)}` : '';
    return `${SIDES[side]} ${isPlaced ? 'it' : 'that'}, ${when} in ${titleOf(moment, videos)}${words} [${n}].`;
  });
  if (isPlaced && moments.length === 1) {
    const what = side === 'during' ? `is ${saidOrShown(question)}` : 'comes';
    const facts = videos.get(moments[0]?.videoId ?? '') ?? UNKNOWN;
    sentences.push(`Nothing ${what} ${side} it in ${placeOf(facts, isPart)} [1].`);
  }
  return sentences.join(' ');
}

/** Which of two things comes first in each video, or what there is of them. */
function sequence(findings: Findings): string {
  const { topics, direction } = findings.question;
  const { videos } = findings;
  const end = direction === 'last' ? 'last' : 'first';
  const at = ({ moment, n }: Numbered): string => `${end} ${happening(moment)} [${n}]`;
  const name = ({ about = '' }: Numbered): string => quoted(about);
  const sentences = [...Map.groupBy(numbered(findings), ({ moment }) => moment.videoId).values()].map((all) => {
    const [one, other] = all.toSorted((a, b) => a.moment.startMs - b.moment.startMs) as [Numbered, Numbered?];
    const title = titleOf(one.moment, videos);
    if (!other) return described([one], videos, `${name(one)} is ${end}`);
    if (other.moment.startMs - one.moment.startMs < TOGETHER_MS)
      return `${name(one)} and ${name(other)} come at the same time in ${title}: ${at(one)} and ${at(other)}.`;
    const isSo = (direction === 'before') === (one.about === topics?.[0]);
    const lead = direction === 'before' || direction === 'after' ? `${isSo ? 'Yes' : 'No'}: ` : '';
    return `${lead}${name(one)} comes before ${name(other)} in ${title}: ${at(one)} and ${at(other)}.`;
  });
  return sentences.join(' ');
}

/** `said at 1:05: “…”` or `seen from 0:40 to 0:52` */
function happening(moment: Moment): string {
  const [best] = moment.evidence;
  if (best?.kind !== 'passage') return `seen ${span(moment)}`;
  return `said at ${clock(best.atMs)}: ${quoted(best.text ?? '', MAX_QUOTE)}`;
}

/** Of each video the most telling passage of each part of its timeline, and what is seen most or its longest scenes. */
function summary(findings: Findings): string {
  const { scope = [], question } = findings;
  const { stretch } = question;
  const all = numbered(findings);
  const most = Math.max(2, Math.floor((stretch ? MAX_IN_STRETCH : MAX_SUMMARY) / scope.length));
  return scope
    .flatMap((video) => {
      const own = all.filter(({ moment }) => moment.videoId === video.id);
      const said = own.filter(({ role }) => role === 'said');
      const seen = own.filter(({ role }) => role === 'seen');
      const told = spread(said, most).map(({ moment, n }) => {
        const [best] = moment.evidence as [Evidence];
        return `at ${clock(best.atMs)} ${quoted(best.text ?? '', MAX_QUOTE)} [${n}]`;
      });
      const shown = seen.map(({ moment, n, label }) => `${label ? labelled(label, moment) : span(moment)} [${n}]`);
      const long = stretch ? ` ${whenOf(stretch)}` : video.durationMs ? ` (${clock(video.durationMs)})` : '';
      const name = titled(video.title);
      const again = told.length > 0 ? name : name + long;
      const scenes = seen.length === 1 ? `The only scene of ${again} is` : `The longest scenes of ${again} are`;
      const what = seen.some(({ label }) => label) ? `Seen most in ${again}:` : scenes;
      return [
        ...(told.length > 0 ? [`Said in ${name}${long}: ${joined(told)}.`] : []),
        ...(shown.length > 0 ? [`${what} ${joined(shown)}.`] : []),
      ];
    })
    .join(' ');
}

/** At most `count`, from equal parts of the row, the most telling of each. */
function spread<T extends { moment: Moment }>(all: T[], count: number): T[] {
  const part = all.length / Math.min(count, all.length || 1);
  const picked: T[] = [];
  for (let i = 0; i < Math.min(count, all.length); i++) {
    const some = all.slice(Math.round(i * part), Math.round((i + 1) * part));
    const best = some.toSorted((a, b) => b.moment.score - a.moment.score)[0];
    if (best) picked.push(best);
  }
  return picked;
}

function comparison(findings: Findings): string {
  const { videos, scope = [] } = findings;
  return scope
    .map(({ id, title }) => {
      const own = numbered(findings).filter(({ moment }) => moment.videoId === id);
      return own.length > 0 ? described(own, videos) : `In ${titled(title)}, nothing of it was found.`;
    })
    .join(' ');
}

/** `Said at 1:05 in "Sample": “…” [1]. Seen from 0:40 to 0:52 in "Sample" [2].` */
function described(all: Numbered[], videos: Findings['videos'], how = ''): string {
  const verb = (word: string) => (how ? `${how} ${word}` : capital(word));
  const sentences = all.map(({ moment, n }) => {
    const title = titleOf(moment, videos);
    const name = onlyNamed(moment);
    if (name) return `${title} has it in its title or metadata: ${quoted(name, MAX_QUOTE)} [${n}].`;
    const words = quoted(saidIn(moment), MAX_QUOTE);
    const [first] = passagesIn(moment);
    if (moment.evidence.find(({ kind }) => kind !== 'title')?.kind === 'passage')
      return `${verb('said')} at ${clock(first?.atMs ?? moment.startMs)} in ${title}: ${words} [${n}].`;
    const heard = first ? `, where ${words} is said` : '';
    return `${verb('seen')} ${span(seenIn(moment))} in ${title}${heard} [${n}].`;
  });
  return sentences.join(' ');
}

/** Where a title makes a moment surer, its span is of the title. */
function seenIn(moment: Moment): { startMs: number; endMs: number } {
  if (moment.evidence.every(({ kind }) => kind !== 'title')) return moment;
  const frames = moment.evidence.filter(({ kind }) => kind === 'frame');
  return {
    startMs: Math.min(...frames.map(({ atMs }) => atMs)),
    endMs: Math.max(...frames.map(({ endMs }) => endMs)),
  };
}

/** `a red car (0:40 in all, longest from 0:20 to 0:40)` */
function labelled({ label, totalMs, count }: LabelInVideo, longest: Moment): string {
  const total = count > 1 ? `${clock(totalMs)} in all, longest ` : '';
  return `${neutral(label)} (${total}${span(longest)})`;
}

const titleOf = ({ videoId }: Moment, videos: Findings['videos']): string =>
  titled((videos.get(videoId) ?? UNKNOWN).title);
const capital = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1);
const plural = (count: number, word: string): string => `${count} ${word}${count === 1 ? '' : 's'}`;
const cites = (moments: Moment[], from = 0): string => moments.map((_, i) => `[${from + i + 1}]`).join('');
const joined = (parts: string[], last = 'and'): string =>
  parts.length < 2 ? parts.join('') : `${parts.slice(0, -1).join(', ')} ${last} ${parts.at(-1)}`;
function span({ startMs, endMs }: { startMs: number; endMs: number }): string {
  const [from, to] = [clock(startMs), clock(endMs)];
  return from === to ? `at ${from}` : `from ${from} to ${to}`;
}
