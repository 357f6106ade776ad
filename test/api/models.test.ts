import request from 'supertest';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FramesModel, Video } from '#store';
import { API_KEYS, type ApiFixture, KEYS, setVideo, startApi } from '../fixtures/api.ts';

const OLD = { id: 'old@1', dimension: 4, name: 'no-such-model' };
const NEW = { id: 'new@2', dimension: 8, name: 'another' };
let api: ApiFixture;
beforeEach(async () => {
  api = await startApi({ API_KEYS });
  await api.catalog.offerFramesModel(OLD);
});
afterEach(() => api.close());

const as = (key: string) => ({
  get: (path: string) => request(api.url).get(path).auth(key, { type: 'bearer' }),
  post: (path: string, body: object = {}) => request(api.url).post(path).auth(key, { type: 'bearer' }).send(body),
});
const alice = as(KEYS.alice);
const bob = as(KEYS.bob);
const worker = (framesModel: FramesModel, id = framesModel.id) =>
  api.catalog.announceWorker({ id, ready: true, framesModel });

/** A video that a worker has indexed with `frames`. */
async function indexed(tenant: 'alice' | 'bob', frames: FramesModel[]): Promise<string> {
  const { body } = await request(api.url)
    .post('/v1/videos')
    .auth(KEYS[tenant], { type: 'bearer' })
    .attach('file', Buffer.alloc(9, 1), 'a.mp4');
  await setVideo(api, { id: body.id, tenant }, done(frames));
  for (const [i, model] of frames.entries()) {
    const vector = new Float32Array(model.dimension).fill(1 / Math.sqrt(model.dimension));
    const row = { id: body.id, tenant, videoId: body.id, startMs: 0, endMs: 1000, vector };
    await api.index.upsertFrames(model, [{ ...row, startMs: i }]);
  }
  return body.id;
}
const done = (frames: FramesModel[]): Partial<Video> => ({
  status: 'ready',
  counts: { frames: 1, passages: 0 },
  models: { profile: 'tiny', frames: frames.map(({ id }) => id) },
});

describe('Models', () => {
  it('tells which is searched and which is set, and nothing of where they lie', async () => {
    expect((await alice.get('/v1/models')).body).toEqual({ active: { id: OLD.id, dimension: 4 } });
    await worker(NEW);
    expect((await alice.get('/v1/models')).body).toEqual({
      active: { id: OLD.id, dimension: 4 },
      next: { id: NEW.id, dimension: 8 },
    });
    await worker(OLD);
    expect((await alice.get('/v1/models')).body.code).toBe('models_mixed');
    expect((await request(api.url).get('/v1/models')).status).toBe(401);
  });

  it('change over when every video of every tenant is indexed with the new one, not before', async () => {
    expect((await alice.post('/v1/models/switch')).body.code).toBe('models_loading');
    await worker(NEW);
    const id = await indexed('bob', [OLD]);
    const refused = await alice.post('/v1/models/switch', { force: true });
    expect([refused.status, refused.body.code]).toEqual([409, 'reindex_incomplete']);
    expect(refused.body.detail).not.toContain(id);
    expect((await bob.post('/v1/models/switch')).body.code).toBe('reindex_incomplete');
    await setVideo(api, { id, tenant: 'bob' }, done([OLD, NEW]));
    const changed = await alice.post('/v1/models/switch');
    expect(changed.body).toEqual({ active: { id: NEW.id, dimension: 8 }, previous: { id: OLD.id, dimension: 4 } });
    expect(await api.catalog.framesModel()).toEqual(NEW);
    expect((await alice.post('/v1/models/switch')).body).toEqual({ active: { id: NEW.id, dimension: 8 } });
  });

  it('change over without videos of one’s own that could not be indexed, where it is forced', async () => {
    await worker(NEW);
    await indexed('bob', [OLD]);
    expect((await bob.post('/v1/models/switch', { force: true })).body.active.id).toBe(NEW.id);
    const prune = await alice.post('/v1/models/prune');
    expect([prune.status, prune.body.code]).toEqual([409, 'reindex_incomplete']);
  });

  it('that are not in use any more lose their frames, and the videos know', async () => {
    await worker(NEW);
    const id = await indexed('alice', [OLD, NEW]);
    expect((await alice.post('/v1/models/prune')).body).toEqual({ dropped: 0 });
    await alice.post('/v1/models/switch');
    expect((await alice.post('/v1/models/prune')).body).toEqual({ dropped: 1 });
    expect((await alice.get(`/v1/videos/${id}`)).body.models.frames).toEqual([NEW.id]);
    expect(await api.index.listFrames(OLD, 'alice', id)).toEqual([]);
    expect(await api.index.listFrames(NEW, 'alice', id)).toHaveLength(1);
    expect((await alice.post('/v1/models/prune')).body).toEqual({ dropped: 0 });
  });

  it('a reindex goes beside what is searched where another model is set', async () => {
    const id = await indexed('alice', [OLD]);
    await worker(NEW);
    const { body } = await alice.post(`/v1/videos/${id}/reindex`, { only: 'frames' });
    expect([body.status, body.stages.speech.state]).toEqual(['queued', 'waiting']);
    expect((await api.catalog.getVideo('alice', id))?.reindex).toEqual({ only: 'frames', beside: NEW });
    expect((await alice.post(`/v1/videos/${id}/reindex`, { only: 'sound' })).body.code).toBe('request_invalid');
    expect((await alice.post(`/v1/videos/${id}/reindex`, { only: 'frames' })).body.code).toBe('not_reindexable');
    expect((await bob.post(`/v1/videos/${id}/reindex`)).body.code).toBe('video_not_found');
    await setVideo(api, { id, tenant: 'alice' }, { status: 'failed' });
    expect((await alice.post(`/v1/videos/${id}/reindex`, { only: 'frames' })).body.code).toBe('not_reindexable');
    expect((await alice.post(`/v1/videos/${id}/retry`)).status).toBe(202);
    expect((await api.catalog.getVideo('alice', id))?.reindex).toBeUndefined();
  });

  it('an active one that cannot be opened is named, and passages are searched all the same', async () => {
    const search = (body: object) => alice.post('/v1/search', { query: 'rain', ...body });
    const seen = await search({});
    expect([seen.status, seen.body.code]).toEqual([503, 'models_unavailable']);
    expect(seen.body.detail).toContain(OLD.id);
    expect((await search({ modalities: ['passages'] })).status).toBe(200);
  });
});
