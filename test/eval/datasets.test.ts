import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readDataset, readSample } from './datasets.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'cuepoint-eval-'));
  for (const name of ['one.mp4', 'two.mkv', 'notes.txt']) await writeFile(join(dir, name), '');
});
afterEach(() => rm(dir, { recursive: true, force: true }));
const write = async (name: string, lines: (object | string)[]) => {
  const path = join(dir, name);
  await writeFile(path, lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n'));
  return path;
};

describe('A folder in our layout', () => {
  it('has one question for all lines of a query, and knows what is absent', async () => {
    await write('q.jsonl', [
      { video: 'one.mp4', query: 'a car', spans: [[1, 2]], kind: 'seen' },
      {
        video: 'two',
        query: 'a car',
        spans: [
          [3, 4],
          [8, 9],
        ],
        kind: 'seen',
      },
      '',
      { query: 'a cow', spans: [], kind: 'absent', of: 'seen' },
      { video: 'three.mp4', query: 'a dog', spans: [[0, 1]] },
      { video: 'one.mp4', query: 'a hen', spans: [] },
      { video: 'two', query: 'a hen', spans: [[1, 2]] },
    ]);
    const { questions, videos, leftOut } = await readDataset('jsonl', dir);
    expect([...videos.keys()]).toEqual(['one.mp4', 'two.mkv']);
    expect(leftOut).toBe(1);
    expect(questions).toEqual([
      {
        query: 'a car',
        kind: 'seen',
        of: undefined,
        truth: [
          { video: 'one.mp4', span: [1, 2] },
          { video: 'two.mkv', span: [3, 4] },
          { video: 'two.mkv', span: [8, 9] },
        ],
      },
      { query: 'a cow', kind: 'absent', of: 'seen', truth: [] },
      { query: 'a hen', kind: 'any', of: undefined, truth: [{ video: 'two.mkv', span: [1, 2] }] },
    ]);
  });

  it.each([
    ['not JSON', '{"query": "a"', 'q.jsonl, line 1: not JSON'],
    ['a span that ends before it starts', { video: 'one.mp4', query: 'a', spans: [[2, 1]] }, 'start lies before end'],
    ['spans of no video', { query: 'a', spans: [[1, 2]] }, 'spans need the video'],
    ['an unknown field', { video: 'one.mp4', query: 'a', spans: [], speed: 1 }, 'line 1'],
  ])('says which line is wrong: %s', async (_what, line, words) => {
    await write('q.jsonl', [line]);
    await expect(readDataset('jsonl', dir)).rejects.toThrow(words);
  });

  it('says so when there is nothing to ask', async () => {
    await expect(readDataset('jsonl', dir)).rejects.toThrow('no .jsonl file');
    await write('q.jsonl', [{ video: 'three.mp4', query: 'a', spans: [[0, 1]] }]);
    await expect(readDataset('jsonl', dir)).rejects.toThrow('None of the 1 questions');
  });
});

describe('Annotation files of benchmarks', () => {
  it('reads those of QVHighlights, each query within its video', async () => {
    const path = await write('highlight_val_release.jsonl', [
      {
        qid: 2579,
        query: 'A girl and her mother cooked.',
        duration: 150,
        vid: 'one',
        relevant_windows: [[82, 150]],
        relevant_clip_ids: [41],
        saliency_scores: [[3, 2, 1]],
      },
      { qid: 1, query: 'Elsewhere.', duration: 150, vid: 'gone', relevant_windows: [[0, 2]] },
    ]);
    const { questions, leftOut } = await readDataset('qvhighlights', path);
    expect(leftOut).toBe(1);
    expect(questions).toEqual([
      {
        query: 'A girl and her mother cooked.',
        kind: 'any',
        within: 'one.mp4',
        truth: [{ video: 'one.mp4', span: [82, 150] }],
      },
    ]);
  });

  it('reads those of Charades-STA, from a folder of videos elsewhere', async () => {
    const path = await write('charades_sta_test.txt', [
      'two 24.3 30.4##a person turn a light on.',
      'two 30.0 20.0##ends before it starts.',
    ]);
    const { questions } = await readDataset('charades', path, dir);
    expect(questions).toEqual([
      {
        query: 'a person turn a light on.',
        kind: 'any',
        within: 'two.mkv',
        truth: [{ video: 'two.mkv', span: [24.3, 30.4] }],
      },
    ]);
    await write('charades_sta_test.txt', ['two 24.3##a person']);
    await expect(readDataset('charades', path, dir)).rejects.toThrow('line 1');
  });
});

describe('The sample', () => {
  it('is read with its 25 questions', async () => {
    const { questions, videos } = await readSample(join(import.meta.dirname, '../fixtures/sample'));
    expect(questions).toHaveLength(25);
    expect(videos.size).toBe(1);
  });
});
