import { ORDINALS } from '#store';
import { type Direction, type Question, readQuestion } from './question.ts';
import { modalitiesOf, normal, trimmed, VIDEO_NOUNS } from './wording.ts';

/** What a conversation keeps of one question and its answer. */
export interface Turn {
  question: string;
  read: Question;
  answer: string;
  /** Videos that it was about, where the question named them. */
  videoIds?: string[];
  /** The first moment that was cited. */
  at?: { videoId: string; startMs: number; endMs: number };
  /** Videos that were cited, in this order, each once. */
  cited?: string[];
}

const THAT = '(?:that|this|it|then|those|these|which)';
const AFTER_THAT = new RegExp(
  `^(?:(?:so|ok|okay) )?(?:and )?(?:what|who)?\\b.*\\b(after|before) ${THAT}(?: one| moment| scene| part)?$`,
);
const NEXT =
  /^(?:and )?(?:then|next|what then|and then|what(?:'s| is| comes| happens| happened| was)?(?: \w+)? next|what(?: is| was)? (?:said|shown) next)$/;
const WHAT_ABOUT = /^(?:(?:and|so|ok|okay) )?(?:what|how) about (.+)$/;
const AND_SHORT = /^and (?!what|when|where|who|why|how|is|are|was|were|does|do|did|can)(.+)$/;
/** "Show me the second one" of places that were counted. */
const WHICH_ONE =
  /^(?:(?:and|so|ok|okay|show(?: me)?|what about|how about|where is|when is|what is|what's) )*the (first|second|third|fourth|fifth|last) (?:one|time|place)$/;
/** "What is said then?" */
const THEN =
  /^(?:and )?what(?:'s| is| was| do| did)?(?: (?:they|he|she|we|you))? (?:being )?(?:said|say|shown|see|seen|happens|happening|going on)(?: (?:then|there|meanwhile|at (?:that|the same) (?:time|moment|point)|during (?:that|it)))$/;
/** "What else is said there?" is of some time around it. */
const ELSE =
  /^(?:(?:and|so) )*what else\b.*\b(?:there|then|around (?:it|that)|(?:in|at|during) (?:that|this|the same) (?:scene|moment|part|place|time|point))$/;
const AROUND_MS = 30_000;
const ELSE_ABOUT = /^(?:(?:and|so) )*what else\b.* about (.+)$/;
const VIDEOS = `(?:${VIDEO_NOUNS})`;
/** "In the second video", "the other one"; the same video by another word. */
const THE_OTHER = new RegExp(
  `\\b(?:the (?<which>first|second|third|fourth|fifth|last|other)s? (?:(?<noun>${VIDEOS})|ones?)|(?<same>that|the same) ${VIDEOS})(?= (?:too|also|as well|say|says|show|shows|mention|mentions|talk|talks|about|have|has|is|are|what|when|where|who|why|how)\\b|$)`,
);
/** What stands for a video alone: the same is asked of it. */
const OF_IT = /^(?:(?:and|so|ok|okay|what|how) |about )*(?:(?:in|of|from|for) )?it(?: too| also| as well)?$/;
const COMPARE_THEM = new RegExp(
  `^(?:(?:and|so|ok|okay|now|please|can you) )*(?:compare|contrast|what(?:'s| is| are) the differences? between|how do) (?:them|(?:those|these|the|both)(?: two)?|they)(?: ${VIDEOS})?(?: differ| compare)?$`,
);
const THIS_VIDEO = new RegExp(`\\b(?:this|that|these|those) ${VIDEOS}\\b`);
/** Words that stand for the topic before. "They say" is whoever speaks, and "says that" begins what is said. */
const PRONOUN =
  /\b(?:it|its|them|their|him|her|his|those|these|that one|this one|(?:they|he|she)\b(?! (?:say|said|talk|mention|discuss|explain|tell|told|speak|spoke|show|count|ask|start|begin|meet)))\b|\b(?:that|this)(?:$|(?= (?:said|shown|mentioned|seen|happens?|happening)\b))/;
/** "Is it snowing": nothing was meant by "it". */
const IMPERSONAL =
  /\b(?:it(?:'s| is| was| gets)?|is it|was it|does it|it starts?(?: to)?) (?:\w+ )?(?:rain|snow|storm|hail|dark|night|day|cold|warm|hot|sunny|windy|cloudy|late|early|said|over)/;

export interface Resolved {
  question: Question;
  /** Words that stand alone: what is searched, and what a chat model is asked. */
  text: string;
  /** What is asked where no video is called so. */
  otherwise?: Question;
  /** "After that": the place in question, from the answer before. */
  anchor?: Turn['at'];
  /** The only videos that it is asked of, of those in question. */
  videoIds?: string[];
  /** The other videos: all in question but this one. */
  exceptVideoId?: string;
}

/** A follow-up: as it is written, in small letters, and as it is read by itself. */
interface Asked {
  text: string;
  plain: string;
  question: Question;
  before: Turn;
}

/**
 * Makes a follow-up stand alone by the turn before it: "after that" means the moment it answered with, "what about X" asks the same of X, and a pronoun
 * stands for its topic. What is no follow-up stays as it is.
 */
export function resolve(written: string, before: Turn | undefined): Resolved {
  const text = written.trim();
  const question = readQuestion(text);
  const asked = before && { text, plain: normal(text), question, before };
  const followed = asked && (ofOthers(asked) ?? ofTime(asked) ?? ofPlace(asked) ?? ofTopic(asked));
  return followed ?? { question, text };
}

/** Asked of other videos than the one that was spoken of, or of those that were cited together. */
function ofOthers({ plain, text, before }: Asked): Resolved | undefined {
  const cited = before.cited ?? [];
  const again = `${before.question} → ${text}`;
  const topic = topicOf(before);
  if (COMPARE_THEM.test(plain) && cited.length > 1) {
    const { modalities } = before.read;
    return { question: { kind: 'comparison', topic, modalities }, text: again, videoIds: cited };
  }
  const { which, noun, same } = THE_OTHER.exec(plain)?.groups ?? {};
  // "The second one" of places is a place.
  const isVideo = noun !== undefined || which === 'other' || before.read.unit === 'videos';
  const scope = same || (which && isVideo) ? videosOf(which, before) : undefined;
  if (!scope) return undefined;
  if (OF_IT.test(plain.replace(THE_OTHER, 'it')) && !same) {
    const { names: _, ...read } = before.read;
    if (read.kind === 'needle') return { question: { kind: 'needle', topic }, text: again, ...scope };
    const isOfVideos = read.unit === 'videos' && topic !== '';
    const question: Question = isOfVideos ? { ...read, kind: 'list', unit: 'places', topic, without: undefined } : read;
    return { question, text: again, ...scope };
  }
  const asked = plain.replace(THE_OTHER, 'that video').replace(/ (?:in|of|from) that video$/, '');
  const { anchor: _, ...resolved } = resolve(asked, { ...before, cited: undefined, at: undefined });
  return { ...resolved, ...scope };
}
/** "The second" of those that were cited, "the other" one, or the same (neither). */
function videosOf(
  which: string | undefined,
  { cited = [], at }: Turn,
): Pick<Resolved, 'videoIds' | 'exceptVideoId'> | undefined {
  if (which === 'other') {
    const rest = cited.filter((id) => id !== at?.videoId);
    if (rest.length > 0) return { videoIds: rest };
    return at && { exceptVideoId: at.videoId };
  }
  const nth = which === 'last' ? cited.at(-1) : cited[ORDINALS.indexOf(which ?? '')];
  const only = which ? cited.length > 1 && nth : at?.videoId;
  return only ? { videoIds: [only] } : undefined;
}

/** "And in the first minute?" of the video that was spoken of, where there are several. */
function ofTime({ text, plain, question, before }: Asked): Resolved | undefined {
  const { kind, stretch, topic } = question;
  if (kind !== 'clock' && (!stretch || topic)) return undefined;
  if (stretch && WHAT_ABOUT.test(plain) && hasTopic(before.read))
    return { question: { ...before.read, stretch }, text: `${before.question} → ${text}` };
  return { question, text, anchor: before.at };
}

/** "After that", "the second one", "there": a place that was answered with. */
function ofPlace({ text, plain, question, before }: Asked): Resolved | undefined {
  const { at, read } = before;
  const which = hasTopic(read) && read.topic ? WHICH_ONE.exec(plain)?.[1] : undefined;
  if (which) {
    const { topic, modalities, stretch, names } = read;
    const nth = ORDINALS.indexOf(which) + 1;
    const place = { direction: nth ? 'first' : 'last', nth: nth > 1 ? nth : undefined } as const;
    return {
      question: { kind: 'order', topic, ...place, modalities, stretch, names },
      text: `${before.question} → ${text}`,
    };
  }
  if (!at) return undefined;
  const modalities = modalitiesOf(plain);
  const there = { text: `${text} (${before.question})`, anchor: at };
  const side = AFTER_THAT.exec(plain)?.[1] ?? (NEXT.test(plain) ? 'after' : undefined);
  if (side) {
    // "What is said after X?" "And after that?" goes on with what is said.
    const going = read.kind === 'order' ? read.modalities : undefined;
    const direction = side as Direction;
    return {
      question: { kind: 'order', direction, topic: topicOf(before), modalities: modalities ?? going },
      ...there,
    };
  }
  const isElse = ELSE.test(plain);
  if (isElse || THEN.test(plain)) {
    const aroundMs = isElse ? AROUND_MS : 0;
    const stretch = { startMs: Math.max(0, at.startMs - aroundMs), endMs: at.endMs + aroundMs };
    return { question: { kind: 'summary', topic: '', stretch, modalities }, ...there };
  }
  // Of the video that was spoken of, where there are several.
  const isOfIt = question.kind === 'summary' && !question.names && /\b(?:it|(?:that|this) one|that video)$/.test(plain);
  return isOfIt ? { question, text, anchor: at } : undefined;
}

/** "What about X?" asks the same of X; a pronoun stands for the topic before. */
function ofTopic({ text, plain, before }: Asked): Resolved | undefined {
  const { read } = before;
  const other = ELSE_ABOUT.exec(plain)?.[1];
  if (other && !PRONOUN.test(other))
    return { question: { kind: 'list', topic: trimmed(other) || other, modalities: modalitiesOf(plain) }, text };
  const about = (WHAT_ABOUT.exec(plain) ?? AND_SHORT.exec(plain))?.[1];
  if (about && !PRONOUN.test(about)) {
    const same = hasTopic(read);
    const otherwise: Question = same ? { ...read, topic: trimmed(about) || about } : { kind: 'needle', topic: about };
    // "And in Steam engines?" asks the same of another video.
    const name = /^in (.+)$/.exec(about)?.[1] ?? (read.names && !read.topic && about);
    const again = `${before.question} → ${about}`;
    if (name) return { question: { ...read, names: [name] }, otherwise, text: again };
    return { question: otherwise, text: same ? again : about };
  }
  const topic = topicOf(before);
  if (!topic || !PRONOUN.test(plain.replace(THIS_VIDEO, '')) || IMPERSONAL.test(plain)) return undefined;
  const rewritten = plain.replace(PRONOUN, topic);
  return { question: readQuestion(rewritten), text: rewritten };
}

/** The others have no one topic to put another in the place of. */
const hasTopic = ({ kind }: Question): boolean => ['list', 'count', 'order', 'comparison'].includes(kind);

/** Content of the earlier question: its topic without the words that ask. */
function topicOf({ read }: Turn): string {
  return trimmed(normal(read.topic || (read.without ?? '')));
}
