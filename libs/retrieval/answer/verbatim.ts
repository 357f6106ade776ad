import { type PassageRow, terms, wordsOf } from '#store';
import { readQuery } from '../query.ts';
import { countOf, type Findings, findingsOf, knownVideos, type Looking, MAX_PLACES, passageMoment } from './plan.ts';
import { trimmed } from './wording.ts';

const QUOTED = /["“„]([^"“”„]+)["“”]/gu;
/** Words with a capital that follow another word: "mention The Who", but not "The Who played". */
const CAPITALS = /(?<=[\p{Ll}\p{N},'’]\s)\p{Lu}\p{Ll}+(?:\s+\p{Lu}\p{Ll}+)*/gu;

/** Names that are made of function words alone ("The Who", "It", “Them”), as they are written: no index has such words. */
export function wordlessNames(text: string): string[] {
  const marked = [
    ...[...text.matchAll(QUOTED)].map(([, quoted]) => (quoted as string).trim()),
    ...[...text.replace(QUOTED, ' ').matchAll(CAPITALS)].map(([run]) => run),
  ];
  return [...new Set(marked)].filter((name) => wordsOf(name).length > 0 && terms(name).length === 0);
}

/** Passages with these names as they are written, and with all else that is looked for; undefined where there are none. */
export async function findVerbatim(looking: Looking, text: string, wanted: string[]): Promise<Findings | undefined> {
  const { sources, question } = looking;
  if (!['needle', 'list', 'count'].includes(question.kind)) return undefined;
  const rest = wanted.reduce((left, name) => left.replace(name, ' '), text.replace(/["“”„]/g, ' '));
  const asked = readQuery(rest)
    .words.filter((word) => trimmed(word) !== '')
    .flatMap((word) => terms(word));
  const says = ({ text: said, language }: PassageRow): boolean => {
    // Few have the name, and only their words are looked at: an hour's are some ms.
    if (!wanted.every((name) => names(said, name))) return false;
    const own = new Set(terms(said, language));
    return asked.every((term) => own.has(term));
  };
  const { videos, isOpen } = await knownVideos(looking);
  const found: PassageRow[] = [];
  for (const { id } of videos) found.push(...(await sources.passages(id)).filter(says));
  if (found.length === 0) return undefined;
  const all = await findingsOf(looking, found.slice(0, MAX_PLACES).map(passageMoment), true);
  return { ...all, count: countOf(found), capped: isOpen };
}

/** As it is written, and as whole words. One word at the beginning of a sentence is seldom a name ("It rains"). */
function names(said: string, name: string): boolean {
  for (let at = said.indexOf(name); at >= 0; at = said.indexOf(name, at + 1)) {
    const [before, after] = [said.slice(0, at), said.slice(at + name.length)];
    const isWhole = !/[\p{L}\p{N}]$/u.test(before) && !/^[\p{L}\p{N}]/u.test(after);
    if (isWhole && (name.includes(' ') || /[^\s.?!…“"]["“]?\s*$/.test(before))) return true;
  }
  return false;
}
