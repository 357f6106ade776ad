/** Reads what an evaluation asks: the sample, a folder of our own layout, and the annotation files of two public benchmarks. */
import { readdir, readFile } from 'node:fs/promises';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { z } from 'zod';
import type { Span, Stretch } from './metrics.ts';

export interface Question {
  query: string;
  /** `seen`, `said`, `both`, `absent` in our own libraries; `any` where a benchmark does not say. */
  kind: string;
  /** What kind of thing an absent one asks for. */
  of?: string;
  /** Ask in this video only; left out, in all of them. */
  within?: string;
  /** Where it is answered; empty for what is not there. */
  truth: Stretch[];
}
export interface Dataset {
  name: string;
  /** Name (as `Stretch.video`) and path of each video that is there. */
  videos: Map<string, string>;
  questions: Question[];
  /** Questions left out because their video is not in the folder. */
  leftOut: number;
}

const MEDIA = new Set(['.mp4', '.mkv', '.webm', '.avi', '.mov', '.m4v', '.ts']);
const span = z.tuple([z.number(), z.number()]).refine(([start, end]) => start < end, 'start lies before end');
const ourLine = z.strictObject({
  video: z.string().optional(),
  query: z.string().min(1),
  spans: z.array(span),
  kind: z.string().optional(),
  of: z.string().optional(),
});
const qvLine = z.object({ vid: z.string(), query: z.string().min(1), relevant_windows: z.array(span) });
const charadesLine = /^(?<vid>\S+) (?<start>[\d.]+) (?<end>[\d.]+)##(?<query>.+)$/;

export const FORMATS = ['jsonl', 'qvhighlights', 'charades'] as const;
export type Format = (typeof FORMATS)[number];

/**
 * `jsonl`: a folder with videos and `*.jsonl`, or such a file beside its videos. A query is asked over all videos of the folder; lines of one query
 * are one question. The benchmarks: an annotation file, and the folder of videos named by their ids; a query is asked in its own video.
 */
export async function readDataset(format: Format, path: string, videosDir?: string): Promise<Dataset> {
  const isFolder = format === 'jsonl' && extname(path) !== '.jsonl';
  const files = isFolder ? (await readdir(path)).filter((name) => name.endsWith('.jsonl')).sort() : [basename(path)];
  if (files.length === 0) throw new Error(`${path} has no .jsonl file with questions.`);
  const folder = isFolder ? path : dirname(path);
  const videos = await videosOf(videosDir ?? folder);
  const lines: { text: string; where: string }[] = [];
  for (const file of files) {
    const text = await readFile(join(folder, file), 'utf8');
    for (const [i, line] of text.split('\n').entries())
      if (line.trim()) lines.push({ text: line.trim(), where: `${file}, line ${i + 1}` });
  }
  const read = { jsonl: ours, qvhighlights: qvHighlights, charades: charadesSta }[format];
  const all = read(lines, videos);
  const isThere = ({ within, truth }: Question) =>
    [within, ...truth.map((one) => one.video)].every((name) => name === undefined || videos.has(name));
  const questions = all.filter(isThere);
  if (questions.length === 0) {
    throw new Error(`None of the ${all.length} questions of ${path} is about a video in ${videosDir ?? folder}.`);
  }
  return { name: resolve(path), videos, questions, leftOut: all.length - questions.length };
}

/** The sample video and its questions. */
export async function readSample(folder: string): Promise<Dataset> {
  const { file, questions } = JSON.parse(await readFile(join(folder, 'sample.json'), 'utf8')) as {
    file: string;
    questions: { query: string; kind: string; start: number; end: number }[];
  };
  return {
    name: 'sample',
    videos: new Map([[file, join(folder, file)]]),
    questions: questions.map(({ query, kind, start, end }) => ({
      query,
      kind,
      truth: [{ video: file, span: [start, end] }],
    })),
    leftOut: 0,
  };
}

type Lines = { text: string; where: string }[];
type Videos = Map<string, string>;

function ours(lines: Lines, videos: Videos): Question[] {
  const byQuery = new Map<string, Question>();
  for (const { text, where } of lines) {
    const { video, query, spans, kind, of } = parsed(ourLine, text, where);
    if (spans.length > 0 && video === undefined) throw new Error(`${where}: spans need the video that they lie in.`);
    const name = video === undefined ? undefined : nameOf(video, videos);
    const question = byQuery.get(query) ?? { query, kind: kind ?? 'absent', of, truth: [] };
    // It may be nowhere in the video of one line, and in that of another.
    if (spans.length > 0 && question.kind === 'absent') question.kind = kind ?? 'any';
    question.truth.push(...spans.map((one: Span) => ({ video: name as string, span: one })));
    byQuery.set(query, question);
  }
  return [...byQuery.values()];
}

/** Lei, Berg & Bansal, "QVHighlights", NeurIPS 2021: JSON lines; a query may have several windows, in steps of two seconds. */
function qvHighlights(lines: Lines, videos: Videos): Question[] {
  return lines.map(({ text, where }) => {
    const { vid, query, relevant_windows } = parsed(qvLine, text, where);
    const video = nameOf(vid, videos);
    return { query, kind: 'any', within: video, truth: relevant_windows.map((one) => ({ video, span: one })) };
  });
}

/** Gao et al., "TALL: Temporal Activity Localization via Language Query", ICCV 2017: `id start end##sentence`. */
function charadesSta(lines: Lines, videos: Videos): Question[] {
  return lines.flatMap(({ text, where }) => {
    const groups = charadesLine.exec(text)?.groups;
    if (!groups) throw new Error(`${where}: not “id start end##sentence”.`);
    const start = Number(groups.start);
    const end = Number(groups.end);
    // The file has a few spans that end before they start.
    if (!(start < end)) return [];
    const video = nameOf(groups.vid as string, videos);
    return [{ query: groups.query as string, kind: 'any', within: video, truth: [{ video, span: [start, end] }] }];
  });
}

function parsed<T extends z.ZodType>(schema: T, text: string, where: string): z.output<T> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error(`${where}: not JSON.`);
  }
  const result = schema.safeParse(value);
  const issue = result.error?.issues[0];
  if (issue) throw new Error(`${where}: ${issue.path.join('.')} ${issue.message}`);
  return result.data as z.output<T>;
}

/** The name a video has in the folder: with its extension where the file of questions leaves that out. */
function nameOf(video: string, videos: Videos): string {
  if (videos.has(video)) return video;
  return [...MEDIA].map((extension) => video + extension).find((name) => videos.has(name)) ?? video;
}

async function videosOf(folder: string): Promise<Videos> {
  const names = (await readdir(folder)).filter((name) => MEDIA.has(extname(name).toLowerCase())).sort();
  return new Map(names.map((name) => [name, join(folder, name)]));
}
