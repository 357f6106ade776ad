import request from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { API_KEYS, type ApiFixture, KEYS, setVideo, startApi } from '../fixtures/api.ts';

let api: ApiFixture;
beforeAll(async () => {
  api = await startApi({ API_KEYS });
});
afterAll(() => api?.close());

const as = (key: string) => request.agent(api.url).set('authorization', `Bearer ${key}`);
const alice = () => as(KEYS.alice);
const add = async (title: string, key = KEYS.alice) => {
  const answer = await as(key).post('/v1/videos').field('title', title).attach('file', Buffer.alloc(100, 1), 'a.mp4');
  expect(answer.status).toBe(202);
  return answer.body as { id: string };
};
const NOBODY = '0190f8a4-5a0e-7b63-9c1d-2f4a6b8c0d1e';

describe('Videos', () => {
  it('are listed newest first, page by page, and by status', async () => {
    const ids: string[] = [];
    for (const title of ['one', 'two', 'three', 'four', 'five']) ids.unshift((await add(title)).id);
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await alice().get('/v1/videos').query({ limit: 2, cursor });
      expect(page.status).toBe(200);
      seen.push(...page.body.videos.map((video: { id: string }) => video.id));
      cursor = page.body.nextCursor;
    } while (cursor);
    expect(seen).toEqual(ids);
    await setVideo(api, { id: ids[1] as string, tenant: 'alice' }, { status: 'ready' });
    const ready = await alice().get('/v1/videos').query({ status: 'ready' });
    expect(ready.body.videos.map((video: { id: string }) => video.id)).toEqual([ids[1]]);
  });

  it.each([
    ['cursor=nonsense', 'cursor_invalid'],
    ['limit=0', 'request_invalid'],
    ['limit=101', 'request_invalid'],
    ['limit=many', 'request_invalid'],
    ['status=deleting', 'request_invalid'],
  ])('are not listed for %s', async (query, code) => {
    const answer = await alice().get(`/v1/videos?${query}`);
    expect([answer.status, answer.body.code]).toEqual([400, code]);
  });

  it('can be renamed and tagged', async () => {
    const { id } = await add('old');
    const answer = await alice()
      .patch(`/v1/videos/${id}`)
      .send({ title: ' new ', metadata: { a: 'b', constructor: 'c' }, language: 'en' });
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({ title: 'new', metadata: { a: 'b', constructor: 'c' }, language: 'en' });
    const cleared = await alice().patch(`/v1/videos/${id}`).send({ language: null });
    expect(cleared.body).toMatchObject({ title: 'new' });
    expect(cleared.body).not.toHaveProperty('language');
  });

  it('keep what is to become of their speech for when they are indexed again, until it is changed', async () => {
    const { id } = await add('spoken');
    const patch = (body: object) => alice().patch(`/v1/videos/${id}`).send(body);
    expect((await patch({ task: 'translate', prompt: 'Rubisco' })).status).toBe(200);
    await setVideo(api, { id, tenant: 'alice' }, { status: 'failed' });
    const retried = await alice().post(`/v1/videos/${id}/retry`);
    expect(retried.body).toMatchObject({ status: 'queued', task: 'translate', prompt: 'Rubisco' });
    const cleared = (await patch({ task: null, prompt: 'Calvin' })).body;
    expect(cleared).toMatchObject({ prompt: 'Calvin' });
    expect(cleared).not.toHaveProperty('task');
    expect((await patch({ prompt: null })).body).not.toHaveProperty('prompt');
  });

  it.each([
    {},
    { title: '' },
    { task: 'sing' },
    { prompt: '' },
    { title: 5 },
    { status: 'ready' },
    { metadata: { a: 1 } },
  ])('are not changed by %j', async (patch) => {
    const { id } = await add('same');
    const answer = await alice().patch(`/v1/videos/${id}`).send(patch);
    expect([answer.status, answer.body.code]).toEqual([400, 'request_invalid']);
    expect((await alice().get(`/v1/videos/${id}`)).body.title).toBe('same');
  });

  it('are gone at once when they are deleted', async () => {
    const { id } = await add('gone');
    expect((await alice().delete(`/v1/videos/${id}`)).status).toBe(204);
    expect((await alice().get(`/v1/videos/${id}`)).body.code).toBe('video_not_found');
    expect((await alice().delete(`/v1/videos/${id}`)).status).toBe(404);
    const { body } = await alice().get('/v1/videos').query({ limit: 100 });
    expect(body.videos.map((video: { id: string }) => video.id)).not.toContain(id);
    const metrics = await alice().get('/metrics');
    expect(metrics.text).toMatch(/cuepoint_jobs\{queue="cleanup",state="waiting"\} [1-9]/);
  });

  it('that are cancelled are cleaned up even if the api dies in that moment: it is asked for before anything changes', async () => {
    const { id } = await add('busy');
    const cleanups = async (state: string) => {
      const { text } = await alice().get('/metrics');
      return Number(new RegExp(`cuepoint_jobs\\{queue="cleanup",state="${state}"\\} (\\d+)`).exec(text)?.[1]);
    };
    const waiting = await cleanups('waiting');
    await setVideo(api, { id, tenant: 'alice' }, { status: 'ready' });
    expect((await alice().post(`/v1/videos/${id}/cancel`)).status).toBe(409);
    expect([await cleanups('delayed'), await cleanups('waiting')]).toEqual([1, waiting]);
    await setVideo(api, { id, tenant: 'alice' }, { status: 'indexing' });
    expect((await alice().post(`/v1/videos/${id}/cancel`)).status).toBe(202);
    expect([await cleanups('delayed'), await cleanups('waiting')]).toEqual([0, waiting + 1]);
  });

  it('can be cancelled while they wait or are indexed, and then tried again', async () => {
    const { id } = await add('stop');
    await setVideo(api, { id, tenant: 'alice' }, { status: 'indexing' });
    await api.catalog.setStage({ tenant: 'alice', videoId: id, run: 1 }, 'probe', { state: 'active' });
    const cancelled = await alice().post(`/v1/videos/${id}/cancel`);
    expect([cancelled.status, cancelled.body.status]).toEqual([202, 'cancelled']);
    expect(cancelled.body.stages).toMatchObject({ probe: { state: 'skipped' }, finalize: { state: 'skipped' } });
    const twice = await alice().post(`/v1/videos/${id}/cancel`);
    expect([twice.status, twice.body.code]).toEqual([409, 'not_cancellable']);
    const retried = await alice().post(`/v1/videos/${id}/retry`).set('content-type', 'application/json');
    expect([retried.status, retried.body.status]).toEqual([202, 'queued']);
    const busy = await alice().post(`/v1/videos/${id}/retry`);
    expect([busy.status, busy.body.code]).toEqual([409, 'not_retryable']);
    const reindex = await alice().post(`/v1/videos/${id}/reindex`);
    expect([reindex.status, reindex.body.code]).toEqual([409, 'not_reindexable']);
    await setVideo(api, { id, tenant: 'alice' }, { status: 'ready' });
    expect((await alice().post(`/v1/videos/${id}/retry`)).body.code).toBe('not_retryable');
    expect((await alice().post(`/v1/videos/${id}/reindex`)).body.status).toBe('queued');
  });

  it('tell when they were recorded, and what of them is indexed', async () => {
    const { id } = await add('recorded');
    const read = async () => (await alice().get(`/v1/videos/${id}`)).body;
    expect((await read()).counts).toEqual({ frames: 0, passages: 0, captions: 0 });
    const media = { container: 'mov', durationMs: 4000, startMs: 0, recordedAt: Date.UTC(2023, 4, 6, 7, 8, 9) };
    const captions = { source: 'upload', cues: 200, broken: 4 } as const;
    await setVideo(api, { id, tenant: 'alice' }, { media, captions, counts: { frames: 4, passages: 0 } });
    expect(await read()).toMatchObject({
      media: { duration: 4, recordedAt: '2023-05-06T07:08:09.000Z' },
      captions,
      counts: { frames: 4, passages: 0, captions: 200 },
    });
  });

  it('are found by an id in capitals', async () => {
    const { id } = await add('capitals');
    const answer = await alice().get(`/v1/videos/${id.toUpperCase()}`);
    expect([answer.status, answer.body.id]).toEqual([200, id]);
    expect((await alice().delete(`/v1/videos/${id.toUpperCase()}`)).status).toBe(204);
  });

  it('tell how far they are, in seconds', async () => {
    const { id } = await add('half');
    const ref = { tenant: 'alice', videoId: id, run: 1 };
    await setVideo(api, { id, tenant: 'alice' }, { status: 'indexing', startedAt: Date.now() - 60_000 });
    await api.catalog.setStage(ref, 'probe', { state: 'done' });
    await api.catalog.setStage(ref, 'frames', { state: 'active', totalMs: 100_000 });
    await api.catalog.setStage(ref, 'speech', { state: 'active', totalMs: 100_000 });
    await api.catalog.reportProgress(ref, { stage: 'frames', shard: 0, doneMs: 62_500 });
    await api.catalog.reportProgress(ref, { stage: 'speech', shard: 0, doneMs: 37_500 });
    const { body } = await alice().get(`/v1/videos/${id}`);
    expect(body.stages.frames).toEqual({ state: 'active', done: 62.5, total: 100 });
    expect(body.progress).toBe(0.5);
    expect(body.etaSeconds).toBeGreaterThan(50);
    expect(body.etaSeconds).toBeLessThan(70);
    expect(body.startedAt).toMatch(/^\d{4}-\d\d-\d\dT.*Z$/);
  });
});

describe('A tenant', () => {
  it('never sees, changes or finds what belongs to another', async () => {
    const { id } = await add('secret');
    const bob = as(KEYS.bob);
    const answers = await Promise.all([
      bob.get(`/v1/videos/${id}`),
      bob.patch(`/v1/videos/${id}`).send({ title: 'mine' }),
      bob.delete(`/v1/videos/${id}`),
      bob.post(`/v1/videos/${id}/cancel`),
      bob.post(`/v1/videos/${id}/retry`),
      bob.post(`/v1/videos/${id}/reindex`),
      bob.get(`/v1/videos/${id}/events`),
      bob.get(`/v1/videos/${id}/transcript`),
      bob.get(`/v1/videos/${id}/source`),
      bob.get(`/v1/videos/${id}/thumbnails/0`),
    ]);
    for (const answer of answers) expect([answer.status, answer.body.code]).toEqual([404, 'video_not_found']);
    expect((await bob.get('/v1/videos')).body.videos).toEqual([]);
    expect((await alice().get(`/v1/videos/${id}`)).body.title).toBe('secret');
  });

  it('may use an Idempotency-Key that another has used', async () => {
    const send = (key: string) =>
      as(key).post('/v1/videos').set('idempotency-key', 'shared').attach('file', Buffer.alloc(9, 1), 'a.mp4');
    const [first, second] = [await send(KEYS.alice), await send(KEYS.bob)];
    expect(second.status).toBe(202);
    expect(second.body.id).not.toBe(first.body.id);
  });
});

describe('An id', () => {
  it.each([NOBODY, 'x', '..%2f..%2fetc', `${NOBODY}%00`, '%F0%9F%8E%AC', 'x'.repeat(150)])(
    'such as %s that names no video is answered 404',
    async (id) => {
      for (const path of ['', '/events', '/transcript', '/source', '/thumbnails/0']) {
        const answer = await alice().get(`/v1/videos/${id}${path}`);
        expect([answer.status, answer.body.code]).toEqual([404, 'video_not_found']);
        expect(answer.body.type).toBe('urn:cuepoint:problem:video_not_found');
      }
    },
  );
});
