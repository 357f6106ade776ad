import request from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { captionsKey } from '#store';
import { type ApiFixture, setVideo, startApi } from '../fixtures/api.ts';

const SRT = '1\n00:00:01,000 --> 00:00:02,000\nHello.\n';
let api: ApiFixture;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api?.close());

const upload = () => request(api.url).post('/v1/videos');
const put = (id: string, body: string | Buffer, type = 'application/x-subrip', query = '') =>
  request(api.url).put(`/v1/videos/${id}/captions${query}`).set('content-type', type).send(body);
const record = async (id: string) => {
  const video = await api.catalog.getVideo('default', id);
  if (!video) throw new Error(`No video ${id}`);
  return video;
};
const newVideo = async (): Promise<string> => (await upload().attach('file', Buffer.alloc(100, 7), 'a.mp4')).body.id;

describe('Captions', () => {
  it('come with an upload, before or after the file, with the choice of what to transcribe', async () => {
    const after = await upload()
      .attach('file', Buffer.alloc(100, 7), 'a.mp4')
      .attach('captions', Buffer.from(SRT), 'a.srt')
      .field('transcribe', 'auto');
    expect(after.status).toBe(202);
    expect(await record(after.body.id)).toMatchObject({
      transcribe: 'auto',
      captionsFile: { sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
    });
    const before = await upload()
      .attach('captions', Buffer.from(SRT), 'a.srt')
      .attach('file', Buffer.alloc(100, 7), 'a.mp4');
    expect(before.status).toBe(202);
    const given = captionsKey(await record(before.body.id));
    expect(await api.blobs.stat(given)).toEqual({ sizeBytes: SRT.length });
  });

  it('that are none refuse the upload, and nothing stays behind', async () => {
    const files = await api.blobFiles();
    const answer = await upload()
      .attach('file', Buffer.alloc(100, 7), 'a.mp4')
      .attach('captions', Buffer.from('just words'), 'a.srt');
    expect(answer.status).toBe(422);
    expect(answer.body).toMatchObject({ code: 'captions_invalid' });
    expect(await api.blobFiles()).toEqual(files);
    const choice = await upload().field('transcribe', 'sometimes').attach('file', Buffer.alloc(100, 7), 'a.mp4');
    expect(choice.body).toMatchObject({ code: 'request_invalid', errors: [{ path: 'transcribe' }] });
  });

  it('are put as they are, replaced, and removed', async () => {
    const id = await newVideo();
    expect((await put(id, SRT)).status).toBe(202);
    const first = (await record(id)).captionsFile;
    expect((await put(id, 'WEBVTT\n\n00:01.000 --> 00:02.000\nBye.\n', 'text/vtt; charset=utf-8')).status).toBe(202);
    expect((await record(id)).captionsFile).not.toEqual(first);
    expect((await request(api.url).delete(`/v1/videos/${id}/captions`)).status).toBe(202);
    expect((await record(id)).captionsFile).toBeUndefined();
    expect((await request(api.url).delete(`/v1/videos/${id}/captions`)).body).toMatchObject({
      code: 'captions_not_found',
    });
    const metrics = await request(api.url).get('/metrics');
    expect(metrics.text).toMatch(/cuepoint_jobs\{queue="captions",state="waiting"\} 3/);
  });

  it('that change are indexed even if the api dies in that moment: it is asked for before anything changes', async () => {
    const id = await newVideo();
    await put(id, SRT);
    const queued = () =>
      Promise.all([
        api.connection.llen('{cuepoint}:captions:wait'),
        api.connection.zcard('{cuepoint}:captions:delayed'),
      ]);
    const [waiting] = await queued();
    const seen = new Set<string>();
    const connection = api.connection.duplicate();
    const monitor = await connection.monitor();
    monitor.on('monitor', (_time: string, [command = '', key = '', ...rest]: string[]) => {
      if (/^hm?set$/i.test(command) && key.startsWith(`{cuepoint}:captions:captions-${id}-`)) seen.add('asked');
      if (/^hdel$/i.test(command) && key.endsWith(id) && rest.includes('captionsFile')) seen.add('changed');
    });
    expect((await request(api.url).delete(`/v1/videos/${id}/captions`)).status).toBe(202);
    await expect.poll(() => [...seen], { timeout: 10_000 }).toEqual(['asked', 'changed']);
    monitor.disconnect();
    connection.disconnect();
    expect(await queued()).toEqual([waiting + 1, 0]);
  });

  it('that are stored and come no further are removed by a worker', async () => {
    const id = await newVideo();
    const files = await api.blobFiles();
    // All but the queue of captions, which is asked between their file and the record.
    await api.connection.call('ACL', 'SETUSER', 'default', 'resetkeys', '~{cuepoint}:[^c]*');
    const refused = await put(id, SRT);
    await api.connection.call('ACL', 'SETUSER', 'default', 'allkeys');
    expect([refused.status, refused.body.code]).toEqual([503, 'store_unavailable']);
    const [left] = (await api.blobFiles()).filter((path) => !files.includes(path));
    const marks = () => api.catalog.abandonedUploads();
    await expect.poll(marks).toEqual([{ tenant: 'default', videoId: left?.split('/').slice(-3, -1).join('/') }]);
    await api.catalog.endUpload('default', (await marks())[0]?.videoId ?? '', true);
    // Of those that are taken no mark stays, nor of those before.
    for (let round = 0; round < 2; round++) expect((await put(id, SRT)).status).toBe(202);
    expect(await api.connection.exists('{cuepoint}:uploads')).toBe(0);
  });

  it('may be in another language than what is spoken', async () => {
    const id = await newVideo();
    expect((await put(id, SRT, 'text/vtt', '?language=DE')).status).toBe(202);
    expect((await record(id)).captionsFile).toMatchObject({ language: 'de' });
    await put(id, SRT, 'text/vtt', '?language=deu');
    expect((await record(id)).captionsFile).toMatchObject({ language: 'de' });
    const wrong = await put(id, SRT, 'text/vtt', '?language=German');
    expect(wrong.body).toMatchObject({ code: 'request_invalid', errors: [{ path: 'language' }] });
    expect((await record(id)).captionsFile).toMatchObject({ language: 'de' });
    await put(id, SRT);
    expect((await record(id)).captionsFile).not.toHaveProperty('language');
  });

  it('given twice at once are one file with its own language, and those before are removed', async () => {
    const id = await newVideo();
    await put(id, SRT);
    const languages = ['de', 'en', 'fr', 'es'];
    const captions = async () => (await api.blobFiles()).filter((path) => path.includes(`${id}/captions`));
    for (let round = 0; round < 5; round++) {
      await Promise.all(
        languages.map((language, i) => put(id, SRT + ' '.repeat(i), 'text/vtt', `?language=${language}`)),
      );
      const video = await record(id);
      const given = languages.indexOf(video.captionsFile?.language ?? '');
      expect(await api.blobs.stat(captionsKey(video))).toEqual({ sizeBytes: SRT.length + given });
      expect(await captions()).toHaveLength(1);
    }
    await put(id, SRT);
    await request(api.url).delete(`/v1/videos/${id}/captions`);
    expect(await captions()).toEqual([]);
    expect(await api.connection.exists('{cuepoint}:uploads')).toBe(0);
  });

  it('that came with their video go when others take their place', async () => {
    const { body } = await upload()
      .attach('file', Buffer.alloc(100, 7), 'a.mp4')
      .attach('captions', Buffer.from(SRT), 'a.srt');
    const first = captionsKey(await record(body.id));
    expect((await put(body.id, SRT)).status).toBe(202);
    const second = captionsKey(await record(body.id));
    const files = (await api.blobFiles()).filter((path) => path.includes(body.id));
    expect(files.map((path) => [first, second].findIndex((key) => path.endsWith(key))).sort()).toEqual([-1, 1]);
  });

  it('refuse what they cannot be', async () => {
    const id = await newVideo();
    expect((await put(id, '')).body).toMatchObject({
      code: 'captions_invalid',
      detail: 'This is neither SubRip nor WebVTT: it is empty.',
    });
    expect((await put(id, 'no captions')).body).toMatchObject({ code: 'captions_invalid' });
    const reading = (n: number) => `00:0${n}.000 --> 00:0${n}.900\n2012-10-03 17:05:0${n}\n`;
    expect((await put(id, [1, 2, 3, 4, 5].map(reading).join('\n'))).body).toMatchObject({
      code: 'captions_invalid',
      detail: 'These are readings of a camera (exposure, position, time), not what is said.',
    });
    await setVideo(api, { id }, { media: { container: 'mov', durationMs: 500, startMs: 0 } });
    const late = (await put(id, '1\n00:00:01,000 --> 00:00:02,000\ntoo late\n')).body;
    expect(late).toMatchObject({
      code: 'captions_invalid',
      detail: 'All its captions begin after the end of the video.',
    });
    expect((await put(id, Buffer.alloc(9 * 2 ** 20, 32), 'text/plain')).body).toMatchObject({ code: 'body_too_large' });
    expect((await put(id, '{}', 'application/json')).body).toMatchObject({ code: 'content_type_unsupported' });
    expect((await put(id, '<x/>', 'text/xml')).body).toMatchObject({ code: 'content_type_unsupported' });
    expect((await put('018f0000-0000-7000-8000-000000000000', SRT)).body).toMatchObject({ code: 'video_not_found' });
    // Types that only captions have are no way around the JSON of other addresses.
    const search = await request(api.url).post('/v1/search').set('content-type', 'text/vtt').send('{"query":"x"}');
    expect(search.body).toMatchObject({ code: 'content_type_unsupported' });
  });

  it('are refused by a video of which nothing is found, until it is tried again', async () => {
    const id = await newVideo();
    const files = await api.blobFiles();
    for (const status of ['failed', 'cancelled'] as const) {
      await setVideo(api, { id }, { status });
      const { body } = await put(id, SRT);
      expect(body).toMatchObject({ status: 409, code: 'video_not_ready' });
      expect(body.detail).toContain(`The video is ${status}`);
      expect(body.detail).toContain(`/v1/videos/${id}/retry`);
    }
    expect(await api.blobFiles()).toEqual(files);
    await request(api.url).post(`/v1/videos/${id}/retry`);
    expect((await put(id, SRT)).status).toBe(202);
  });

  it('are the transcript where a video has them, unless speech is asked for', async () => {
    const id = await newVideo();
    const row = { tenant: 'default', videoId: id, startMs: 0, endMs: 1000 };
    await api.index.upsertPassages([
      { ...row, id: '018f0000-0000-7000-8000-00000000000a', text: 'herd', kind: 'speech' },
      { ...row, id: '018f0000-0000-7000-8000-00000000000b', text: 'heard', kind: 'caption' },
    ]);
    const read = async (query = '') => (await request(api.url).get(`/v1/videos/${id}/transcript${query}`)).body;
    expect(await read()).toMatchObject({ source: 'speech', complete: false, passages: [{ text: 'herd' }] });
    const captionsOf = (cues: number) =>
      setVideo(api, { id }, { captions: { source: 'upload', language: 'en', cues } });
    await captionsOf(0);
    expect(await read()).toMatchObject({ source: 'speech', passages: [{ text: 'herd' }] });
    await captionsOf(1);
    expect(await read()).toMatchObject({
      source: 'captions',
      language: 'en',
      complete: true,
      passages: [{ text: 'heard' }],
    });
    expect(await read('?source=speech')).toMatchObject({ source: 'speech', passages: [{ text: 'herd' }] });
    expect((await request(api.url).get(`/v1/videos/${id}`)).body).toMatchObject({
      captions: { source: 'upload', cues: 1 },
    });
    const summary = await request(api.url)
      .post('/v1/ask')
      .send({ question: 'Summarize the video', videoIds: [id] });
    expect(summary.body.answer).toMatch(/heard/i);
    expect(summary.body.answer).not.toMatch(/herd/i);
  });
});
