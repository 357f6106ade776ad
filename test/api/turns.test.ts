import { setTimeout as sleep } from 'node:timers/promises';
import request from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openClip, resolveProfile } from '#models';
import { frameId, passageId } from '#store';
import { type ApiFixture, importBuilt, setVideo, startApi } from '../fixtures/api.ts';
import { begin, finish, type LlmFixture, piece, startLlm } from '../fixtures/llm.ts';

type TurnsModule = typeof import('../../apps/api/search/turns.ts');

describe('Turns', () => {
  let Turns: TurnsModule['Turns'];
  beforeAll(async () => {
    ({ Turns } = await importBuilt<TurnsModule>('search/turns.js'));
  });

  it('lets so many run at a time, in the order they came, and goes on after one that fails', async () => {
    const turns = new Turns(2);
    const begun: number[] = [];
    let running = 0;
    let most = 0;
    const all = await Promise.allSettled(
      Array.from({ length: 8 }, (_, i) =>
        turns.take(async () => {
          begun.push(i);
          most = Math.max(most, ++running);
          await sleep(5);
          running--;
          if (i === 1) throw new Error('no');
          return i;
        }),
      ),
    );
    expect(begun).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(most).toBe(2);
    expect(all.map((one) => one.status === 'fulfilled')).toEqual([true, false, true, true, true, true, true, true]);
    expect(await turns.take(async () => 'after')).toBe('after');
  });

  it('are not taken by who has gone while waiting', async () => {
    const turns = new Turns(1);
    const gone = new AbortController();
    let worked = false;
    const first = turns.take(() => sleep(20));
    const second = turns.take(async () => {
      worked = true;
    }, gone.signal);
    gone.abort(new Error('gone'));
    await expect(second).rejects.toThrow('gone');
    await first;
    expect(worked).toBe(false);
    expect(await turns.take(async () => 'after')).toBe('after');
  });
});

describe('One queue for all that reads the index', () => {
  const SEARCHES = 40;
  let api: ApiFixture;
  let llm: LlmFixture;
  let id: string;
  const search = (query: string) => request(api.url).post('/v1/search').send({ query });
  const ask = (question: string) => request(api.url).post('/v1/ask').send({ question });

  beforeAll(async () => {
    llm = await startLlm();
    api = await startApi({ LLM_BASE_URL: llm.url, LLM_MODEL: 'm' });
    const posted = await request(api.url).post('/v1/videos').attach('file', Buffer.alloc(9, 1), 'a.mp4');
    id = posted.body.id;
    const at = { tenant: 'default', videoId: id };
    const { clip } = await resolveProfile({ profile: 'tiny', allowFallback: true });
    const model = await openClip(clip.folder, { id: clip.id, towers: 'text', device: 'cpu' });
    const vectors = await model.encodeTexts(['a red circle', 'a blue star', 'a fish', 'a cat']);
    await model.close();
    await api.index.upsertFrames(
      { id: clip.id, dimension: model.dimension },
      vectors.map((vector, i) => {
        const startMs = 10_000 * i;
        return { ...at, id: frameId(id, startMs), startMs, endMs: startMs + 10_000, vector };
      }),
    );
    await api.index.upsertPassages([
      { ...at, id: passageId(id, 0), startMs: 0, endMs: 5000, text: 'the mitochondria is the powerhouse' },
    ]);
    const media = { container: 'mov', durationMs: 40_000, startMs: 0 };
    await setVideo(api, { id }, { media, status: 'ready' });
    expect((await search('warm up')).status).toBe(200);
  }, 60_000);
  afterAll(async () => {
    await api?.close();
    await llm?.close();
  });

  it.each([
    ['A question', () => ask('what is the mitochondria')],
    ['What labels there are', () => request(api.url).get(`/v1/videos/${id}/labels?labels=a%20fish`)],
    ['Chapters', () => request(api.url).get(`/v1/videos/${id}/chapters`)],
  ])('%s comes after the searches that came before', async (what, send) => {
    llm.behave('NOT_FOUND');
    let answered = 0;
    const searches = Array.from({ length: SEARCHES }, async (_, i) => {
      // Each a text of its own, which no one has encoded yet.
      const { status, body } = await search(`${what} ${i} is followed by a red circle`);
      answered++;
      return { status, tookMs: body.tookMs as number, waitMs: body.steps.wait as number };
    });
    await sleep(20);
    expect((await send()).status).toBe(200);
    // All that came before had their turn; a few answers are still on their way.
    expect(answered).toBeGreaterThan(SEARCHES - 10);

    const all = await Promise.all(searches);
    for (const { status, tookMs, waitMs } of all) {
      expect(status).toBe(200);
      expect(tookMs).toBeGreaterThan(waitMs);
    }
    expect(Math.max(...all.map(({ waitMs }) => waitMs))).toBeGreaterThan(0);
  });

  it('Searches whose clients have gone hold up nobody', async () => {
    const gone = new AbortController();
    const many = Array.from({ length: 200 }, (_, i) => {
      const body = JSON.stringify({ query: `gone ${i} while a red circle is seen` });
      const headers = { 'content-type': 'application/json' };
      return fetch(`${api.url}/v1/search`, { method: 'POST', headers, body, signal: gone.signal }).catch(() => 'gone');
    });
    await sleep(100);
    gone.abort();
    const left = (await Promise.all(many)).filter((answer) => answer === 'gone').length;
    expect(left).toBeGreaterThan(100);
    const { status, body } = await search('after them');
    expect(status).toBe(200);
    // All that were left would have taken their turns before.
    const { tookMs, steps } = body;
    expect(steps.wait).toBeLessThan(20 * (tookMs - steps.wait));
  });

  it('No question holds a turn while the chat model writes', async () => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    llm.behave(async (response) => {
      await released;
      begin(response);
      response.write(piece('It is the powerhouse [1][2].'));
      response.end(finish());
    });
    const asked = Array.from({ length: 6 }, () => ask('what is the mitochondria').then((answer) => answer));
    await expect.poll(() => llm.requests.length, { timeout: 10_000 }).toBe(asked.length);
    expect((await search('a blue star')).status).toBe(200);
    release();
    expect(new Set((await Promise.all(asked)).map(({ body }) => body.mode))).toEqual(new Set(['llm']));
  });
});
