import { beforeEach, expect } from 'vitest';
import type { IndexFilter, VectorIndex } from '#store';
import { direction, frame, MODEL, passage, uuid } from './index-rows.ts';
import { inEachStore } from './index-stores.ts';

inEachStore('The vector index', (store) => {
  const { open, holds, holdsAlone } = store;
  let index: VectorIndex;
  let tenant: string;
  beforeEach(() => {
    ({ index, tenant } = store);
  });

  holds('gives nothing, and no error, before anything was written', async () => {
    const model = { id: `never/${tenant}`, dimension: 8 };
    expect(await index.searchFrames(model, direction(0), { tenant }, 10)).toEqual([]);
    expect(await index.searchPassages('weather', { tenant }, 10)).toEqual([]);
    expect(await index.listFrames(model, tenant, 'v')).toEqual([]);
    expect(await index.listPassages(tenant, 'v')).toEqual([]);
    await index.deleteVideo(tenant, 'v');
    await index.optimize();
  });

  holds('finds frames by cosine, nearest first, ties by id', async () => {
    const rows = [0.3, 0.1, 0.2, 0.2, 0.2].map((angle, i) => frame(tenant, 'v', i, angle));
    await index.upsertFrames(MODEL, rows);
    const hits = await index.searchFrames(MODEL, direction(0), { tenant }, 10);
    const tied = [rows[2], rows[3], rows[4]].map((row) => row?.id).sort();
    expect(hits.map((hit) => hit.id)).toEqual([rows[1]?.id, ...tied, rows[0]?.id]);
    expect(hits[0]).toEqual({
      id: rows[1]?.id,
      tenant,
      videoId: 'v',
      startMs: 1000,
      endMs: 2000,
      score: expect.closeTo(Math.cos(0.1), 5),
    });
    expect(await index.searchFrames(MODEL, direction(0), { tenant }, 2)).toEqual(hits.slice(0, 2));
    expect(await index.searchFrames(MODEL, direction(0), { tenant }, 0)).toEqual([]);
  });

  holds('keeps two models apart, even those of like names or of one name with two dimensions', async () => {
    await index.upsertFrames(MODEL, [frame(tenant, 'v', 0)]);
    const wide = { id: MODEL.id, dimension: 16 };
    expect(await index.searchFrames(wide, new Float32Array(16).fill(0.25), { tenant }, 5)).toEqual([]);
    expect(await index.searchFrames({ id: 'test_model', dimension: 8 }, direction(0), { tenant }, 5)).toEqual([]);
    await expect(index.upsertFrames(wide, [frame(tenant, 'v', 0)])).rejects.toThrow(RangeError);
  });

  holds('tells of which videos it has rows, of all tenants', async () => {
    await index.upsertFrames(MODEL, [frame(tenant, 'v', 0), frame(tenant, 'v', 1), frame(`${tenant}-2`, 'w', 0)]);
    await index.upsertPassages([passage(tenant, 'x', 1, 'words')]);
    const own = (await index.videos(10_000)).filter((one) => one.tenant.startsWith(tenant));
    const names = () => own.map((one) => `${one.tenant.slice(tenant.length)}/${one.videoId}`).sort();
    expect(names()).toEqual(['-2/w', '/v', '/x']);
    expect(await index.videos(1)).toHaveLength(1);
    await index.deleteVideo(`${tenant}-2`, 'w');
  });

  holds('writes a row again as one row, and the last one of an id counts', async () => {
    const row = passage(tenant, 'v', 1, 'first words');
    await index.upsertPassages([row]);
    await index.upsertPassages([row, { ...row, text: 'second words' }]);
    await index.upsertFrames(MODEL, [frame(tenant, 'v', 0, 0.5), frame(tenant, 'v', 0, 0.1)]);
    await index.upsertFrames(MODEL, [frame(tenant, 'v', 0, 0.1)]);
    expect(await index.listPassages(tenant, 'v')).toEqual([{ ...row, text: 'second words' }]);
    const frames = await index.listFrames(MODEL, tenant, 'v');
    expect(frames).toHaveLength(1);
    expect(frames[0]?.vector[1]).toBeCloseTo(Math.sin(0.1), 5);
    expect(await index.searchPassages('first', { tenant }, 5)).toEqual([]);
  });

  holds('lists a video in time order, with vectors and languages', async () => {
    const rows = [5, 1, 3, 0].map((second) => frame(tenant, 'v', second));
    await index.upsertFrames(MODEL, rows);
    await index.upsertFrames(MODEL, [frame(tenant, 'w', 2)]);
    const listed = await index.listFrames(MODEL, tenant, 'v');
    expect(listed).toEqual([...rows].sort((a, b) => a.startMs - b.startMs));
    expect(listed[0]?.vector).toBeInstanceOf(Float32Array);
    const part = await index.listFrames(MODEL, tenant, 'v', { timeRange: { startMs: 1500, endMs: 5000 } });
    expect(part.map(({ startMs }) => startMs)).toEqual([1000, 3000]);
    const rest = { startMs: 1000, endMs: Number.POSITIVE_INFINITY };
    expect((await index.listFrames(MODEL, tenant, 'v', { timeRange: rest })).length).toBe(3);
    const later = { ...passage(tenant, 'v', 9, 'later'), language: 'en' };
    const earlier = passage(tenant, 'v', 2, 'earlier');
    await index.upsertPassages([later, earlier]);
    expect(await index.listPassages(tenant, 'v')).toEqual([earlier, later]);
  });

  holds('finds words the moment they are written, in any form, case and accent', async () => {
    await index.upsertPassages([passage(tenant, 'v', 0, 'The cats were running past the Café.')]);
    const starts = async (query: string) =>
      (await index.searchPassages(query, { tenant }, 5)).map((hit) => hit.startMs);
    for (const query of ['cat', 'CATS', 'runs', 'cafe', 'café!', 'where is the cat?']) {
      expect(await starts(query), query).toEqual([0]);
    }
    expect(await starts('dog')).toEqual([]);
    await index.optimize();
    await index.upsertPassages([passage(tenant, 'v', 1, 'A zebra walks by'), passage(tenant, 'v', 2, '今天天气很好')]);
    expect(await starts('zebras')).toEqual([1000]);
    expect(await starts('天气')).toEqual([2000]);
    expect(await starts('cat')).toEqual([0]);
  });

  holds('ranks a passage with more of the words first', async () => {
    await index.upsertPassages([
      passage(tenant, 'v', 0, 'the weather is nice'),
      passage(tenant, 'v', 1, 'the weather in the mountains is nice'),
      passage(tenant, 'v', 2, 'weather weather'),
      passage(tenant, 'v', 3, 'the sea is nice'),
    ]);
    const hits = await index.searchPassages('weather in the mountains', { tenant }, 10);
    expect(hits[0]?.startMs).toBe(1000);
    expect(hits.map((hit) => hit.startMs).sort()).toEqual([0, 1000, 2000]);
    expect(hits.every((hit, i) => i === 0 || hit.score <= (hits[i - 1]?.score ?? 0))).toBe(true);
  });

  holds('takes any text as a query', async () => {
    await index.upsertPassages([passage(tenant, 'v', 0, 'the weather is nice'), passage(tenant, 'v', 1, '')]);
    const queries = [
      '"weather" AND (NOT sea) OR +x -y ~2^3 title:* [a TO b] {c} \\ / ? : && || !',
      "it's 'weather'; DROP TABLE passages; --",
      '🌦️ weather 👩‍👩‍👧‍👦',
      'weather \0 \ud800 \uffff',
      'weather '.repeat(1250),
      Array.from({ length: 2000 }, (_, i) => `w${i}`).join(' '),
      'x'.repeat(10_000),
    ];
    for (const query of queries) {
      const hits = await index.searchPassages(query, { tenant }, 5);
      expect(hits.length, query.slice(0, 40)).toBe(query.slice(0, 100).includes('weather') ? 1 : 0);
    }
    const [once] = await index.searchPassages('weather', { tenant }, 5);
    const [often] = await index.searchPassages('weather '.repeat(500), { tenant }, 5);
    expect(often?.score).toBe(once?.score);
    for (const query of ['', '   ', '!?', 'the of and']) {
      expect(await index.searchPassages(query, { tenant }, 5), query).toEqual([]);
    }
  });

  holds('never shows or deletes what is of another tenant, whatever the names are', async () => {
    const names = [tenant, `${tenant}' OR '1'='1`, `${tenant}\\`, `${tenant}"\n--`, `${tenant}%`, `${tenant} é🎈`];
    const odd = "v' OR 1=1 --";
    for (const name of names) {
      await index.upsertFrames(MODEL, [frame(name, odd, 0), frame(name, 'v', 1)]);
      await index.upsertPassages([passage(name, odd, 0, 'weather'), passage(name, 'v', 1, 'weather')]);
    }
    for (const name of names) {
      const filter = { tenant: name };
      const hits = [
        ...(await index.searchFrames(MODEL, direction(0), filter, 50)),
        ...(await index.searchPassages('weather', filter, 50)),
      ];
      expect(hits.map((hit) => hit.tenant)).toEqual([name, name, name, name]);
      const some = { tenant: name, videoIds: [odd, 'none', `') OR (tenant <> 'x`] };
      const frames = await index.searchFrames(MODEL, direction(0), some, 50);
      expect(frames.map((hit) => hit.videoId)).toEqual([odd]);
      expect((await index.searchPassages('weather', some, 50)).map((hit) => hit.startMs)).toEqual([0]);
      expect(await index.searchFrames(MODEL, direction(0), { ...filter, videoIds: [] }, 50)).toEqual([]);
      expect(await index.searchPassages('weather', { ...filter, videoIds: [] }, 50)).toEqual([]);
      expect(await index.listPassages(name, `' OR '1'='1`)).toEqual([]);
    }
    await index.deleteVideo(names[1] as string, 'v');
    await index.deleteVideo(tenant, `x' OR 'a'='a`);
    for (const name of names) {
      const left = await index.searchFrames(MODEL, direction(0), { tenant: name }, 50);
      expect(left).toHaveLength(name === names[1] ? 1 : 2);
    }
  });

  holds('deletes all of a video, of every model, and nothing else', async () => {
    const other = { id: 'test/other', dimension: 8 };
    await index.upsertFrames(MODEL, [frame(tenant, 'v', 0), frame(tenant, 'w', 0)]);
    await index.upsertFrames(other, [frame(tenant, 'v', 0)]);
    await index.upsertPassages([passage(tenant, 'v', 0, 'weather'), passage(tenant, 'w', 0, 'weather')]);
    await index.deleteVideo(tenant, 'v');
    expect(await index.listFrames(MODEL, tenant, 'v')).toEqual([]);
    expect(await index.listFrames(other, tenant, 'v')).toEqual([]);
    expect(await index.listPassages(tenant, 'v')).toEqual([]);
    expect((await index.searchPassages('weather', { tenant }, 5)).map((hit) => hit.videoId)).toEqual(['w']);
    expect(await index.listFrames(MODEL, tenant, 'w')).toHaveLength(1);
  });

  holds('removes the frames of a video, of one model or of all, and nothing else', async () => {
    const other = { id: `test/other-${tenant}`, dimension: 8 };
    for (const model of [MODEL, other]) await index.upsertFrames(model, [frame(tenant, 'v', 0), frame(tenant, 'w', 0)]);
    await index.upsertPassages([passage(tenant, 'v', 0, 'weather')]);
    await index.deleteFrames(tenant, 'v', other);
    expect(await index.listFrames(other, tenant, 'v')).toEqual([]);
    expect(await index.listFrames(MODEL, tenant, 'v')).toHaveLength(1);
    await index.deleteFrames(tenant, 'w');
    for (const model of [MODEL, other]) expect(await index.listFrames(model, tenant, 'w')).toEqual([]);
    expect(await index.listFrames(MODEL, tenant, 'v')).toHaveLength(1);
    expect(await index.listPassages(tenant, 'v')).toHaveLength(1);
  });

  holdsAlone('drops the frames of models that are not kept, which can be written again', async () => {
    const other = { id: `test/other-${tenant}`, dimension: 16 };
    const row = { ...frame(tenant, 'v', 0), vector: new Float32Array(16).fill(0.25) };
    const writer = await open();
    await writer.upsertFrames(other, [row]);
    await index.upsertFrames(MODEL, [frame(tenant, 'v', 0)]);
    await index.upsertPassages([{ ...passage(tenant, 'v', 0, 'weather'), vector: direction(0) }], MODEL);
    await index.nameActiveFrames(MODEL);
    await index.nameActiveFrames(MODEL);
    await index.dropFramesExcept([MODEL]);
    expect(await index.listFrames(other, tenant, 'v')).toEqual([]);
    expect(await index.searchFrames(other, row.vector, { tenant }, 5)).toEqual([]);
    expect(await index.listFrames(MODEL, tenant, 'v')).toHaveLength(1);
    expect(await index.searchPassagesByVector(MODEL, direction(0), { tenant }, 5)).toHaveLength(1);
    expect(await index.dropFramesExcept([MODEL])).toBe(0);
    // Another process, which had it open, writes to it again.
    await writer.upsertFrames(other, [row]);
    expect(await index.listFrames(other, tenant, 'v')).toHaveLength(1);
    await index.deleteVideo(tenant, 'v');
  });

  holds('finds passages by meaning, of one model only, and by words whatever the model', async () => {
    const other = { id: 'test/other', dimension: 8 };
    const said = (second: number, text: string) => passage(tenant, 'v', second, text);
    await index.upsertPassages([{ ...said(0, 'rain'), vector: direction(0.1) }, said(1, 'sun')], MODEL);
    await index.upsertPassages([{ ...said(2, 'snow'), vector: direction(0) }], other);
    await index.upsertPassages([{ ...said(3, 'hail'), vector: direction(0.5) }], MODEL);
    const hits = await index.searchPassagesByVector(MODEL, direction(0), { tenant }, 10);
    expect(hits.map((hit) => hit.text)).toEqual(['rain', 'hail']);
    expect(hits[0]).toEqual({ ...said(0, 'rain'), score: expect.closeTo(Math.cos(0.1), 5) });
    const ofOther = await index.searchPassagesByVector(other, direction(0), { tenant }, 10);
    expect(ofOther.map((hit) => hit.text)).toEqual(['snow']);
    for (const word of ['rain', 'sun', 'snow', 'hail'])
      expect(await index.searchPassages(word, { tenant }, 10), word).toHaveLength(1);
    expect(await index.samplePassages(MODEL, { tenant }, 10)).toHaveLength(2);
    await expect(index.upsertPassages([{ ...said(4, 'fog'), vector: direction(0) }])).rejects.toThrow(RangeError);
    await index.deleteVideo(tenant, 'v');
    expect(await index.searchPassagesByVector(MODEL, direction(0), { tenant }, 10)).toEqual([]);
    expect(await index.searchPassagesByVector(other, direction(0), { tenant }, 10)).toEqual([]);
  });

  holds('finds other forms of a word, by the rules of the passage’s language', async () => {
    const said = (second: number, text: string, language?: string) => ({
      ...passage(tenant, 'v', second, text),
      ...(language && { language }),
    });
    await index.upsertPassages([
      said(0, 'Die Häuser am Meer', 'de'),
      said(1, 'un cheval blanc', 'fr'),
      said(2, 'two white horses'),
      said(3, 'köpek ve kediler', 'xx'),
    ]);
    const found = async (text: string, language?: string) =>
      (await index.searchPassages(text, { tenant, ...(language && { language }) }, 10)).map(({ text }) => text);
    expect(await found('Haus')).toEqual(['Die Häuser am Meer']);
    expect(await found('wo sind die chevaux')).toEqual(['un cheval blanc']);
    expect(await found('chevaux', 'fr')).toEqual(['un cheval blanc']);
    expect(await found('horse', 'en')).toEqual([]);
    expect(await found('horse')).toEqual(['two white horses']);
    expect(await found('kediler')).toEqual(['köpek ve kediler']);
    expect(await found('die', 'de')).toEqual([]);
  });

  holds('tells captions from speech, and replaces one without the other', async () => {
    const caption = { ...passage(tenant, 'v', 1, 'rain'), kind: 'caption', language: 'de' } as const;
    await index.upsertPassages([passage(tenant, 'v', 0, 'rain'), { ...caption, vector: direction(0) }], MODEL);
    const kinds = async (filter: Omit<IndexFilter, 'tenant'>) =>
      (await index.searchPassages('rain', { tenant, ...filter }, 10)).map((hit) => hit.kind);
    expect((await kinds({})).sort()).toEqual(['caption', 'speech']);
    expect(await kinds({ kinds: ['caption'] })).toEqual(['caption']);
    expect(await kinds({ kinds: [] })).toEqual([]);
    expect(await kinds({ language: 'de' })).toEqual(['caption']);
    expect(await kinds({ language: "de' OR '1'='1" })).toEqual([]);
    expect(await index.listPassages(tenant, 'v', { kinds: ['caption'] })).toEqual([caption]);
    await index.deletePassages(tenant, 'v', []);
    await index.deletePassages(tenant, 'v', ['caption']);
    expect(await kinds({})).toEqual(['speech']);
    expect(await index.searchPassagesByVector(MODEL, direction(0), { tenant }, 10)).toEqual([]);
    await index.deletePassages(tenant, 'v');
    expect(await index.listPassages(tenant, 'v')).toEqual([]);
  });

  holds('finds by time, and leaves videos out', async () => {
    for (const video of ['v', 'w']) {
      const seconds = [0, 1, 2, 3];
      await index.upsertFrames(
        MODEL,
        seconds.map((second) => frame(tenant, video, second)),
      );
      await index.upsertPassages(seconds.map((second) => passage(tenant, video, second, 'rain')));
    }
    const found = async (filter: Omit<IndexFilter, 'tenant'>) => {
      const frames = await index.searchFrames(MODEL, direction(0), { tenant, ...filter }, 50);
      const passages = await index.searchPassages('rain', { tenant, ...filter }, 50);
      const names = (hits: { videoId: string; startMs: number }[]) =>
        hits.map((hit) => hit.videoId + hit.startMs / 1000);
      expect(names(passages).sort()).toEqual(names(frames).sort());
      return names(frames).sort();
    };
    expect(await found({ timeRange: { startMs: 1500, endMs: 3000 } })).toEqual(['v1', 'v2', 'w1', 'w2']);
    expect(await found({ timeRange: { startMs: 2000, endMs: Infinity }, videoIds: ['v'] })).toEqual(['v2', 'v3']);
    expect(await found({ timeRange: { startMs: 5, endMs: 5 } })).toEqual([]);
    expect(await found({ timeRange: { startMs: Number.NaN, endMs: 5 } })).toEqual([]);
    expect(await found({ excludeVideoIds: ['w', "'x"] })).toEqual(['v0', 'v1', 'v2', 'v3']);
    expect(await found({ excludeVideoIds: [] })).toHaveLength(8);
    expect(await found({ videoIds: ['v'], excludeVideoIds: ['v'] })).toEqual([]);
    const many = Array.from({ length: 10_000 }, (_, i) => uuid(`video ${i}`));
    expect(await found({ videoIds: [...many, 'w'] })).toEqual(['w0', 'w1', 'w2', 'w3']);
    expect(await found({ excludeVideoIds: [...many, 'w'] })).toEqual(['v0', 'v1', 'v2', 'v3']);
  });

  holds('answers several queries at once, with vectors where they are wanted', async () => {
    const rows = [0, 1, 2].map((i) => frame(tenant, 'v', i, i / 2));
    await index.upsertFrames(MODEL, rows);
    const vectors = [direction(0), direction(1)];
    const both = await index.searchFramesBatch(MODEL, vectors, { tenant }, 2, { withVectors: true });
    expect(both.map((hits) => hits.map((hit) => hit.startMs))).toEqual([
      [0, 1000],
      [2000, 1000],
    ]);
    for (const hit of both.flat()) {
      const row = rows.find((one) => one.id === hit.id);
      expect([...(hit.vector ?? [])]).toEqual([...(row?.vector ?? [])].map((value) => expect.closeTo(value, 6)));
    }
    const [alone] = await index.searchFrames(MODEL, direction(0), { tenant }, 2);
    expect(alone).not.toHaveProperty('vector');
    expect(await index.searchFramesBatch(MODEL, [], { tenant }, 2)).toEqual([]);
  });

  holds('gives a frame by its id, and what is shown at a time', async () => {
    const rows = [0, 1, 5, 900].map((second) => frame(tenant, 'v', second));
    await index.upsertFrames(MODEL, rows);
    const ids = [...rows.map((row) => row.id), 'no id', "' OR '1'='1"];
    expect((await index.getFrames(MODEL, tenant, ids)).map((row) => row.startMs).sort()).toEqual(
      [0, 1000, 5000, 900_000].sort(),
    );
    expect(await index.getFrames(MODEL, 'another', ids)).toEqual([]);
    expect(await index.getFrames(MODEL, tenant, [])).toEqual([]);
    const at = async (ms: number) => (await index.frameAt(MODEL, tenant, 'v', ms))?.startMs;
    expect(await Promise.all([0, 999, 1000, 2500, 4500, 5500, 400_000, 1e9, -5].map(at))).toEqual([
      0, 0, 1000, 1000, 5000, 5000, 5000, 900_000, 0,
    ]);
    expect((await index.frameAt(MODEL, tenant, 'v', 1000))?.vector).toEqual(rows[1]?.vector);
    expect(await at(Number.NaN)).toBeUndefined();
    expect(await index.frameAt(MODEL, tenant, 'w', 0)).toBeUndefined();
  });

  holds('samples the same frames each time, and sees new ones while they are few', async () => {
    const rows = Array.from({ length: 60 }, (_, i) => frame(tenant, i % 2 ? 'v' : 'w', i));
    await index.upsertFrames(MODEL, rows.slice(0, 30));
    expect(await index.sampleFrames(MODEL, { tenant }, 40)).toHaveLength(30);
    await index.upsertFrames(MODEL, rows.slice(30));
    const sample = await index.sampleFrames(MODEL, { tenant }, 40);
    const lowest = [...rows].sort((a, b) => (a.id < b.id ? -1 : 1)).slice(0, 40);
    expect(sample.map((vector) => vector[1]?.toFixed(5))).toEqual(lowest.map((row) => row.vector[1]?.toFixed(5)));
    const again = await (await open()).sampleFrames(MODEL, { tenant }, 40);
    expect(again).toEqual(sample);
    expect(await index.sampleFrames(MODEL, { tenant, videoIds: ['v'] }, 40)).toHaveLength(30);
    expect(await index.sampleFrames(MODEL, { tenant: 'another' }, 40)).toEqual([]);
    expect(await index.sampleFrames(MODEL, { tenant }, 0)).toEqual([]);
  });

  holds('refuses vectors that have no direction, and takes any limit', async () => {
    await index.upsertFrames(MODEL, [frame(tenant, 'v', 0)]);
    const vectors = [
      new Float32Array(7),
      new Float32Array(8),
      new Float32Array(8).fill(Number.NaN),
      new Float32Array(8).fill(Infinity),
    ];
    for (const vector of vectors) {
      await expect(index.searchFrames(MODEL, vector, { tenant }, 5)).rejects.toThrow(RangeError);
      await expect(index.searchPassagesByVector(MODEL, vector, { tenant }, 5)).rejects.toThrow(RangeError);
      await expect(index.upsertFrames(MODEL, [{ ...frame(tenant, 'v', 1), vector }])).rejects.toThrow(RangeError);
      const row = { ...passage(tenant, 'v', 1, 'rain'), vector };
      await expect(index.upsertPassages([row], MODEL)).rejects.toThrow(RangeError);
    }
    for (const limit of [0, -1, 0.5, Number.NaN])
      expect(await index.searchFrames(MODEL, direction(0), { tenant }, limit)).toEqual([]);
    for (const limit of [1.5, 1e9, Infinity])
      expect(await index.searchFrames(MODEL, direction(0), { tenant }, limit)).toHaveLength(1);
  });
});
