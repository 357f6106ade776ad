import { type PassageHit, terms } from '#store';
import { byScore, type Candidate, groupByVideo } from './candidate.ts';

/** Two passages become one moment when so little time lies between them, each matches nearly as much, and the whole stays short. */
const MAX_GAP_MS = 1500;
const MERGE_SHARE = 0.6;
const MAX_MERGED_MS = 30_000;

/** A passage is a moment; its confidence is the share of the query's words that it holds, each word weighed by its rarity. */
export function momentsOfPassages(hits: PassageHit[], words: string[]): Candidate[] {
  const matches = hits.map((hit) => {
    const own = new Set(terms(hit.text));
    return { hit, found: words.filter((word) => own.has(word)) };
  });
  const rarity = rarityOf(
    words,
    matches.map((match) => match.found),
  );
  const total = sum(words.map(rarity));
  const share = (found: Iterable<string>): number => (total > 0 ? sum([...found].map(rarity)) / total : 0);

  const moments: Candidate[] = [];
  const matching = matches
    .filter((match) => match.found.length > 0)
    .map((match) => ({ ...match, videoId: match.hit.videoId }));
  for (const ofVideo of groupByVideo(matching).values()) {
    let open: { moment: Candidate; found: Set<string> } | undefined;
    for (const { hit, found } of ofVideo.sort((a, b) => a.hit.startMs - b.hit.startMs)) {
      const confidence = share(found);
      const evidence = {
        kind: 'passage',
        atMs: hit.startMs,
        endMs: hit.endMs,
        text: hit.text,
        score: hit.score,
      } as const;
      if (open && joins(open.moment, hit, confidence)) {
        for (const word of found) open.found.add(word);
        open.moment.endMs = Math.max(open.moment.endMs, hit.endMs);
        open.moment.score = Math.max(open.moment.score, hit.score);
        open.moment.confidence = share(open.found);
        open.moment.evidence = [...open.moment.evidence, evidence].sort((a, b) => b.score - a.score);
        continue;
      }
      const { videoId, startMs, endMs, score } = hit;
      open = { moment: { videoId, startMs, endMs, score, confidence, evidence: [evidence] }, found: new Set(found) };
      moments.push(open.moment);
    }
  }
  return moments.sort(byScore);
}

function joins(moment: Candidate, next: PassageHit, confidence: number): boolean {
  const alike = Math.min(confidence, moment.confidence) >= MERGE_SHARE * Math.max(confidence, moment.confidence);
  const isShort = next.endMs - moment.startMs <= MAX_MERGED_MS;
  return alike && isShort && next.startMs - moment.endMs <= MAX_GAP_MS;
}

/** The idf of BM25 (Robertson & Zaragoza 2009, with the 1 + that keeps it positive), counted over the hits: every passage with any of the words is among them unless they are many. */
function rarityOf(words: string[], found: string[][]): (word: string) => number {
  const passages = 2 * found.length + 10;
  const counts = new Map(words.map((word) => [word, found.filter((some) => some.includes(word)).length]));
  return (word) => {
    const count = counts.get(word) ?? 0;
    return Math.log(1 + (passages - count + 0.5) / (count + 0.5));
  };
}
const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);
