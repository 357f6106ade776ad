import { join } from 'node:path';
import request from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openClip, resolveProfile } from '#models';
import { frameId, passageId } from '#store';
import { API_KEYS, type ApiFixture, KEYS, setVideo, startApi } from '../fixtures/api.ts';

const NOWHERE = '0190f8a4-5a0e-7b63-9c1d-2f4a6b8c0d1e';
/** What each of its frames shows, twenty seconds each: frames whose embedding is that of their description. */
const SHOWN = ['a red car', 'a house', 'a campfire at night', 'a rainbow', 'a fish', 'a clock', 'a cat', 'a red car'];
let plain: ApiFixture;
let withSetting: ApiFixture;
let id: string;
let configured: string;

const labels = (query: string, video = id, api = plain, key = KEYS.alice) =>
  request(api.url).get(`/v1/videos/${video}/labels${query}`).set('x-api-key', key);
const search = (body: object, api = plain) =>
  request(api.url).post('/v1/search').set('x-api-key', KEYS.alice).send(body);

async function upload(api: ApiFixture): Promise<string> {
  const posted = request(api.url).post('/v1/videos').set('x-api-key', KEYS.alice);
  return (await posted.attach('file', Buffer.alloc(9, 1), 'a.mp4')).body.id;
}
/** A video as a worker would leave it. */
async function add(api: ApiFixture): Promise<string> {
  const videoId = await upload(api);
  const { clip } = await resolveProfile({ ...api.config.models, parts: ['clip'], allowFallback: true });
  const model = await openClip(clip.folder, { id: clip.id, towers: 'text', device: 'cpu' });
  const vectors = await model.encodeTexts(SHOWN);
  await model.close();
  const at = { tenant: 'alice', videoId };
  await api.index.upsertFrames(
    { id: clip.id, dimension: model.dimension },
    vectors.map((vector, i) => {
      const startMs = 20_000 * i;
      return { ...at, id: frameId(videoId, startMs), startMs, endMs: startMs + 20_000, vector };
    }),
  );
  await api.index.upsertPassages([
    { ...at, id: passageId(videoId, 5000), startMs: 5000, endMs: 9000, text: 'the mitochondria' },
  ]);
  const media = { container: 'mov', durationMs: 160_000, startMs: 0 };
  await setVideo(api, { id: videoId, tenant: 'alice' }, { media, status: 'ready' });
  return videoId;
}

beforeAll(async () => {
  plain = await startApi({ API_KEYS });
  withSetting = await startApi({ API_KEYS, LABELS: 'a rainbow, a helicopter,a rainbow' });
  id = await add(plain);
  configured = await add(withSetting);
}, 120_000);
afterAll(async () => {
  await Promise.all([plain?.close(), withSetting?.close()]);
});

describe('Labels of a video', () => {
  it('are those that it shows: how long, since when, where, with thumbnails that need no key', async () => {
    const { status, body } = await labels('?labels=a%20rainbow,a%20helicopter,%20a%20red%20car,a%20red%20car');
    expect(status).toBe(200);
    expect(body).toMatchObject({
      videoId: id,
      complete: true,
      labels: [
        {
          label: 'a red car',
          total: 40,
          first: 0,
          count: 2,
          spans: [
            { start: 0, end: 20 },
            { start: 140, end: 160 },
          ],
        },
        { label: 'a rainbow', total: 20, first: 60, count: 1, spans: [{ start: 60, end: 80 }] },
      ],
    });
    expect(body.labels).toHaveLength(2);
    const [span] = body.labels[1].spans;
    expect(span.thumbnailUrl).toMatch(new RegExp(`^/v1/videos/${id}/thumbnails/60000\\?expires=\\d+&signature=`));
    expect((await labels('?labels=a%20helicopter')).body.labels).toEqual([]);
  });

  it('are looked for as LABELS says where the request names none, and without either the problem says so', async () => {
    const { body } = await labels('', configured, withSetting);
    expect(body.labels).toMatchObject([{ label: 'a rainbow', first: 60 }]);
    const none = await labels('');
    expect([none.status, none.body.code]).toEqual([400, 'labels_missing']);
  });

  it.each([
    ['none', 'labels='],
    ['nothing between commas', 'labels=,%20,,'],
    ['201', `labels=${Array.from({ length: 201 }, (_, i) => i).join(',')}`],
    ['one of 101 characters', `labels=${'a'.repeat(101)}`],
    ['several lists', 'labels=a&labels=b'],
  ])('are refused: %s', async (_what, query) => {
    const { status, body } = await labels(`?${query}`);
    expect([status, body.code]).toEqual([400, 'request_invalid']);
  });

  it('are refused where they are more than an address can hold', async () => {
    const { status, body } = await labels(`?labels=${'a,'.repeat(50_000)}`);
    expect([status, body.code]).toEqual([431, 'headers_too_large']);
  });

  it('may be 200, and of any letters', async () => {
    const many = Array.from({ length: 200 }, (_, i) => `${i}`).join(',');
    expect((await labels(`?labels=${many}`)).status).toBe(200);
    const odd = encodeURIComponent("🚗,レインボー,-,';DROP TABLE,<b>");
    expect((await labels(`?labels=${odd}`)).status).toBe(200);
  });

  it('are no other tenant’s business, and there are none before anything is known of a video', async () => {
    expect((await labels('?labels=a', id, plain, KEYS.bob)).body.code).toBe('video_not_found');
    expect((await labels('?labels=a', NOWHERE)).body.code).toBe('video_not_found');
    const waiting = await labels('?labels=a', await upload(plain));
    expect([waiting.status, waiting.body.code]).toEqual([409, 'video_not_ready']);
  });
});

describe('Labels of moments', () => {
  it('stand on those that were found by their pictures, where the request or LABELS names some', async () => {
    const query = { query: 'a rainbow', modalities: ['frames'], limit: 1 };
    const asked = (await search({ ...query, labels: ['a cat', 'a rainbow', 'a rainbow'] })).body;
    expect(asked.moments[0].labels).toEqual([{ label: 'a rainbow', confidence: expect.any(Number) }]);
    expect(asked.steps.labels).toBeGreaterThan(0);
    expect((await search(query)).body.moments[0]).not.toHaveProperty('labels');
    expect((await search(query, withSetting)).body.moments[0].labels).toMatchObject([{ label: 'a rainbow' }]);
    expect((await search({ ...query, labels: [] }, withSetting)).body.moments[0]).not.toHaveProperty('labels');
    const said = { query: 'mitochondria', modalities: ['passages'], labels: ['a rainbow'] };
    expect((await search(said)).body.moments[0]).not.toHaveProperty('labels');
    const groups = (await search({ ...query, groupBy: 'video', labels: ['a rainbow'] })).body;
    expect(groups.videos[0].moments[0].labels).toEqual(groups.moments[0].labels);
  });

  it('are in the answer to what a video is about', async () => {
    const ask = (api: ApiFixture, video: string) =>
      request(api.url)
        .post('/v1/ask')
        .set('x-api-key', KEYS.alice)
        .send({ question: 'what is this video about?', videoIds: [video] });
    const { body } = await ask(withSetting, configured);
    expect(body.answer).toMatch(/Seen most in "a": a rainbow \(from 1:00 to 1:20\) \[2\]\.$/);
    expect(body.citations[1].moment).toMatchObject({ start: 60, end: 80, evidence: [{ kind: 'frame', at: 60 }] });
    expect((await ask(plain, id)).body.answer).not.toContain('Seen most');
  });

  it.each([
    ['no list', 'a'],
    ['an empty one', ['']],
    ['201', Array.from({ length: 201 }, (_, i) => `${i}`)],
    ['one of 100,000 characters', ['a'.repeat(100_000)]],
    ['a number', [1]],
  ])('are refused: %s', async (_what, names) => {
    const { status, body } = await search({ query: 'a', labels: names });
    expect([status, body.code]).toEqual([400, 'request_invalid']);
  });
});

describe('Labels by a sigmoid', () => {
  it('are as likely as scale and bias of the settings make them, in videos and moments', async () => {
    const folder = join(import.meta.dirname, '../../models/tiny/clip');
    const logits = { CLIP_MODEL: folder, CLIP_LOGIT_SCALE: '30', CLIP_LOGIT_BIAS: '-28' };
    const api = await startApi({ API_KEYS, ...logits });
    try {
      const video = await add(api);
      // A frame here is its text: the cosine is 1.
      const likely = { label: 'a rainbow', confidence: expect.closeTo(1 / (1 + Math.exp(-2)), 4) };
      const { body } = await labels('?labels=a%20rainbow,a%20helicopter', video, api);
      expect(body.labels).toMatchObject([{ ...likely, first: 60 }]);
      const query = { query: 'a rainbow', modalities: ['frames'], limit: 1, labels: ['a helicopter', 'a rainbow'] };
      expect((await search(query, api)).body.moments[0].labels).toEqual([likely]);
    } finally {
      await api.close();
    }
  });
});
