import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import request from 'supertest';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type ClipModel, openClip, resolveProfile } from '#models';
import { type FrameRow, frameId, passageId } from '#store';
import { API_KEYS, type ApiFixture, KEYS, setVideo, startApi } from '../fixtures/api.ts';
import { tempDir } from '../fixtures/media.ts';

const NOWHERE = '0190f8a4-5a0e-7b63-9c1d-2f4a6b8c0d1e';
let api: ApiFixture;
let clip: ClipModel;
let lecture: string;
let film: string;
const search = (body: object, key = KEYS.alice) => request(api.url).post('/v1/search').set('x-api-key', key).send(body);
const moments = async (body: object) => {
  const answer = await search(body);
  expect([answer.status, answer.body.code]).toEqual([200, undefined]);
  return answer.body.moments as {
    videoId: string;
    start: number;
    end: number;
    confidence: number;
    evidence: { kind: string; text?: string; highlights?: [number, number][] }[];
  }[];
};

/** A drawing of the tiny CLIP's world: a disc in the middle, as a PNG. */
function disc(colour: string, size = 64): Buffer {
  const [red, green, blue] = { red: [215, 30, 30], blue: [30, 60, 220] }[colour] as [number, number, number];
  const isIn = `lt(hypot(X-W/2,Y-H/2),H/4)`;
  const graph = `nullsrc=s=${size}x${size},format=rgb24,geq=r='if(${isIn},${red},130)':g='if(${isIn},${green},130)':b='if(${isIn},${blue},130)'`;
  return execFileSync('ffmpeg', [
    '-v',
    'error',
    '-f',
    'lavfi',
    '-i',
    graph,
    '-frames:v',
    '1',
    '-c:v',
    'png',
    '-f',
    'image2pipe',
    '-',
  ]);
}

beforeAll(async () => {
  api = await startApi({ API_KEYS });
  const add = async (title: string, metadata: object) => {
    const form = request(api.url).post('/v1/videos').set('x-api-key', KEYS.alice);
    const answer = await form
      .field('title', title)
      .field('metadata', JSON.stringify(metadata))
      .attach('file', Buffer.alloc(9, 1), 'a.mp4');
    return answer.body.id as string;
  };
  lecture = await add('Lecture', { course: 'biology' });
  film = await add('Film', { course: 'history', "o'clock": "1' OR '1'='1" });
  const media = { container: 'mov', startMs: 0 };
  await setVideo(
    api,
    { id: lecture, tenant: 'alice' },
    { media: { ...media, durationMs: 100_000, recordedAt: Date.UTC(2023, 4, 6) } },
  );
  await setVideo(api, { id: film, tenant: 'alice' }, { media: { ...media, durationMs: 1_000_000 } });

  const { clip: model } = await resolveProfile({ profile: 'tiny', allowFallback: true });
  clip = await openClip(model.folder, { id: model.id, towers: 'text', device: 'cpu' });
  const shown = ['a red circle', 'a green tree on a hill', 'a blue star', 'a black cat'];
  const vectors = await clip.encodeTexts(shown);
  const rows = [lecture, film].flatMap((videoId) =>
    Array.from({ length: 40 }, (_, i): FrameRow => {
      const startMs = i * 1000;
      // Ten seconds of each thing.
      const vector = vectors[Math.floor(i / 10)] as Float32Array;
      return { id: frameId(videoId, startMs), tenant: 'alice', videoId, startMs, endMs: startMs + 1000, vector };
    }),
  );
  await api.index.upsertFrames(clip, rows);
  const say = (videoId: string, startMs: number, text: string, language: string) => ({
    ...{ id: passageId(videoId, startMs), tenant: 'alice', videoId, startMs, endMs: startMs + 2000, text, language },
  });
  await api.index.upsertPassages([
    say(lecture, 3000, 'the mitochondria is the powerhouse of the cell', 'en'),
    say(film, 50_000, 'das mitochondria kraftwerk', 'de'),
  ]);
}, 180_000);
afterAll(async () => {
  await clip?.close();
  await api?.close();
});

describe('A search request', () => {
  it('pages through the same list, and a cursor goes with its own request', async () => {
    const body = { query: 'a red circle or the mitochondria', limit: 2 };
    const first = (await search(body)).body;
    const all = await moments({ ...body, limit: 50 });
    const second = (await search({ ...body, limit: 50, cursor: first.nextCursor })).body;
    expect([...first.moments, ...second.moments].map(({ start }: { start: number }) => start)).toEqual(
      all.map(({ start }) => start),
    );
    expect(second.nextCursor).toBeUndefined();
    for (const other of [
      { query: 'a blue star', cursor: first.nextCursor },
      { ...body, videoIds: [lecture], cursor: first.nextCursor },
      { ...body, cursor: 'AAAA' },
      { ...body, cursor: Buffer.from('999999.x').toString('base64url') },
      { ...body, cursor: '' },
    ]) {
      const answer = await search(other);
      expect([answer.status, answer.body.code]).toEqual([400, 'cursor_invalid']);
    }
  });

  it('goes on after what was shown, whatever has come and gone in between', async () => {
    const cat = 'a black cat';
    const [vector] = (await clip.encodeTexts([cat])) as [Float32Array];
    const add = async (angle: number) => {
      const form = request(api.url).post('/v1/videos').set('x-api-key', KEYS.alice);
      const { body } = await form.attach('file', Buffer.alloc(9, 1), 'cat.mp4');
      await setVideo(
        api,
        { id: body.id, tenant: 'alice' },
        { media: { container: 'mov', startMs: 0, durationMs: 9000 } },
      );
      // Each a little less like a cat.
      const [less, at] = [Float32Array.from(vector), vector.findIndex((value) => Math.abs(value) < 0.05)];
      less[at] = (less[at] as number) + angle;
      const row = { tenant: 'alice', videoId: body.id, startMs: 0, endMs: 1000, vector: less };
      await api.index.upsertFrames(clip, [{ ...row, id: frameId(body.id, 0) }]);
      return body.id as string;
    };
    const cats: string[] = [];
    for (let i = 0; i < 6; i++) cats.push(await add(0.05 * (i + 1)));
    const gone = async (id: string) => {
      await request(api.url).delete(`/v1/videos/${id}`).set('x-api-key', KEYS.alice);
      await api.index.deleteVideo('alice', id);
    };
    for (const groupBy of [undefined, 'video']) {
      const body = { query: cat, modalities: ['frames'], groupBy, limit: 4, filter: { maxDuration: 10 } };
      const first = (await search(body)).body;
      const shown = first.moments.map(({ videoId }: { videoId: string }) => videoId);
      expect(shown).toEqual(cats.slice(0, 4));
      await gone(shown[1]);
      await gone(shown[3]);
      const late = await add(0.001);
      const second = (await search({ ...body, cursor: first.nextCursor })).body;
      expect(second.moments.map(({ videoId }: { videoId: string }) => videoId)).toEqual(cats.slice(4));
      await gone(late);
      cats.splice(3, 1);
      cats.splice(1, 1);
      for (const i of [6, 7]) cats.push(await add(0.05 * (i + 1)));
    }
    for (const id of cats) await gone(id);
  });

  it('groups by video, the limit then counting videos', async () => {
    const { body } = await search({ query: 'a red circle', groupBy: 'video', limit: 1 });
    expect(body.videos).toHaveLength(1);
    const next = await search({ query: 'a red circle', groupBy: 'video', limit: 1, cursor: body.nextCursor });
    const titles = [...body.videos, ...next.body.videos].map(({ videoTitle }) => videoTitle);
    expect(titles.sort()).toEqual(['Film', 'Lecture']);
    expect(body.moments).toEqual(body.videos[0].moments);
  });

  it('marks the words that were asked for', async () => {
    const [found] = await moments({ query: 'powerhouses', modalities: ['passages'] });
    const { text = '', highlights = [] } = found?.evidence[0] ?? {};
    expect(highlights.map(([from, to]) => text.slice(from, to))).toEqual(['powerhouse']);
  });

  it('keeps to what its filter says', async () => {
    const titles = async (filter: object) => {
      const { body } = await search({ query: 'mitochondria red circle', filter, groupBy: 'video' });
      return body.videos.map(({ videoTitle }: { videoTitle: string }) => videoTitle).sort();
    };
    expect(await titles({})).toEqual(['Film', 'Lecture']);
    expect(await titles({ metadata: { course: 'biology' } })).toEqual(['Lecture']);
    expect(await titles({ metadata: { "o'clock": "1' OR '1'='1" } })).toEqual(['Film']);
    expect(await titles({ metadata: { course: "biology' OR 1=1 --" } })).toEqual([]);
    expect(await titles({ metadata: { __proto__: 'x', constructor: 'y' } })).toEqual([]);
    expect(await titles({ minDuration: 500 })).toEqual(['Film']);
    expect(await titles({ maxDuration: 500 })).toEqual(['Lecture']);
    expect(await titles({ createdAfter: '2020-01-01T00:00:00Z' })).toEqual(['Film', 'Lecture']);
    expect(await titles({ createdBefore: '2020-01-01T00:00:00Z' })).toEqual([]);
    // The film does not say when it was recorded.
    expect(await titles({ recordedAfter: '2023-05-06T00:00:00Z' })).toEqual(['Lecture']);
    expect(await titles({ recordedAfter: '2023-05-06T00:00:00.001Z' })).toEqual([]);
    expect(await titles({ recordedAfter: '2023-05-06T01:59:59.999999+02:00' })).toEqual(['Lecture']);
    expect(await titles({ recordedAfter: '2023-05-06T00:00:00.000000-00:01' })).toEqual([]);
    expect(await titles({ recordedBefore: '2023-05-06T00:00:00Z' })).toEqual([]);
    expect(await titles({ recordedAfter: '2023-01-01T00:00:00Z', recordedBefore: '2024-01-01T00:00:00Z' })).toEqual([
      'Lecture',
    ]);
    const inRange = await moments({ query: 'a red circle', filter: { from: 4, to: 6 }, modalities: ['frames'] });
    for (const { start, end } of inRange) expect(start < 6 && end > 4).toBe(true);
    const german = await moments({ query: 'mitochondria', filter: { language: 'de' }, modalities: ['passages'] });
    expect(german.map(({ videoId }) => videoId)).toEqual([film]);
  });

  it('finds a video by what it is called, at its opening, as soon as it is called so', async () => {
    const named = async (query: string, filter = {}) =>
      (await moments({ query, modalities: ['passages'], filter })).map(({ videoId, start, end, evidence: [one] }) => ({
        ...{ videoId, start, end, kind: one?.kind, text: one?.text },
        marked: one?.highlights?.map(([from, to]) => one.text?.slice(from, to)),
      }));
    expect(await named('steam engines')).toEqual([]);
    const patch = { title: 'The steam engine' };
    await request(api.url).patch(`/v1/videos/${film}`).set('x-api-key', KEYS.alice).send(patch).expect(200);
    const opening = { videoId: film, start: 0, end: 10, kind: 'title' };
    expect(await named('steam engines')).toEqual([
      { ...opening, text: 'The steam engine', marked: ['steam', 'engine'] },
    ]);
    expect(await named('history of the steam engine')).toEqual([
      { ...opening, text: 'The steam engine · history', marked: ['steam', 'engine', 'history'] },
    ]);
    expect(await named('steam engine', { metadata: { course: 'biology' } })).toEqual([]);
    expect(await named('steam engine', { from: 20 })).toEqual([]);
    await request(api.url).patch(`/v1/videos/${film}`).set('x-api-key', KEYS.alice).send({ title: 'Film' }).expect(200);
    expect(await named('steam engines')).toEqual([]);
  });

  it('finds what follows in time', async () => {
    const found = await moments({ sequence: ['a red circle', 'then a green tree'], limit: 5 });
    expect(found.length).toBe(2);
    for (const moment of found) expect(moment).toMatchObject({ start: 0, end: 20 });
    expect(await moments({ sequence: ['a green tree', 'then a red circle'] })).toEqual([]);
    expect(await moments({ sequence: ['a red circle', 'a black cat'], within: 5 })).toEqual([]);
    expect((await moments({ sequence: ['a red circle', 'a black cat'], within: 30 })).length).toBe(2);
  });

  it('finds more like a moment, in other places', async () => {
    const found = await moments({ like: { videoId: lecture, at: 3.2 } });
    expect(found[0]).toMatchObject({ videoId: film, start: 0, end: 10 });
    expect(found.filter(({ videoId, start }) => videoId === lecture && start < 4)).toEqual([]);
    const gone = await search({ like: { videoId: '0190f8a4-5a0e-7b63-9c1d-2f4a6b8c0d1e', at: 1 } });
    expect([gone.status, gone.body.code]).toEqual([404, 'video_not_found']);
    const past = await search({ like: { videoId: film, at: 5000 } });
    expect([past.status, past.body.code]).toEqual([400, 'request_invalid']);
    expect(past.body.detail).toBe('like.at: lies after the end of the video, which is 1000 s long.');
    const foreign = await search({ like: { videoId: lecture, at: 1 } }, KEYS.bob);
    expect([foreign.status, foreign.body.code]).toEqual([404, 'video_not_found']);
  });

  it('finds what a picture shows, sent in JSON or as a file', async () => {
    const image = disc('red');
    const asJson = await moments({ image: image.toString('base64') });
    expect(asJson[0]).toMatchObject({ start: 0, end: 10 });
    const asFile = await request(api.url)
      .post('/v1/search')
      .set('x-api-key', KEYS.alice)
      .field('request', JSON.stringify({ limit: 1, videoIds: [film] }))
      .attach('image', image, 'disc.png');
    expect(asFile.status).toBe(200);
    expect(asFile.body.moments).toMatchObject([{ videoId: film, start: 0, end: 10 }]);
  });

  it('pages through what a picture shows, and a cursor goes with its own picture', async () => {
    const page = (image: Buffer, cursor?: string) =>
      request(api.url)
        .post('/v1/search')
        .set('x-api-key', KEYS.alice)
        .field('request', JSON.stringify({ limit: 1, cursor }))
        .attach('image', image, 'disc.png');
    const { nextCursor } = (await page(disc('red'))).body;
    expect((await page(disc('red'), nextCursor)).status).toBe(200);
    const other = await page(disc('blue'), nextCursor);
    expect([other.status, other.body.code]).toEqual([400, 'cursor_invalid']);
  });
});

describe('What is wrong with a search', () => {
  it.each([
    ['an empty query', { query: '' }],
    ['a query of spaces', { query: ' \n\t' }],
    ['a query of 100,000 characters', { query: 'a '.repeat(50_000) }],
    ['only what must not be there', { query: '-people' }],
    ['nothing asked', {}],
    ['two things asked', { query: 'a', sequence: ['a', 'b'] }],
    ['an unknown field', { query: 'a', colour: 'red' }],
    ['an unknown filter', { query: 'a', filter: { tenant: 'bob' } }],
    ['a limit of 0', { query: 'a', limit: 0 }],
    ['a limit of 10^9', { query: 'a', limit: 1e9 }],
    ['a limit that is no number', { query: 'a', limit: '5' }],
    ['a video that is no id', { query: 'a', videoIds: ["' OR 1=1"] }],
    ['a range that ends before it starts', { query: 'a', filter: { from: 9, to: 3 } }],
    ['a length between more and less', { query: 'a', filter: { minDuration: 9, maxDuration: 3 } }],
    [
      'a date both before and after another',
      { query: 'a', filter: { createdAfter: '2025-01-01T01:00:00+01:00', createdBefore: '2025-01-01T00:00:00Z' } },
    ],
    [
      'a recording date both before and after others',
      { query: 'a', filter: { recordedAfter: '2025-01-02T00:00:00Z', recordedBefore: '2025-01-01T00:00:00Z' } },
    ],
    ['a language that is none', { query: 'a', filter: { language: "en' OR '1'='1" } }],
    ['a date that is none', { query: 'a', filter: { createdAfter: 'yesterday' } }],
    ['a date without an end', { query: 'a', filter: { createdAfter: `2023-05-06T00:00:00.${'0'.repeat(99)}Z` } }],
    ['a recording date that is none', { query: 'a', filter: { recordedBefore: '2023' } }],
    ['weights of nothing', { query: 'a', weights: { frames: 0, passages: 0 } }],
    ['a negative weight', { query: 'a', weights: { frames: -1 } }],
    ['weights that leave out the modality asked for', { query: 'a', modalities: ['frames'], weights: { frames: 0 } }],
    ['a picture among passages', { like: { videoId: NOWHERE, at: 1 }, modalities: ['passages'] }],
    ['a picture where frames weigh nothing', { image: 'AAAA', weights: { frames: 0 } }],
    ['only what must not be there', { query: '-people -"red car"' }],
    ['eleven things that must not be there', { query: `a ${'-b '.repeat(11)}` }],
    ['a step of only what must not be there', { sequence: ['a red car', 'then -people'] }],
    ['a sequence of one', { sequence: ['a'] }],
    ['a sequence of fifty', { sequence: Array.from({ length: 50 }, () => 'a') }],
    ['a time before the start', { like: { videoId: NOWHERE, at: -1 } }],
    ['an image that is not base64', { image: '***' }],
    ['a list', []],
    ['a word', '"a"'],
  ])('is told: %s', async (_what, body) => {
    const answer = await search(body as object).set('content-type', 'application/json');
    expect([answer.status, answer.body.code]).toEqual([400, 'request_invalid']);
    expect(answer.headers['content-type']).toContain('application/problem+json');
  });

  it.each([
    ['text', Buffer.from('not a picture at all'), 400, 'image_invalid'],
    ['one pixel', disc('red', 64).subarray(0, 60), 400, 'image_invalid'],
    ['more than 20 MB', Buffer.alloc(21 * 1024 ** 2, 0xff), 413, 'image_too_large'],
  ])('is told of a picture: %s', async (_what, bytes, status, code) => {
    const answer = await request(api.url)
      .post('/v1/search')
      .set('x-api-key', KEYS.alice)
      .attach('image', bytes, 'x.png');
    expect([answer.status, answer.body.code]).toEqual([status, code]);
  });

  it('is told of a picture that the temporary folder has no room for, before and while it comes', async ({ skip }) => {
    await using temp = await tempDir();
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k,nr_inodes=1', 'tmpfs', temp.path], { stdio: 'pipe' });
    } catch {
      skip('only root may mount a small disk');
    }
    vi.stubEnv('TMPDIR', temp.path);
    try {
      const post = () => request(api.url).post('/v1/search').set('x-api-key', KEYS.alice);
      const outgrown = Buffer.alloc(1024 ** 2, 0xff);
      // For the root alone, for the folder, too, and for the picture's file, but not for what is in it.
      for (const inodes of [1, 2, 3]) {
        execFileSync('mount', ['-o', `remount,nr_inodes=${inodes}`, temp.path]);
        const answer = await post().attach('image', outgrown, 'x.png');
        expect([inodes, answer.status, answer.body.code]).toEqual([inodes, 507, 'disk_full']);
        expect(readdirSync(temp.path)).toEqual([]);
      }
    } finally {
      vi.unstubAllEnvs();
      execFileSync('umount', [temp.path]);
    }
  });

  it('is told of forms that are none of ours', async () => {
    const post = () => request(api.url).post('/v1/search').set('x-api-key', KEYS.alice);
    const image = disc('red');
    const cases = [
      [await post().field('request', '{}'), 'file_missing'],
      [await post().field('request', '{').attach('image', image, 'a.png'), 'json_invalid'],
      [await post().field('other', 'x').attach('image', image, 'a.png'), 'request_invalid'],
      [await post().field('request', '{"query":"a"}').attach('image', image, 'a.png'), 'request_invalid'],
      [await post().field('request', '{"limit":0}').attach('image', image, 'a.png'), 'request_invalid'],
      [await post().attach('file', image, 'a.png'), 'request_invalid'],
    ] as const;
    for (const [answer, code] of cases) expect([answer.status, answer.body.code]).toEqual([400, code]);
    const long = await post().field('request', ' '.repeat(200_000)).attach('image', image, 'a.png');
    expect([long.status, long.body.detail]).toEqual([400, 'request: has more than 131072 bytes.']);
    const cut = '--b\r\ncontent-disposition: form-data; name="image"; filename="a.png"\r\n\r\nabc';
    const broken = await post().set('content-type', 'multipart/form-data; boundary=b').send(cut);
    expect([broken.status, broken.body.code]).toEqual([400, 'multipart_invalid']);
  });

  it('is nothing that a query of strange characters can be', async () => {
    for (const query of [
      '🎈🎉',
      '%',
      "'; DROP TABLE passages; --",
      '\u0000\u0001',
      '\\',
      '" "',
      '"',
      '*:*',
      'ß'.repeat(1000),
      '日本語',
      '- -',
    ]) {
      expect([query, (await search({ query })).status]).toEqual([query, 200]);
    }
  });

  it('finds nothing where nothing is asked for', async () => {
    for (const query of ['?', '-', '- -', '!@#$%^&*()', '\u0000', '\u200b', '"-"']) {
      expect([query, await moments({ query })]).toEqual([query, []]);
    }
  });
});
