import { EventSourceParserStream } from 'eventsource-parser/stream';
import request from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ApiFixture, eventually, setVideo, startApi } from '../fixtures/api.ts';

let api: ApiFixture;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api?.close());

const add = async () =>
  (await request(api.url).post('/v1/videos').attach('file', Buffer.alloc(10, 1), 'a.mp4')).body.id as string;
type Heard = { event?: string; id?: string; data: { status: string; progress: number; title: string } };

/** Opens a stream and keeps what it says. */
async function listen(id: string, query = '', headers: Record<string, string> = {}) {
  const gone = new AbortController();
  const answer = await fetch(`${api.url}/v1/videos/${id}/events${query}`, { signal: gone.signal, headers });
  const heard: Heard[] = [];
  let ended = false;
  const reading = (async () => {
    const events = answer.body?.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
    for await (const event of events ?? []) heard.push({ ...event, data: JSON.parse(event.data) });
    ended = true;
  })().catch(() => {});
  return { answer, heard, reading, isOver: () => ended, leave: () => gone.abort() };
}
const watchers = async () =>
  Number((await api.connection.pubsub('NUMPAT')) ?? 0) + (await api.connection.pubsub('CHANNELS', '*')).length;

describe('The events of a video', () => {
  it('begin with the video as it is, follow each change, and end when it is ready', async () => {
    const id = await add();
    const stream = await listen(id);
    expect(stream.answer.headers.get('content-type')).toContain('text/event-stream');
    await eventually(() => stream.heard.length === 1, 'the state on connect');
    expect(stream.heard[0]).toMatchObject({ event: 'video', data: { id, status: 'queued', progress: 0 } });
    await setVideo(api, { id }, { status: 'indexing' });
    await eventually(() => stream.heard.at(-1)?.data.status === 'indexing', 'the change');
    await setVideo(api, { id }, { status: 'ready', finishedAt: Date.now() });
    await stream.reading;
    expect(stream.isOver()).toBe(true);
    expect(stream.heard.at(-1)?.data).toMatchObject({ status: 'ready', progress: 1 });
  });

  it('are replayed to whoever comes back, with any Last-Event-ID', async () => {
    const id = await add();
    await setVideo(api, { id }, { status: 'failed', error: { code: 'media_broken', message: 'broken' } });
    for (const last of ['1', 'nonsense', '99999999999999999999']) {
      const stream = await listen(id, '', { 'last-event-id': last });
      await stream.reading;
      expect(stream.heard.map((event) => event.data.status)).toEqual(['failed']);
    }
  });

  it('are over for an EventSource that has heard the end and comes back, until something changes', async () => {
    const id = await add();
    const first = await listen(id);
    await setVideo(api, { id }, { status: 'ready' });
    await first.reading;
    const last = { 'last-event-id': first.heard.at(-1)?.id ?? '' };
    expect((await listen(id, '', last)).answer.status).toBe(204);
    await setVideo(api, { id }, { title: 'renamed' });
    const again = await listen(id, '', last);
    await again.reading;
    expect(again.heard.map(({ data }) => data.title)).toEqual(['renamed']);
  });

  it('go on after the end for those who follow', async () => {
    const id = await add();
    await setVideo(api, { id }, { status: 'ready' });
    const stream = await listen(id, '?follow=true');
    await eventually(() => stream.heard.length === 1, 'the state on connect');
    await setVideo(api, { id }, { title: 'renamed' });
    await eventually(() => stream.heard.at(-1)?.data.title === 'renamed', 'the change');
    expect(stream.isOver()).toBe(false);
    await request(api.url).delete(`/v1/videos/${id}`);
    await stream.reading;
    expect(stream.isOver()).toBe(true);
  });

  it('leave nothing behind when listeners go', async () => {
    const id = await add();
    const before = await watchers();
    const streams = await Promise.all(Array.from({ length: 20 }, () => listen(id)));
    await eventually(() => streams.every((stream) => stream.heard.length > 0), 'all listen');
    for (const stream of streams) stream.leave();
    await eventually(async () => (await watchers()) <= before, 'no subscription stays');
  });

  it('are for videos that there are', async () => {
    const answer = await request(api.url).get('/v1/videos/0190f8a4-5a0e-7b63-9c1d-2f4a6b8c0d1e/events');
    expect([answer.status, answer.body.code]).toEqual([404, 'video_not_found']);
    expect((await request(api.url).get(`/v1/videos/${await add()}/events?follow=perhaps`)).body.code).toBe(
      'request_invalid',
    );
  });
});
