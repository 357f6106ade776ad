import { terms } from '#store';
import type { Modality } from '../index.ts';
import { asksOnly, clockIn } from './clock.ts';
import { namedIn } from './named.ts';
import { edgeIn, instantIn, type Stretch, sideIn, stretchIn } from './stretch.ts';

export type QuestionKind = 'needle' | 'list' | 'count' | 'order' | 'sequence' | 'clock' | 'summary' | 'comparison';
export type Direction = 'after' | 'before' | 'first' | 'last';

/** What a question asks for, read off its words (English; in other languages everything is a needle, which fits most questions). */
export interface Question {
  kind: QuestionKind;
  /** What is looked for. For a needle the question itself; of `clock` all that it asks beside the time, if that is more than what is there; else without the words that only ask; may be empty. */
  topic: string;
  /** Of `order`: the neighbour of the topic, or its first or last place. Of `sequence`: what is asked of the first topic, if anything. Of `clock`: the side. */
  direction?: Direction;
  /** Of `sequence`: the two things whose order is asked for. */
  topics?: [string, string];
  /** Of `clock`. */
  atMs?: number;
  /** Where the question says that it is about what is said, or what is shown. */
  modalities?: Modality[];
  /** Of `count` and `list`: what is counted; `time`: how long it is there. */
  unit?: 'places' | 'videos' | 'time';
  /** Of videos that are counted: what they must not have. */
  without?: string;
  /** What it calls the videos that it is about: their titles, or most of their words. */
  names?: string[];
  /** The only part of each video that it is about. */
  stretch?: Stretch;
}

const SAID =
  /\b(?:say|says|said|saying|mention(?:s|ed|ing)?|talk(?:s|ed|ing)? (?:about|of)|discuss(?:es|ed)?|speaks?|spoken|hear|heard|tells?|told|words?|quoted?)\b/;
const SEEN =
  /\b(?:see|sees|seen|shows?|shown|showing|appear(?:s|ed|ing)?|visible|looks? like|wear(?:s|ing)?|colou?rs?|on (?:the )?screen|pictured?)\b/;

const SUMMARY = [
  /\bsummar(?:y|ies|i[sz]e)\b/,
  /\b(?:overview|recap|gist|tl;?dr|key takeaways)\b/,
  /\b(?:main|key|most important) (?:points?|topics?|ideas?|subjects?|themes?)\b/,
  /^what(?:'s| is| are| was) (?:in )?(?:this|these|the|that|all)(?: (?!longest|shortest|newest|oldest|latest)\w+)? (?:video|film|movie|clip|recording|lecture|talk)s?(?: all)?(?: about)?$/,
  /^what (?:happens|is (?:shown|said|discussed)) in (?:this|these|the) (?:video|film|movie|clip|recording|lecture|talk)s?$/,
  /^(?:what|which) (?:topics|subjects|themes) (?:are|were|do|does|did|is)\b(?:.*)\b(?:covered|discussed|mentioned|talked about|cover|discuss)$/,
  /^describe (?:this|these|the) (?:video|film|movie|clip|recording)s?$/,
];
const COMPARISON =
  /\b(?:compar(?:e|es|ed|ing|ison)|differences? between|differ|versus|vs|in common|both (?:of the )?videos)\b/;
const VIDEOS = '(?:of (?:the|these|my|our) )?(?:videos?|films?|movies?|clips?|recordings?|lectures?|episodes?)';
const COUNT_VIDEOS = new RegExp(`\\b(?:how many|number of) ${VIDEOS}\\b`);
const WHICH_VIDEOS = new RegExp(
  `\\b(?:which|what|(?:is|are) there|do (?:i|we|you) have)(?: an?| any| some)? ${VIDEOS}\\b(?: (?:called|named|titled)\\b)?`,
);
const COUNT =
  /\b(?:in )?how (?:many (?:times|scenes|shots|places|moments)|often)\b|\bnumber of (?:times|occurrences|appearances|mentions)\b|^count (?:the|how|every|all|each)\b/;
const LIST =
  /\b(?:every|each|all(?: of)?(?: the)?) (?:single )?(?:times?|moments?|places?|scenes?|parts?|occurrences?|instances?|appearances?|mentions?)\b|\beverywhere\b|^(?:please )?(?:list|enumerate)\b|^(?:show|find|give)(?: me)? (?:all|every|each)\b|\blist (?:them|all|every|each)\b|^everything (?:that )?(?:they|he|she|you|people|is|was)\b.*\b(?:says?|said|tells?|told)\b/;
const IS_IT = /^(?:is|are|was|were|does|do|did|can)\b/;
const IS_THERE = /^(?:is|are|was|were) there\b/;
/** "How long is a red car visible?" asks of a video, "how long does bread take?" of what is said in it. */
const HOW_LONG = /\b(?:for )?how (?:long|much time)\b/;
const LASTING =
  /\b(?:visible|shown|seen|see|appears?|displayed|on (?:the )?screen|in view|talk(?:ed|ing)? about|discuss(?:ed)?)\b/;
const WITHOUT =
  /^(.*\S) (?:without|with no|but (?:do(?:es)? )?no|but (?:do(?:es)? )?not|except(?: for)?) (?:an? |any |the )?(\S.*)$/;
const FIRST = /\b(first|earliest|last|final|latest) (?:time|mention|appearance|occurrence|place|moment)\b/;
const FIRST_VERB =
  /\b(first|last) (?:appears?|appeared|mention(?:s|ed)?|show(?:s|n)?|see|seen|hear|heard|say|says|said|discuss(?:ed)?|visible)\b/;
const FIRST_THING = /\b(first|last|final) (?:thing|words?|sentence|scene|picture|shot)\b/;
const ABOUT = /\b(?:about|on|with) (?!screen\b)(.+)$/;
/** A head that asks for whatever there is, then which side of what: "what is said right after the rainbow". */
const NEIGHBOUR =
  /^(?:and )?(?:what|who|which \w+)(?:'s| (?:is|are|was|were|do|does|did|can|comes?|came|happens?|happened|follows?))?(?: (?:they|he|she|we|you|i|people|someone|the (?:speaker|teacher|man|woman)))?(?: (?:be|being|the next thing|next|going on|there|talked about|say|says|said|talk about|mention|mentioned|show|shown|see|seen|visible|appears?|happens?|happening|comes?|heard|hear))*(?: (?:right|immediately|directly|shortly|just|soon))? (after|before)\b(.*)$/;
const FOLLOWS = /^what (?:comes |happens )?(follows|precedes)\b(.*)$/;
/** "Which comes first, the campfire or the rainbow?", "Is the weather or the price mentioned first?" */
const WHICH_FIRST = [
  /^(?:which|what|who)\b(?<head>.*?)\b(?<end>first|earlier|sooner|last|later)\b(?<one>.*?)\bor\b(?<other>.+)$/,
  /^(?:is|are|was|were|does|do|did)\b(?<head>)(?<one>.+?)\bor\b(?<other>.+?)\b(?<end>first|earlier|sooner|last|later)$/,
];
/** "Does a red car appear before the campfire?" */
const IS_BEFORE =
  /^(?:is|are|was|were|does|do|did|has|have)\b(?<one>.+?)\b(?<side>before or after|after or before|before|after)\b(?<other>.+)$/;

/** Words that a question is made of beside its topic, as stems; trimmed from both ends only, so that "a house with a blue roof" stays whole. */
const ASKING = new Set(
  terms(
    'please show shown find list count give name tell enumerate many much often time times every each all everywhere moment place scene part ' +
      'occurrence instance appearance timestamp mention mentioned word phrase first last final earliest latest see seen look hear heard say said saying talk talked discuss ' +
      'discussed speak spoken appear happen occur come visible someone somebody anyone anybody people speaker they video film movie clip recording ' +
      'compare comparison difference differ versus vs common both contain have whole entire thing right immediately there any anything anywhere ever everything',
  ),
);

/** Classifies a question by its words. Deterministic; never throws. */
export function readQuestion(text: string): Question {
  const named = namedIn(text);
  // "The first two minutes" are no title.
  if (!named || named.names.some((name) => stretchIn(`the ${name}`) ?? edgeIn(`in the ${name}`)))
    return readTimed(text);
  return { ...orAll(readTimed(named.rest), named.rest), names: named.names };
}

/** A question without what it calls the videos that it is about. */
export function readTimed(text: string): Question {
  const named = stretchIn(text);
  if (named) return ofPart(named);
  const read = excluding(readPlain(text));
  const side = read.kind === 'clock' ? undefined : sideIn(text);
  if (side) return ofPart(side);
  const edge = read.kind === 'needle' || read.kind === 'summary' ? edgeIn(text) : undefined;
  if (edge && (read.kind === 'summary' || asksOnly(normal(edge.rest), asks))) return ofPart(edge);
  const instant = read.kind === 'needle' ? ofInstant(text) : undefined;
  // "What do they talk about?" But "The Who" may be a name, and what stands in quotes is looked for.
  const isPlain = terms(text).length > 0 && !/["“”„]/.test(text);
  return instant ?? (isPlain ? orAll(read, text) : read);
}
/** "What colour is the shape at 0:12?" asks what is there; "is a red circle shown at 0:12?" whether that is. */
function ofInstant(text: string): Question | undefined {
  const plain = normal(text);
  const at = (SEEN.test(plain) || IS_THERE.test(plain)) && !/^when\b/.test(plain) ? instantIn(text) : undefined;
  if (!at || IS_IT.test(plain)) return at && ofPart(at);
  return { kind: 'clock', topic: at.rest, atMs: at.stretch.startMs ?? 0 };
}
function ofPart({ stretch, rest }: { stretch: Stretch; rest: string }): Question {
  const plain = normal(rest);
  const read = orAll(excluding(readPlain(rest)), rest);
  // Whether it is there at all: wherever it is. The words that only ask are none of what is looked for.
  const topic = read.kind === 'needle' && IS_IT.test(plain) ? trimmed(plain.replace(IS_IT, '')) : '';
  if (!topic) return { ...read, stretch };
  const modalities = modalitiesOf(plain);
  return { kind: 'list', topic, stretch, ...(modalities && { modalities }) };
}
/** Of a part, or of a video that is named: where nothing is looked for in it, all that is said and shown there is asked for. */
function orAll(read: Question, text: string): Question {
  const plain = normal(text);
  if (read.kind !== 'needle' || !asksOnly(plain, asks)) return read;
  const modalities = modalitiesOf(plain);
  return { kind: 'summary', topic: '', ...(modalities && { modalities }) };
}

/** "A red circle without text": search's way to say what must not be there. Of what is said it may be a part. */
function excluding(read: Question): Question {
  const mayExclude = ['list', 'count', 'order'].includes(read.kind) && read.modalities?.[0] !== 'passages';
  const [, wanted = '', unwanted] = (mayExclude && WITHOUT.exec(read.topic)) || [];
  if (!unwanted) return read;
  if (read.unit === 'videos') return { ...read, topic: trimmed(wanted), without: trimmed(unwanted) || unwanted };
  return { ...read, topic: `${trimmed(wanted)} -"${unwanted}"` };
}

function readPlain(text: string): Question {
  const plain = normal(text);
  const modalities = modalitiesOf(plain);
  const spoken: Pick<Question, 'modalities'> = { ...(modalities && { modalities }) };

  const at = clockIn(text, asks);
  if (at) return { kind: 'clock', topic: '', ...at, ...spoken };
  const order = sequenceIn(plain);
  if (order) return { kind: 'sequence', ...order, ...spoken };
  const neighbour = NEIGHBOUR.exec(plain);
  if (neighbour) {
    const [, side, rest = ''] = neighbour;
    // Only the head says what the answer is of: "what is said after the car appears".
    const head = plain.slice(0, plain.length - rest.length);
    const wanted = modalitiesOf(head);
    return { kind: 'order', direction: side as Direction, topic: trimmed(rest), ...(wanted && { modalities: wanted }) };
  }
  const follows = FOLLOWS.exec(plain);
  if (follows) {
    return {
      kind: 'order',
      direction: follows[1] === 'follows' ? 'after' : 'before',
      topic: trimmed(follows[2] as string),
    };
  }
  if (COMPARISON.test(plain)) return { kind: 'comparison', topic: trimmed(plain), ...spoken };
  if (SUMMARY.some((pattern) => pattern.test(plain))) return { kind: 'summary', topic: '' };
  if (COUNT_VIDEOS.test(plain))
    return { kind: 'count', unit: 'videos', topic: trimmed(plain.replace(COUNT_VIDEOS, ' ')), ...spoken };
  if (HOW_LONG.test(plain) && LASTING.test(plain)) {
    const topic = trimmed(plain.replace(HOW_LONG, ' ').replace(/ in view$/, ''));
    if (topic) return { kind: 'count', unit: 'time', topic, ...spoken };
  }
  if (COUNT.test(plain)) return { kind: 'count', unit: 'places', topic: trimmed(plain.replace(COUNT, ' ')), ...spoken };
  const end = FIRST.exec(plain)?.[1] ?? FIRST_VERB.exec(plain)?.[1] ?? FIRST_THING.exec(plain)?.[1];
  if (end) {
    const direction = end === 'first' || end === 'earliest' ? 'first' : 'last';
    // "The last thing said", and "the last thing said about the weather".
    const [named] = FIRST_THING.exec(plain) ?? [];
    if (named && /scene|picture|shot/.test(named)) spoken.modalities = ['frames'];
    const thing = named ? (ABOUT.exec(plain)?.[1] ?? '') : plain;
    return { kind: 'order', direction, topic: trimmed(thing), ...spoken };
  }
  if (WHICH_VIDEOS.test(plain))
    return { kind: 'list', unit: 'videos', topic: trimmed(plain.replace(WHICH_VIDEOS, ' ')), ...spoken };
  if (LIST.test(plain)) return { kind: 'list', topic: trimmed(plain), ...spoken };
  return { kind: 'needle', topic: text.trim() };
}

/** Passages when it is about what is said, frames when it is about what is shown, neither when it says nothing or both. */
function modalitiesOf(plain: string): Modality[] | undefined {
  const said = SAID.test(plain);
  if (said === SEEN.test(plain)) return undefined;
  return [said ? 'passages' : 'frames'];
}

/** Whether what a video is called may answer it: not when something is, nor what is said or shown. */
export function mayBeTitle(text: string): boolean {
  const plain = normal(text);
  return !/^(?:and )?when\b/.test(plain) && !SAID.test(plain) && !SEEN.test(plain);
}

/** Two things and which order of theirs is asked for. */
function sequenceIn(plain: string): Pick<Question, 'topic' | 'topics' | 'direction'> | undefined {
  for (const pattern of [...WHICH_FIRST, IS_BEFORE]) {
    const { one = '', other = '', head = '', end, side } = pattern.exec(plain)?.groups ?? {};
    const topics: [string, string] = [trimmed(one), trimmed(other)];
    if (!topics[0] || !topics[1] || trimmed(head)) continue;
    // "The first thing said about cats or dogs" is one thing.
    if (end && (FIRST.test(plain) || FIRST_THING.test(plain) || /^ about\b/.test(one))) continue;
    const direction = end ? (end.startsWith('la') ? 'last' : 'first') : side?.includes(' ') ? undefined : side;
    return { topic: topics[0], topics, ...(direction && { direction: direction as Direction }) };
  }
  return undefined;
}

const asks = (word: string | undefined): boolean => word !== undefined && terms(word).every((term) => ASKING.has(term));
/** The words between the asking ones at both ends. */
function trimmed(text: string): string {
  const words = text.split(/\s+/).filter(Boolean);
  let [from, to] = [0, words.length];
  while (from < to && asks(words[from])) from += 1;
  while (to > from && asks(words[to - 1])) to -= 1;
  return words.slice(from, to).join(' ');
}

const normal = (text: string): string =>
  text
    .toWellFormed()
    .toLowerCase()
    .replace(/[’‘]/g, "'")
    .replace(/[?!.,;:"“”]+/g, ' ')
    .replace(/\s+/g, ' ')
    .trim();

/** What a conversation keeps of one question and its answer. */
export interface Turn {
  question: string;
  read: Question;
  answer: string;
  /** Videos that it was about, where the question named them. */
  videoIds?: string[];
  /** The first moment that was cited. */
  at?: { videoId: string; startMs: number; endMs: number };
}

const THAT = '(?:that|this|it|then|those|these|which)';
const AFTER_THAT = new RegExp(
  `^(?:(?:so|ok|okay) )?(?:and )?(?:what|who)?\\b.*\\b(after|before) ${THAT}(?: one| moment| scene| part)?$`,
);
const NEXT =
  /^(?:and )?(?:then|next|what then|and then|what(?:'s| is| comes| happens| happened| was)?(?: \w+)? next|what(?: is| was)? (?:said|shown) next)$/;
const WHAT_ABOUT = /^(?:(?:and|so|ok|okay) )?(?:what|how) about (.+)$/;
const AND_SHORT = /^and (?!what|when|where|who|why|how|is|are|was|were|does|do|did|can)(.+)$/;
const THIS_VIDEO = /\b(?:this|that|these|those) (?:video|film|movie|clip|recording|lecture|talk)s?\b/;
/** Words that stand for the topic before. "They say" is whoever speaks, and "says that" begins what is said. */
const PRONOUN =
  /\b(?:it|its|them|their|him|her|his|those|these|that one|this one|(?:they|he|she)\b(?! (?:say|said|talk|mention|discuss|explain|tell|told|speak|spoke|show|count|ask|start|begin|meet)))\b|\b(?:that|this)$/;
/** "Is it snowing": nothing was meant by "it". */
const IMPERSONAL =
  /\b(?:it(?:'s| is| was| gets)?|is it|was it|does it|it starts?(?: to)?) (?:\w+ )?(?:rain|snow|storm|hail|dark|night|day|cold|warm|hot|sunny|windy|cloudy|late|early|said|over)/;

export interface Resolved {
  question: Question;
  /** Words that stand alone: what is searched, and what a chat model is asked. */
  text: string;
  /** "After that": the place in question, from the answer before. */
  anchor?: Turn['at'];
}

/**
 * Makes a follow-up stand alone by the turn before it: "after that" means the moment it answered with, "what about X" asks the same of X, and a pronoun
 * stands for its topic. What is no follow-up stays as it is.
 */
export function resolve(text: string, before: Turn | undefined): Resolved {
  const question = readQuestion(text);
  const alone: Resolved = { question, text: text.trim() };
  if (!before) return alone;
  // Of the video that was spoken of, where there are several.
  const plain = normal(text);
  const isOfTime = question.kind === 'clock' || (question.stretch !== undefined && question.topic === '');
  if (isOfTime && question.stretch && WHAT_ABOUT.test(plain) && hasTopic(before.read)) {
    return {
      question: { ...before.read, stretch: question.stretch },
      text: `${before.question} → ${text.trim()}`,
    };
  }
  if (isOfTime) return { ...alone, ...(before.at && { anchor: before.at }) };
  const side = AFTER_THAT.exec(plain)?.[1] ?? (NEXT.test(plain) ? 'after' : undefined);
  if (side && before.at) {
    // "What is said after X?" "And after that?" goes on with what is said.
    const modalities = modalitiesOf(plain) ?? (before.read.kind === 'order' ? before.read.modalities : undefined);
    return {
      question: {
        kind: 'order',
        direction: side as Direction,
        topic: topicOf(before),
        ...(modalities && { modalities }),
      },
      text: `${text.trim()} (${before.question})`,
      anchor: before.at,
    };
  }
  const about = (WHAT_ABOUT.exec(plain) ?? AND_SHORT.exec(plain))?.[1];
  if (about && !PRONOUN.test(about)) {
    if (!hasTopic(before.read)) return { question: { kind: 'needle', topic: about }, text: about };
    return { question: { ...before.read, topic: trimmed(about) || about }, text: `${before.question} → ${about}` };
  }
  const topic = topicOf(before);
  if (!topic || !PRONOUN.test(plain.replace(THIS_VIDEO, '')) || IMPERSONAL.test(plain)) return alone;
  const rewritten = plain.replace(PRONOUN, topic);
  const read = readQuestion(rewritten);
  return { question: read, text: rewritten };
}

/** The others have no one topic to put another in the place of. */
const hasTopic = ({ kind }: Question): boolean => ['list', 'count', 'order', 'comparison'].includes(kind);

/** Content of the earlier question: its topic without the words that ask. */
function topicOf({ read }: Turn): string {
  return trimmed(normal(read.topic));
}
