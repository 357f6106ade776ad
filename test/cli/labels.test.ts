import request from 'supertest';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { openClip, resolveProfile } from '#models';
import { frameId } from '#store';
import { type ApiFixture, setVideo, startApi } from '../fixtures/api.ts';
import { CLI, Running } from './processes.ts';

// A safety net for a busy machine.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let api: ApiFixture;
let id: string;
const labels = (...args: string[]) => Running.start([CLI, 'labels', ...args, '--api', api.url]).ended();

beforeAll(async () => {
  api = await startApi({ LABELS: 'a fish' });
  id = (await request(api.url).post('/v1/videos').attach('file', Buffer.alloc(9), 'a.mp4')).body.id;
  const at = { tenant: 'default', videoId: id };
  const { clip } = await resolveProfile({ profile: 'tiny', allowFallback: true });
  const model = await openClip(clip.folder, { id: clip.id, towers: 'text', device: 'cpu' });
  // Twenty seconds each.
  const shown = ['a red car', 'a house', 'a campfire at night', 'a rainbow', 'a fish', 'a clock', 'a cat', 'a red car'];
  const vectors = await model.encodeTexts(shown);
  await model.close();
  await api.index.upsertFrames(
    { id: clip.id, dimension: model.dimension },
    vectors.map((vector, i) => {
      const startMs = 20_000 * i;
      return { ...at, id: frameId(id, startMs), startMs, endMs: startMs + 20_000, vector };
    }),
  );
  const media = { container: 'mov', durationMs: 160_000, startMs: 0 };
  await setVideo(api, { id }, { media, status: 'ready' });
});
afterAll(() => api?.close());

test('`cuepoint labels` says what is in a video: how long, how sure, and where', async () => {
  const { status, stdout } = await labels(id, '--labels', 'a rainbow,a helicopter,a red car');
  expect(status).toBe(0);
  expect(stdout).toMatch(
    /^a red car +00:40 +\d+ % {2}00:00–00:20, 02:20–02:40\na rainbow +00:20 +\d+ % {2}01:00–01:20\n$/,
  );
});

test('`cuepoint labels --json` prints a line for each label, and without --labels asks for those of the api', async () => {
  const { status, records } = await labels(id, '--json');
  expect([status, records]).toEqual([
    0,
    [expect.objectContaining({ type: 'label', videoId: id, label: 'a fish', total: 20, first: 80, count: 1 })],
  ]);
});

test('`cuepoint labels` says where nothing is seen, and what a video lacks', async () => {
  const none = await labels(id, '--labels', 'a helicopter');
  expect([none.status, none.stdout, none.stderr]).toEqual([0, '', expect.stringContaining('None of these labels')]);
  await setVideo(api, { id }, { status: 'indexing' });
  expect((await labels(id, '--labels', 'a cat')).stderr).toContain('still being indexed');
  const unknown = await labels('0190f8a4-5a0e-7b63-9c1d-2f4a6b8c0d1e');
  expect([unknown.status, unknown.stderr]).toEqual([1, expect.stringContaining('video_not_found')]);
});

test('`cuepoint labels` without --labels, of an api that has none, says how to name some', async () => {
  const without = await startApi();
  try {
    const added = await request(without.url).post('/v1/videos').attach('file', Buffer.alloc(9), 'a.mp4');
    const ended = await Running.start([CLI, 'labels', added.body.id, '--api', without.url]).ended();
    expect([ended.status, ended.stderr]).toEqual([1, expect.stringContaining('labels_missing: Name some (--labels "')]);
  } finally {
    await without.close();
  }
});
