import { ORDINALS } from '#store';
import type { Evidence, LabelInVideo, Moment } from '../index.ts';
import { closest, type Findings, needles, nothingOf, onlyNamed, saidOrShown, type VideoFacts } from './plan.ts';
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

/** An answer made of what was found, word for word, with no model: what is said, what is seen, where, each with its `[n]`. */
export function extractive(findings: Findings): string {
  if (!findings.found) return notFound(findings) + nearest(findings);
  if (findings.parts) return inParts(findings.parts, findings.missing ?? []);
  const { question } = findings;
  const { kind, direction, nth } = question;
  if (question.without && !question.topic) return lacking(findings, question.without);
  if (kind === 'list' || kind === 'count') return places(findings);
  if (kind === 'summary') return summary(findings);
  if (kind === 'comparison') return findings.roles ? summary(findings) : comparison(findings);
  if (kind === 'order' && (direction === 'first' || direction === 'last')) {
    const which = nth ? `The ${ORDINALS[nth - 1]} time,` : capital(direction);
    return findings.moments.map((moment, i) => described(moment, i + 1, findings, which)).join(' ');
  }
  if (kind === 'order' && findings.roles) return neighbours(findings);
  if (kind === 'sequence' && findings.about) return sequence(findings);
  if (kind === 'length') {
    const { videos } = findings;
    return findings.moments
      .map(({ videoId, endMs }, i) => `${titleOf(videos.get(videoId))} is ${clock(endMs)} long [${i + 1}].`)
      .join(' ');
  }
  if (kind === 'clock') return findings.moments.map((moment, i) => described(moment, i + 1, findings)).join(' ');
  return needle(findings);
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
  const said =
    unheard.length > 0
      ? ` Nobody says ${joined(
          unheard.map((word) => quoted(word)),
          'or',
        )}.`
      : '';
  return `I found nothing ${question.stretch ? whereIn(question.stretch, where) : `in ${where}`} that answers this.${said}`;
}

/** What has half of what was asked for, told as that. */
function nearest(findings: Findings): string {
  const { moments, reason, scope } = findings;
  const moment = reason || scope?.length === 0 ? undefined : closest(findings);
  return moment ? ` ${described(moment, moments.indexOf(moment) + 1, findings, 'What comes nearest is')}` : '';
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

function needle(findings: Findings): string {
  const { moments } = findings;
  return needles(findings)
    .map((moment) => described(moment, moments.indexOf(moment) + 1, findings))
    .join(' ');
}

function places(findings: Findings): string {
  const { moments, question, capped } = findings;
  const isVideos = question.unit === 'videos';
  const count = numberOf(findings);
  const what = isVideos
    ? plural(count, 'video')
    : question.kind === 'count'
      ? plural(count, 'time')
      : plural(count, 'place');
  const least = capped ? 'at least ' : '';
  const lead =
    question.unit === 'time'
      ? `In all ${least}${lasting(findings.count?.totalMs ?? 0)}, in ${plural(count, 'place')}`
      : `Found ${isVideos || question.kind === 'list' ? 'in ' : ''}${least}${what}`;
  const written = moments.slice(0, MAX_SENTENCES).map((moment, i) => described(moment, i + 1, findings));
  const given = moments.length - written.length;
  const rest = given + Math.max(0, (findings.count?.places ?? 0) - moments.length);
  const some = rest > given ? `, of which ${given} are` : '';
  const more = rest > 0 ? [`And ${rest} more${some} ${cites(moments.slice(written.length), written.length)}.`] : [];
  return [`${lead} ${cites(moments)}.`, ...written, ...more].join(' ');
}

/** Videos that have nothing of something. */
function lacking({ question, moments, count, videos }: Findings, without: string): string {
  const nothing = question.modalities
    ? `${quoted(without)} is not ${saidOrShown(question)}`
    : `Nothing of ${quoted(without)} was found`;
  const all = count?.videos ?? 0;
  if (all === 0) return `There is no video in which ${nothing.replace('Nothing', 'nothing')} ${cites(moments)}.`;
  const given = moments.map(({ videoId }, i) => `${titleOf(videos.get(videoId))} [${i + 1}]`);
  const more = all > given.length ? [`${all - given.length} more`] : [];
  return `${nothing} in ${plural(all, 'video')}: ${joined([...given, ...more])}.`;
}

const SIDES = { after: 'After', before: 'Before', during: 'During' } as const;
function neighbours({ question, moments, roles, videos, isPart }: Findings): string {
  const side = question.direction as keyof typeof SIDES;
  const facts = videos.get(moments[0]?.videoId ?? '');
  const sentences: string[] = [];
  const isPlaced = roles?.[0] === 'place';
  for (const [i, moment] of moments.entries()) {
    const n = i + 1;
    if (roles?.[i] === 'place') sentences.push(described(moment, n, { videos }));
    else {
      const [only] = moment.evidence;
      const when = only?.kind === 'passage' ? `said at ${clock(moment.startMs)}` : `seen ${span(moment)}`;
      const words = only?.text ? `: ${quoted(only.text, MAX_QUOTE)}` : '';
      sentences.push(`${SIDES[side]} ${isPlaced ? 'it' : 'that'}, ${when} in ${titleOf(facts)}${words} [${n}].`);
    }
  }
  if (isPlaced && moments.length === 1) {
    const what = side === 'during' ? `is ${saidOrShown(question)}` : 'comes';
    sentences.push(`Nothing ${what} ${side} it in ${placeOf(facts ?? UNKNOWN, isPart)} [1].`);
  }
  return sentences.join(' ');
}

/** Which of two things comes first in each video, or what there is of them. */
function sequence({ question, moments, about = [], videos }: Findings): string {
  const { topics, direction } = question;
  const end = direction === 'last' ? 'last' : 'first';
  const numbered = moments.map((moment, i) => ({ moment, n: i + 1, name: quoted(about[i] ?? ''), topic: about[i] }));
  const sentences = [...Map.groupBy(numbered, ({ moment }) => moment.videoId)].flatMap(([id, all]) => {
    const title = titleOf(videos.get(id));
    const [one, other] = all.toSorted((a, b) => a.moment.startMs - b.moment.startMs);
    if (!one) return [];
    const at = ({ moment, n }: typeof one) => `${end} ${happening(moment)} [${n}]`;
    if (!other) return described(one.moment, one.n, { videos }, `${one.name} is ${end}`);
    if (other.moment.startMs - one.moment.startMs < TOGETHER_MS) {
      return `${one.name} and ${other.name} come at the same time in ${title}: ${at(one)} and ${at(other)}.`;
    }
    const isSo = (direction === 'before') === (one.topic === topics?.[0]);
    const lead = direction === 'before' || direction === 'after' ? `${isSo ? 'Yes' : 'No'}: ` : '';
    return `${lead}${one.name} comes before ${other.name} in ${title}: ${at(one)} and ${at(other)}.`;
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
function summary({ question, moments, roles, labels, scope = [] }: Findings): string {
  const numbered = moments.map((moment, i) => ({ moment, n: i + 1, role: roles?.[i], label: labels?.[i] }));
  return scope
    .flatMap((video) => {
      const own = numbered.filter(({ moment }) => moment.videoId === video.id);
      const said = spread(
        own.filter(({ role }) => role === 'said'),
        Math.max(2, Math.floor((question.stretch ? MAX_IN_STRETCH : MAX_SUMMARY) / scope.length)),
      );
      const seen = own.filter(({ role }) => role === 'seen');
      const { stretch } = question;
      const long = stretch ? ` ${whenOf(stretch)}` : video.durationMs ? ` (${clock(video.durationMs)})` : '';
      const name = `${titled(video.title)}${long}`;
      const told = said.map(({ moment, n }) => {
        const [best] = moment.evidence as [Evidence];
        return `at ${clock(best.atMs)} ${quoted(best.text ?? '', MAX_QUOTE)} [${n}]`;
      });
      const shown = seen.map(({ moment, n, label }) => `${label ? labelled(label, moment) : span(moment)} [${n}]`);
      const again = told.length > 0 ? titled(video.title) : name;
      const scenes = seen.length === 1 ? `The only scene of ${again} is` : `The longest scenes of ${again} are`;
      const what = seen.some(({ label }) => label) ? `Seen most in ${again}:` : scenes;
      return [
        ...(told.length > 0 ? [`Said in ${name}: ${joined(told)}.`] : []),
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

function comparison({ moments, videos, scope = [] }: Findings): string {
  const numbered = moments.map((moment, i) => ({ moment, n: i + 1 }));
  return scope
    .map((video) => {
      const own = numbered.filter(({ moment }) => moment.videoId === video.id);
      if (own.length === 0) return `In ${titled(video.title)}, nothing of it was found.`;
      return own.map(({ moment, n }) => described(moment, n, { videos })).join(' ');
    })
    .join(' ');
}

/** `Said at 1:05 in "Sample": “…” [1].` or `Seen from 0:40 to 0:52 in "Sample" [2].` */
function described(moment: Moment, n: number, { videos }: Pick<Findings, 'videos'>, how = ''): string {
  const title = titleOf(videos.get(moment.videoId));
  const name = onlyNamed(moment);
  if (name) return `${title} has it in its title or metadata: ${quoted(name, MAX_QUOTE)} [${n}].`;
  const said = moment.evidence.filter(({ kind }) => kind === 'passage').sort((a, b) => a.atMs - b.atMs);
  const words = quoted(said.map(({ text }) => text ?? '').join(' '), MAX_QUOTE);
  const verb = (word: string) => (how ? `${how} ${word}` : capital(word));
  if (moment.evidence.find(({ kind }) => kind !== 'title')?.kind === 'passage') {
    return `${verb('said')} at ${clock(said[0]?.atMs ?? moment.startMs)} in ${title}: ${words} [${n}].`;
  }
  const heard = said.length > 0 ? `, where ${words} is said` : '';
  return `${verb('seen')} ${span(seenIn(moment))} in ${title}${heard} [${n}].`;
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

const titleOf = (video: VideoFacts | undefined): string => titled((video ?? UNKNOWN).title);
const capital = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1);
const plural = (count: number, word: string): string => `${count} ${word}${count === 1 ? '' : 's'}`;
const cites = (moments: Moment[], from = 0): string => moments.map((_, i) => `[${from + i + 1}]`).join('');
const joined = (parts: string[], last = 'and'): string =>
  parts.length < 2 ? parts.join('') : `${parts.slice(0, -1).join(', ')} ${last} ${parts.at(-1)}`;
function span({ startMs, endMs }: { startMs: number; endMs: number }): string {
  const [from, to] = [clock(startMs), clock(endMs)];
  return from === to ? `at ${from}` : `from ${from} to ${to}`;
}
