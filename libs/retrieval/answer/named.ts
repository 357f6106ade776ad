import { oneLine, VIDEO } from './wording.ts';

const THE = '(?:(?:the|my|our|that) )?';
const CALLED = '(?:about|on|called|titled|named|of|with|from)';
const QUOTED = '["“](?<quoted>[^"“”]+)["”]';
const SUMMARY = 'What is this video about?';

/** "The first half", "the last two minutes", "the end": whether it is a part is read where it says so (`stretch.ts`). */
const PART =
  '(?:the )?(?:very )?(?:(?:first|second|third|fourth|last|final|opening|closing|middle) (?:half|third|quarter|minute|hour|[^ ]+ (?:minutes|seconds|percent))|beginning|start|middle|end)';

/** What a question calls a video, and what it asks of it: English; what is called so is looked up, and a question in which nothing is stays as it was. */
const NAMED = [
  // "Summarise the first half of Steam engines", "how often is a boiler shown in the last minute of Steam engines?"
  written(`^(?<rest>.*\\b(?:in|during|at|of|summari[sz]e|describe) ${PART}) of (?<name>.+?)[?!. ]*$`),
  // "What is “Steam engines” about?", "Summarise the lecture on steam engines"
  written(`^(?:so |and )?what(?:'s| is| are| was| were) (?<name>.+?)(?: all)? about[?!. ]*$`),
  written(
    `^(?:please |can you )*(?:summari[sz]e|describe|(?:give (?:me )?)?(?:an? |the )?(?:summary|overview|recap|gist) of|what are the (?:main|key|most important) (?:points|topics|ideas|subjects|themes) (?:of|in)) (?<name>.+?)[?!. ]*$`,
  ),
  // "What is said in the radio show?"
  written(
    `^(?<rest>what(?:'s| is| was| are)? (?:happening|happens|going on|said|shown|seen|discussed|talked about)) in (?<name>.+?)[?!. ]*$`,
  ),
  // "In “Steam engines” what is said of boilers?", "In the lecture on steam engines, when is a boiler shown?"
  written(`^in ${THE}(?:${VIDEO} (?:${CALLED} )?)?${QUOTED},? (?<rest>.+)$`),
  written('^in (?<name>[^,]+), (?<rest>.+)$'),
  written(
    `^(?<rest>.+?) (?:in|from|of|during) (?:${THE}(?:${VIDEO} (?:${CALLED} )?)?${QUOTED}|(?:the|my|our|that) ${VIDEO} ${CALLED} (?<name>.+?))[?!. ]*$`,
  ),
];
/** "Compare X and Y": two videos, where both are called so. */
const COMPARED = [
  written(
    `^(?:please )?(?:compare|what(?:'s| is| are) (?:the )?(?:main )?differences? between) (?<one>.+?) (?:and|with|to|versus|vs\\.?) (?<other>.+?)[?!. ]*$`,
  ),
  written('^what do (?<one>.+?) and (?<other>.+?) have in common[?!. ]*$'),
];
function written(source: string): RegExp {
  return new RegExp(source, 'isu');
}

/** Names that a question gives to videos, and its words without them. */
export function namedIn(text: string): { names: string[]; rest: string } | undefined {
  const line = oneLine(text);
  for (const pattern of COMPARED) {
    const { one, other } = pattern.exec(line)?.groups ?? {};
    if (one && other) return namesOf([one, other], 'Compare these videos');
  }
  for (const pattern of NAMED) {
    const { name, quoted = name, rest = SUMMARY } = pattern.exec(line)?.groups ?? {};
    if (quoted) return namesOf([quoted], rest);
  }
  return undefined;
}

const LEAD = written(`^${THE}(?:${VIDEO} ${CALLED} |${VIDEO} (?=["“]))?`);
/** "This video", "these lectures" and "what they say about the weather" call no video by its name. */
const NO_NAME = written(
  `^(?:(?:this|that|these|those|the|it|they|all|each|both|my|our|your|whole|entire|first|last|of) ?|${VIDEO} ?)+$|^(?:what|everything) (?:they|he|she|people|is|was)(?: being)? (?:say|said|talk|tell|told|discuss|mention)`,
);
function namesOf(all: string[], rest: string): { names: string[]; rest: string } | undefined {
  const names = all.map((name) =>
    name
      .replace(LEAD, '')
      .replace(/^["“]|["”]$/g, '')
      .trim(),
  );
  return names.every((name) => name !== '' && !NO_NAME.test(name)) ? { names, rest } : undefined;
}
