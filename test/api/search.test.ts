import request from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openClip, resolveProfile } from '#models';
import { frameId, passageId } from '#store';
import { API_KEYS, type ApiFixture, KEYS, setVideo, startApi } from '../fixtures/api.ts';

let api: ApiFixture;
let id: string;
let frames: { id: string; dimension: number };
const search = (body: object, key = KEYS.alice) => request(api.url).post('/v1/search').set('x-api-key', key).send(body);
const add = async (title: string, key: string) =>
  (
    await request(api.url)
      .post('/v1/videos')
      .set('x-api-key', key)
      .field('title', title)
      .attach('file', Buffer.alloc(9, 1), 'a.mp4')
  ).body.id as string;

beforeAll(async () => {
  api = await startApi({ API_KEYS });
  id = await add('Traffic', KEYS.alice);
  const { clip } = await resolveProfile({ profile: 'tiny', allowFallback: true });
  const model = await openClip(clip.folder, { id: clip.id, towers: 'text', device: 'cpu' });
  // A picture whose embedding is that of its description: the nearest there can be.
  const [vector] = await model.encodeTexts(['a red circle']);
  await model.close();
  const at = { tenant: 'alice', videoId: id, startMs: 12_340, endMs: 15_000 };
  frames = { id: clip.id, dimension: model.dimension };
  await api.index.upsertFrames(frames, [{ ...at, id: frameId(id, 12_340), vector: vector as Float32Array }]);
  await api.index.upsertPassages([
    {
      ...at,
      id: passageId(id, 60_000),
      startMs: 60_000,
      endMs: 63_500,
      text: 'the mitochondria is the powerhouse',
      language: 'en',
    },
  ]);
});
afterAll(() => api?.close());

describe('A search', () => {
  it('finds what is shown, with a thumbnail that needs no key', async () => {
    const answer = await search({ query: 'a red circle', modalities: ['frames'] });
    expect(answer.status).toBe(200);
    expect(answer.body.tookMs).toBeGreaterThan(0);
    const [moment] = answer.body.moments;
    expect(moment).toMatchObject({ videoId: id, videoTitle: 'Traffic', evidence: [{ kind: 'frame', at: 12.34 }] });
    expect(moment.start).toBeLessThanOrEqual(12.34);
    expect(moment.end).toBeGreaterThanOrEqual(12.34);
    expect(moment.confidence).toBeGreaterThanOrEqual(0);
    expect(moment.confidence).toBeLessThanOrEqual(1);
    expect(moment.evidence[0].thumbnailUrl).toMatch(
      new RegExp(`^/v1/videos/${id}/thumbnails/12340\\?expires=\\d+&signature=`),
    );
    const picture = await request(api.url).get(moment.evidence[0].thumbnailUrl);
    expect(picture.body.code).toBe('thumbnail_not_found');
  });

  it('finds what is said', async () => {
    const answer = await search({ query: 'mitochondria', modalities: ['passages'] });
    expect(answer.body.moments[0]).toMatchObject({
      videoId: id,
      evidence: [{ kind: 'passage', at: 60, end: 63.5, text: 'the mitochondria is the powerhouse' }],
    });
  });

  it('finds both in one list, no longer than asked for', async () => {
    const answer = await search({ query: 'mitochondria in a red circle', limit: 1 });
    expect(answer.body.moments.length).toBe(1);
    expect((await search({ query: '  mitochondria  ' })).status).toBe(200);
  });

  it('stays within the videos it names', async () => {
    const answer = await search({ query: 'mitochondria', videoIds: ['0190f8a4-5a0e-7b63-9c1d-2f4a6b8c0d1e'] });
    expect(answer.body.moments).toEqual([]);
    const capitals = await search({ query: 'mitochondria', videoIds: [id.toUpperCase()] });
    expect(capitals.body.moments).not.toEqual([]);
  });

  it('never finds what belongs to another tenant, not even by naming it', async () => {
    for (const body of [{ query: 'mitochondria' }, { query: 'a red circle', videoIds: [id] }]) {
      const answer = await search(body, KEYS.bob);
      expect([answer.status, answer.body.moments]).toEqual([200, []]);
    }
  });

  it('does not find a video that is being deleted', async () => {
    await request(api.url).delete(`/v1/videos/${id}`).set('x-api-key', KEYS.alice);
    expect((await search({ query: 'mitochondria' })).body.moments).toEqual([]);
  });
});

describe('A time in seconds', () => {
  it('means the milliseconds that it was told for, which are seldom whole ones', async () => {
    const [film, other] = [await add('Film', KEYS.alice), await add('Other', KEYS.alice)];
    const durationMs = 64_100.4;
    await setVideo(api, { id: film, tenant: 'alice' }, { media: { container: 'mov', startMs: 0, durationMs } });
    const show = (videoId: string, startMs: number, endMs: number, axis: number) => {
      const vector = new Float32Array(frames.dimension);
      vector[axis] = 1;
      return { id: frameId(videoId, startMs), tenant: 'alice', videoId, startMs, endMs, vector };
    };
    await api.index.upsertFrames(frames, [
      show(film, 0, 33.367, 0),
      show(film, 33.367, 4100, 1),
      show(film, 4100, durationMs, 2),
      ...[0, 1, 2].map((axis) => show(other, 10_000 * axis, 10_000 * (axis + 1), axis)),
    ]);
    const like = async (at: number) => (await search({ like: { videoId: film, at }, limit: 1 })).body.moments[0];
    // 4.1 * 1000 is less than 4100.
    for (const [at, start] of [
      [0.032, 0],
      [0.033, 10],
      [4.1, 20],
    ] as const)
      expect(await like(at)).toMatchObject({ videoId: other, start });

    const text = 'a sturgeon';
    const span = { tenant: 'alice', videoId: film, startMs: 0, endMs: 1001, text, language: 'en' };
    await api.index.upsertPassages([{ ...span, id: passageId(film, 0) }]);
    const said = async (filter: object) =>
      (await search({ query: 'sturgeon', modalities: ['passages'], filter })).body.moments.length;
    expect([await said({ from: 1 }), await said({ from: 1.001 })]).toEqual([1, 0]);
    expect([await said({ maxDuration: 64.1 }), await said({ maxDuration: 64.099 })]).toEqual([1, 0]);
  });
});

describe('Models that cannot be had', () => {
  it('are told with the reason, and the rest of the api works', async () => {
    const other = await startApi({ CLIP_MODEL: '/nowhere/at-all' });
    try {
      const answer = await request(other.url).post('/v1/search').send({ query: 'a red circle' });
      expect([answer.status, answer.body.code]).toEqual([503, 'models_unavailable']);
      expect(answer.body.detail).toContain('nowhere');
      const ready = await request(other.url).get('/health/ready');
      expect(ready.status).toBe(200);
      expect(ready.body.search).toMatchObject({ state: 'failed', reason: expect.stringContaining('nowhere') });
      expect(
        (
          await request(other.url)
            .post('/v1/search')
            .send({ query: 'x', modalities: ['passages'] })
        ).status,
      ).toBe(200);
    } finally {
      await other.close();
    }
  });
});
