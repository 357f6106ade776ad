import { describe, expect, it } from 'vitest';
import { CitationFilter } from '#retrieval';

/** What is shown of an answer with evidence 1 to 3, in whatever pieces it comes. */
function shown(text: string): string {
  const all = [1, 2, 3, 7, 1000].map((size) => {
    const filter = new CitationFilter(new Set([1, 2, 3]));
    let out = '';
    for (let at = 0; at < text.length; at += size) out += filter.push(text.slice(at, at + size));
    out += filter.end();
    expect([...filter.cited].sort()).toEqual([...new Set(out.match(/(?<=\[)\d(?=\])/g)?.map(Number))].sort());
    return out;
  });
  expect(new Set(all).size).toBe(1);
  return all[0] as string;
}

describe('A citation as models write it', () => {
  it.each([
    ['One [Moment 1]. Two [ref 2]. Three [evidence 1, evidence 3].', 'One [1]. Two [2]. Three [1][3].'],
    ['One [1 to 3]. Two [1—2]. Three \\[3\\].', 'One [1][2][3]. Two [1][2]. Three [3].'],
    ['One [1, 1:40]. Two [2: 0:05–0:07]. Three [3 at 1:02:15].', 'One [1]. Two [2]. Three [3].'],
    ['آنا هنا [١]. بيتر [۲، ٣]. アンナ［３］。', 'آنا هنا [1]. بيتر [2][3]. アンナ[3]。'],
    ['One [1](#1). Two [[2]](https://example.org/2). Three<sup>[3]</sup>.', 'One [1]. Two [2]. Three[3].'],
    ['At 1:40 p.m. Anna cooks [1].', 'At 1:40 p.m. Anna cooks [1].'],
  ])('is understood: %j', (written, text) => expect(shown(written)).toBe(text));

  it.each([
    ['At [1:40] or [11:40] Anna cooks.'],
    ['In [1:02:15] she [0] cooks (1).'],
    ['[1]'],
    ['[1]\n[2]\n'],
    ['- [1][2]'],
  ])('is a number of what was found, with words that it covers: %j shows nothing', (written) =>
    expect(shown(written)).toBe(''),
  );

  it('may stand on a line of its own below what it covers, and covers no more than a paragraph', () => {
    expect(shown('It is red.\nAnna cooks. Peter eats.\n\n[1][2]\n')).toBe('Anna cooks. Peter eats.\n[1][2]');
    expect(shown('Anna cooks.\nPeter eats [2].\n[1]')).toBe('Peter eats [2].');
  });

  it('may lead a sentence, which then is all that it covers', () => {
    expect(shown('[1] Anna cooks. [2] Peter eats 3.5 kg. It is red. [3] They sing.')).toBe(
      '[1] Anna cooks. [2] Peter eats 3.5 kg. [3] They sing.',
    );
    expect(shown('1. [1] Anna cooks.\n2. [2] Peter eats.\nIt is red. [3]')).toBe(
      '1. [1] Anna cooks.\n2. [2] Peter eats.\nIt is red. [3]',
    );
  });

  it('of a footnote is no sentence, of a list it is', () => {
    expect(shown('Anna cooks [^1].\n\n[^1]: Said at 1:40.')).toBe('Anna cooks [1].');
    expect(shown('Two places:\n[1]: at 1:40\n[2]: at 0:05')).toBe('Two places:\n[1] : at 1:40\n[2] : at 0:05');
  });
});

it('A sentence that a model repeats is shown once', () => {
  expect(shown('Anna cooks [1]. Peter eats [2]. '.repeat(50))).toBe('Anna cooks [1]. Peter eats [2].');
});

it('That there is no answer is understood in Markdown and in quotes', () => {
  for (const none of ['NOT\\_FOUND', '"NOT_FOUND"', '**NOT_FOUND**']) {
    expect(shown(`${none}\nIt is not mentioned [1].`)).toBe('');
  }
});
