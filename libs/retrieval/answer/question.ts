import { ORDINALS, terms } from '#store';
import type { Modality } from '../index.ts';
import { namedIn } from './named.ts';
import { clockIn, edgeIn, instantIn, type Stretch, sideIn, stretchIn } from './times.ts';
import { asks, asksOfSights, asksOnly, modalitiesOf, normal, trimmed, VIDEO, VIDEO_NOUNS } from './wording.ts';

export type QuestionKind =
  | 'needle'
  | 'length'
  | 'list'
  | 'count'
  | 'order'
  | 'sequence'
  | 'clock'
  | 'summary'
  | 'comparison';
export type Direction = 'after' | 'before' | 'during' | 'first' | 'last';

/** What a question asks for, read off its words (English; in other languages everything is a needle, which fits most questions). */
export interface Question {
  kind: QuestionKind;
  /** What is looked for. For a needle the question itself; of `clock` all that it asks beside the time, if that is more than what is there; else without the words that only ask; may be empty. */
  topic: string;
  /** Of `order`: the neighbour of the topic, or its first or last place. Of `sequence`: what is asked of the first topic, if anything. Of `clock`: the side. */
  direction?: Direction;
  /** Of the first place: which one it is, from 2 on, where it is not the first. */
  nth?: number;
  /** Of `sequence`: the two things whose order is asked for. */
  topics?: [string, string];
  /** Of `clock`. */
  atMs?: number;
  /** Where the question says that it is about what is said, or what is shown. */
  modalities?: Modality[];
  /** Of `count` and `list`: what is counted; `time`: how long it is there. */
  unit?: 'places' | 'videos' | 'time';
  /** Of videos that are counted: what they must not have; without a topic, nothing else is asked of them. */
  without?: string;
  /** What it calls the videos that it is about: their titles, or most of their words. */
  names?: string[];
  /** The only part of each video that it is about. */
  stretch?: Stretch;
}

const SUMMARY = [
  /\bsummar(?:y|ies|i[sz]e)\b/,
  /\b(?:overview|recap|gist|tl ?dr|key takeaways)\b/,
  /\b(?:main|key|most important) (?:points?|topics?|ideas?|subjects?|themes?)\b/,
  /^(?:what|which) (?:topics|subjects|themes) (?:are|were|do|does|did|is)\b(?:.*)\b(?:covered|discussed|mentioned|talked about|cover|discuss)$/,
  /^what(?:'s| is) this(?: all)? about$/,
  /^describe (?:this|these|the) (?:video|film|movie|clip|recording)s?$/,
];
/** "Summarise what they say about the weather": all of that. */
const SUMMARY_OF_TOPIC =
  /\bsummar(?:y|i[sz]e)\b.*\b(?:said|says?|told|talks?|discuss(?:ed)?|mention(?:ed|s)?) (?:about|of|on) (.+)$/;
const COMPARISON =
  /\b(?:compar(?:e|es|ed|ing|ison)|differences? between|differ|versus|vs|in common|both (?:of the )?videos)\b/;
const VIDEOS = `(?:of (?:the|these|my|our) )?(?:${VIDEO_NOUNS})`;
const COUNT_VIDEOS = new RegExp(`\\b(?:how many|number of) ${VIDEOS}\\b`);
const WHICH_VIDEOS = new RegExp(
  `\\b(?:which|what|(?:is|are) there|do (?:i|we|you) have)(?: an?| any| some)? ${VIDEOS}\\b(?: (?:called|named|titled)\\b)?|^(?:and )?which (?:ones?|of (?:them|these|those|the two))(?= (?:has|have|shows?|mentions?|talks?|is about)\\b)`,
);
/** "Which videos do not mention bees?", "videos without bees": those that have nothing of it. */
const LACKING = new RegExp(
  `^(?:(?:and|but|so|please) )*(?:(?:which|what|all|any|how many|number of|(?:is|are) there(?: any)?|(?:show|find|list|give|name|count)(?: me)?(?: all| any)?)(?: the)? )?(?:${VIDEOS}|ones?|of (?:them|these|those)(?: ${VIDEOS})?)(?: (?:that|which|where (?:they|people)))? (?:(?:do|does|did|is|are|was|were|has|have)(?: not|n'?t) (?:ever |even )?|never |(?:(?:is|are) )?(?:without|with no) |lack(?:s|ing)? |(?:have|has|with|contains?|shows?|mentions?|say|says|include|includes) (?:no |nothing (?:about|of|on) ))(?:feature|include|cover|involve)?(?<thing>.+)$`,
);
/** What is no thing of a picture or a sentence ("videos without sound"), stands for one that was spoken of, or is followed by more. */
const NO_THING =
  /^(?:in|it|them|this|that|those|these|(?:any|some|every)(?:thing|one)?)\b|^(?:sound|audio|speech|subtitles?|captions?|titles?|tags?|metadata)$| but /;
const COUNT =
  /\b(?:in )?how (?:many (?:times|mentions|scenes|shots|places|moments)|often)\b|\bnumber of (?:times|occurrences|appearances|mentions)\b|^count (?:the|how|every|all|each)\b/;
const LIST =
  /\b(?:every|each|all(?: of)?(?: the)?) (?:single )?(?:times?|moments?|places?|scenes?|parts?|sentences?|occurrences?|instances?|appearances?|mentions?)\b|\beverywhere\b|^(?:please )?(?:list|enumerate)\b|^(?:show|find|give)(?: me)? (?:all|every|each)\b|\blist (?:them|all|every|each)\b|^everything (?:that )?(?:they|he|she|you|people|is|was)\b.*\b(?:says?|said|tells?|told)\b/;
const IS_IT = /^(?:is|are|was|were|does|do|did|can)\b/;
/** Of the video itself. */
const LENGTH = new RegExp(
  `^(?:what is the (?:length|duration) of|how long (?:is|are|was|were|does|do)) (?:the|this|that|these|my|all(?: the)?) ${VIDEO}(?: last| run)?(?: in (?:all|total))?$`,
);
const IS_THERE = /^(?:is|are|was|were) there\b/;
/** "How long is a red car visible?" asks of a video, "how long does bread take?" of what is said in it. */
const HOW_LONG = /\b(?:for )?how (?:long|much time)\b/;
const LASTING =
  /\b(?:visible|shown|seen|see|appears?|displayed|on (?:the )?screen|in view|talk(?:ed|ing)? about|discuss(?:ed)?)\b/;
const WITHOUT =
  /^(.*\S) (?:without|with no|but (?:do(?:es)? )?no|(?:but|and) (?:do(?:es)? ?)?(?:not|n't)|except(?: for)?) (?:an? |any |the )?(\S.*)$/;
const FIRST =
  /\b((?:first|earliest|last|final|latest)(?= (?:place|moment)\b)|(?:first|earliest|last|final|latest|second|third|fourth|fifth)(?= (?:time|mention|appearance|occurrence)\b)) \w+/;
const FIRST_VERB =
  /\b(first|last) (?:appears?|appeared|mention(?:s|ed)?|show(?:s|n)?|see|seen|hear|heard|say|says|said|discuss(?:ed)?|visible)\b/;
const FIRST_THING =
  /\b(first|last|final|opening|closing) (?:thing|words?|sentence|scene|picture|shot)\b|^what (?:comes|happens|is (?:said|shown)) (first|last)$/;
const ABOUT = /\b(?:about|on|with) (?!screen\b)(.+)$/;
/** A head that asks for whatever there is, then which side of what: "what is said right after the rainbow". */
const NEIGHBOUR =
  /^(?:and )?(?:what|who|which \w+)(?:'s| (?:is|are|was|were|do|does|did|can|comes?|came|happens?|happened|follows?))?(?: (?:they|he|she|we|you|i|people|someone|the (?:speaker|teacher|man|woman)))?(?: (?:be|being|the next thing|next|going on|there|talked about|say|says|said|talk about|mention|mentioned|show|shown|see|seen|visible|appears?|happens?|happening|comes?|heard|hear))*(?: (?:right|immediately|directly|shortly|just|soon))? (after|before|while|during|when)\b(.*)$/;
const FOLLOWS = /^what (?:comes |happens )?(follows|precedes)\b/;
/** "Which comes first, the campfire or the rainbow?", "Is the weather or the price mentioned first?" */
const WHICH_FIRST = [
  /^(?:which|what|who)\b(?<head>.*?)\b(?<end>first|earlier|sooner|last|later)\b(?<one>.*?)\bor\b(?<other>.+)$/,
  /^(?:is|are|was|were|does|do|did)\b(?<head>)(?<one>.+?)\bor\b(?<other>.+?)\b(?<end>first|earlier|sooner|last|later)$/,
];
/** "Does a red car appear before the campfire?" */
const IS_BEFORE =
  /^(?:is|are|was|were|does|do|did|has|have)\b(?<one>.+?)\b(?<side>before or after|after or before|before|after)\b(?<other>.+)$/;

/** Classifies a question by its words. Deterministic; never throws. */
export function readQuestion(text: string): Question {
  const named = namedIn(text);
  // "The first two minutes" are no title.
  if (!named || named.names.some((name) => stretchIn(`the ${name}`) ?? edgeIn(`in the ${name}`)))
    return readTimed(text);
  return { ...orAll(readTimed(named.rest), named.rest), names: named.names };
}

/** More that may be a title than a question of words has. */
const MAX_ENDS = 5;
/** What at the end of a question may be a video's title, shortest first, with the question as it is without it. */
export function titlesAtEnd(text: string): { name: string; question: Question }[] {
  const ends = [...text.matchAll(/\s(?:in|from|of|during)\s+(?=\S)/gi)].slice(-MAX_ENDS).reverse();
  const [, long] = /^how long (?:is|was) (.+?)[?!. ]*$/i.exec(text.trim()) ?? [];
  const whole = long ? [{ name: long, question: { kind: 'length' as const, topic: '', names: [long] } }] : [];
  const found = ends.map((match) => {
    const [rest, end] = [text.slice(0, match.index), text.slice(match.index + match[0].length)];
    const name = end.replace(/[?!.\s]+$/, '');
    return { name, question: { ...orAll(readTimed(rest), rest), names: [name] } };
  });
  return [...whole, ...found];
}

/** A question without what it calls the videos that it is about. */
export function readTimed(text: string): Question {
  const named = stretchIn(text);
  if (named) return ofPart(named);
  const read = excluding(readPlain(text));
  const side = read.kind === 'clock' ? undefined : sideIn(text);
  if (side) return ofPart(side);
  const edge = read.kind === 'needle' || read.kind === 'summary' ? edgeIn(text) : undefined;
  if (edge && (read.kind === 'summary' || asksOnly(edge.rest))) return ofPart(edge);
  const instant = read.kind === 'needle' ? ofInstant(text) : undefined;
  return instant ?? (asksForAll(text) ? orAll(read, text) : read);
}
/** "What do they talk about?", but not "show me people", nor "what is that said of?", which is of what went before. */
const WHAT_IS =
  /^(?:(?:and|so|please) )*what(?:'s| (?:is|are|was|were|do|does|did|can|happens|happened|else))\b(?!.*(?:\b(?:that|then|those|these)|(?<!\bin) it)$)/;
function asksForAll(text: string): boolean {
  const plain = normal(text);
  return WHAT_IS.test(plain) && terms(plain).length > 0 && !/["“”„]/.test(text) && plain.split(' ').every(asks);
}
/** "What colour is the shape at 0:12?" asks what is there; "is a red circle shown at 0:12?" whether that is. */
function ofInstant(text: string): Question | undefined {
  const plain = normal(text);
  const at = (asksOfSights(plain) || IS_THERE.test(plain)) && !/^when\b/.test(plain) ? instantIn(text) : undefined;
  if (!at || IS_IT.test(plain)) return at && ofPart(at);
  return { kind: 'clock', topic: at.rest, atMs: at.stretch.startMs ?? 0 };
}
function ofPart({ stretch, rest }: { stretch: Stretch; rest: string }): Question {
  const plain = normal(rest);
  const read = orAll(excluding(readPlain(rest)), rest);
  // Whether it is there at all: wherever it is. The words that only ask are none of what is looked for.
  const topic = read.kind === 'needle' && IS_IT.test(plain) ? trimmed(plain.replace(IS_IT, '')) : '';
  return topic ? { kind: 'list', topic, stretch, modalities: modalitiesOf(plain) } : { ...read, stretch };
}
/** Of a part, or of a video that is named: where nothing is looked for in it, all that is said and shown there is asked for. */
function orAll(read: Question, text: string): Question {
  const plain = normal(text);
  const isAll = read.kind === 'needle' && asksOnly(plain);
  return isAll ? { kind: 'summary', topic: '', modalities: modalitiesOf(plain) } : read;
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
  const at = clockIn(text);
  const modalities = modalitiesOf(plain);
  if (at) return { kind: 'clock', topic: '', ...at, modalities };
  for (const read of [sequenceIn, neighbourIn, wholeIn, videosIn, placesIn, endIn, listIn]) {
    const found = read(plain);
    if (found) return { modalities, ...found };
  }
  return { kind: 'needle', topic: text.trim() };
}

/** Two things and which order of theirs is asked for. */
function sequenceIn(plain: string): Question | undefined {
  for (const pattern of [...WHICH_FIRST, IS_BEFORE]) {
    const { one = '', other = '', head = '', end, side } = pattern.exec(plain)?.groups ?? {};
    const topics: [string, string] = [trimmed(one), trimmed(other)];
    if (!topics[0] || !topics[1] || trimmed(head)) continue;
    // "The first thing said about cats or dogs" is one thing.
    if (end && (FIRST.test(plain) || FIRST_THING.test(plain) || /^ about\b/.test(one))) continue;
    const direction = end ? (end.startsWith('la') ? 'last' : 'first') : side?.includes(' ') ? undefined : side;
    return { kind: 'sequence', topic: topics[0], topics, direction: direction as Direction };
  }
  return undefined;
}

/** What is beside something. Only the head says what the answer is of: "what is said after the car appears". */
function neighbourIn(written: string): Question | undefined {
  const plain = written.replace(FOLLOWS, (_, verb) => `what comes ${verb === 'follows' ? 'after' : 'before'}`);
  const [, side, rest = ''] = NEIGHBOUR.exec(plain) ?? [];
  const modalities = modalitiesOf(plain.slice(0, plain.length - rest.length));
  // "What happens when water boils?" asks for no time.
  if (!side || (side === 'when' && !modalities)) return undefined;
  const direction = side === 'after' || side === 'before' ? side : 'during';
  return { kind: 'order', direction, topic: trimmed(rest), modalities };
}

/** What is asked of videos as a whole. */
function wholeIn(plain: string): Question | undefined {
  if (COMPARISON.test(plain)) return { kind: 'comparison', topic: trimmed(plain) };
  const told = trimmed(SUMMARY_OF_TOPIC.exec(plain)?.[1] ?? '');
  if (told) return { kind: 'list', topic: told, modalities: ['passages'] };
  if (SUMMARY.some((pattern) => pattern.test(plain))) return { kind: 'summary', topic: '', modalities: undefined };
  return LENGTH.test(plain) ? { kind: 'length', topic: '', modalities: undefined } : undefined;
}

/** Which videos lack something, and how many have it. */
function videosIn(plain: string): Question | undefined {
  const thing = LACKING.exec(plain)?.groups?.thing ?? '';
  const without = /^(?:people|speakers?|words?)$/.test(thing) ? thing : trimmed(thing);
  if (without && !NO_THING.test(thing)) {
    const kind = /\b(?:how many|number of|count)\b/.test(plain) ? 'count' : 'list';
    return { kind, unit: 'videos', topic: '', without };
  }
  if (!COUNT_VIDEOS.test(plain)) return undefined;
  return { kind: 'count', unit: 'videos', topic: trimmed(plain.replace(COUNT_VIDEOS, ' ')) };
}

/** How long, and how often. */
function placesIn(plain: string): Question | undefined {
  const lasting = HOW_LONG.test(plain) && LASTING.test(plain);
  const topic = lasting ? trimmed(plain.replace(HOW_LONG, ' ').replace(/ in view$/, '')) : '';
  if (topic) return { kind: 'count', unit: 'time', topic };
  return COUNT.test(plain) ? { kind: 'count', unit: 'places', topic: trimmed(plain.replace(COUNT, ' ')) } : undefined;
}

/** The first place of something, the last or the third one; "the last thing said", and "the last thing said about the weather". */
function endIn(plain: string): Question | undefined {
  const [thing, ...ends] = FIRST_THING.exec(plain) ?? [];
  const end = FIRST.exec(plain)?.[1] ?? FIRST_VERB.exec(plain)?.[1] ?? ends.find(Boolean);
  if (!end) return undefined;
  const about = thing ? (ABOUT.exec(plain)?.[1] ?? '') : plain;
  const ofPictures = thing && /scene|picture|shot/.test(thing) ? { modalities: ['frames' as const] } : {};
  const nth = ORDINALS.indexOf(end) + 1;
  if (nth > 1) {
    const topic = trimmed(about.replace(FIRST, ' '));
    return topic ? { kind: 'order', direction: 'first', nth, topic, ...ofPictures } : undefined;
  }
  const direction = ['first', 'earliest', 'opening'].includes(end) ? 'first' : 'last';
  return { kind: 'order', direction, topic: trimmed(about), ...ofPictures };
}

function listIn(plain: string): Question | undefined {
  if (WHICH_VIDEOS.test(plain))
    return { kind: 'list', unit: 'videos', topic: trimmed(plain.replace(WHICH_VIDEOS, ' ')) };
  return LIST.test(plain) ? { kind: 'list', topic: trimmed(plain) } : undefined;
}
