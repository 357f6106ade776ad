/**
 * Whole search requests of the running product over a large library: how long they take, what of that is text encoding and the store's own queries,
 * what 50 searchers at a time do to it while a video is indexed, and what memory and disk it takes.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openClip, openPassageEncoder, resolveProfile } from '#models';
import { Catalog, connectRedis, openVectorIndex, type VectorIndex } from '#store';
import { startRedis } from '../fixtures/redis.ts';
import type { BenchModels } from './models.ts';
import { median, progress, ROOT, type Row } from './report.ts';
import { Running, repeated, waitFor } from './running.ts';
import { clusteredQueries, generator, sentence, videoId } from './search-data.ts';
import {
  bytesOf,
  fillCatalog,
  type LibrarySize,
  library,
  linked,
  recallAt20,
  TENANT,
  videosOf,
} from './search-library.ts';

const SAMPLE = join(ROOT, 'test/fixtures/sample/sample.mp4');
const SEARCHERS = 50;
/** Hits that libs/retrieval asks the store for. */
const HITS = { frames: 300, passages: 100, meaning: 50 };
/** Asked before anything is measured. */
const WARM_UP = 10;

export interface SearchEffort {
  frames: number;
  passages: number;
  /** Requests one after the other; of each filter a fifth of them. */
  requests: number;
  /** How long 50 search at a time. */
  seconds: number;
}
interface Answer {
  moments: unknown[];
  steps: Record<string, number>;
}
type Request = { query: string } & Record<string, unknown>;

export async function search(models: BenchModels, effort: SearchEffort): Promise<Row[]> {
  const found = await resolveProfile({
    profile: 'tiny',
    clip: models.clip,
    text: models.text ?? 'none',
    parts: ['clip', 'text'],
    allowFallback: false,
  });
  const clip = await openClip(found.clip.folder, { id: found.clip.id, towers: 'text', device: 'cpu' });
  const text = found.text && (await openPassageEncoder(found.text.folder, { id: found.text.id, device: 'cpu' }));
  const size: LibrarySize = {
    frames: effort.frames,
    passages: effort.passages,
    clip: { id: clip.id, dimension: clip.dimension },
    ...(text && { text: { id: text.id, dimension: text.dimension } }),
  };
  const { dir, made } = await library(size);
  // Beside the library, so that its files can be linked.
  const dataDir = await mkdtemp(join(tmpdir(), 'cuepoint-bench-search-'));
  const lanceDir = join(dataDir, 'lance');
  const redis = await startRedis();
  let index: VectorIndex | undefined;
  try {
    await linked(dir, lanceDir);
    await using catalog = closing(new Catalog(connectRedis(redis.url)));
    await fillCatalog(catalog.one, size);
    index = await openVectorIndex({ lanceDir });
    const exact = await openVectorIndex({ lanceDir, lance: { exactRows: Number.POSITIVE_INFINITY } });
    progress('search: comparing with an exact search');
    const queries = clusteredQueries({ count: 20, dimension: clip.dimension });
    const recall = await recallAt20(index, exact, clip, queries);
    await exact.close();

    await using running = await Running.start(dataDir, {
      REDIS_URL: redis.url,
      CLIP_MODEL: models.clip,
      WHISPER_MODEL: models.whisper,
      TEXT_MODEL: models.text ?? 'none',
    });
    const ask = (request: Request) => running.post<Answer>('/v1/search', request);
    // The passage encoder is loaded last, and search does not wait for it.
    await waitFor('all models of the api', 120_000, async () => {
      const { steps } = await ask(sentences(`warm ${Math.random()}`)());
      return !text || steps.meaning !== undefined || undefined;
    });

    /** What a request cannot be faster than: the same texts encoded and the same queries of the store, with nothing around them. */
    const bare = async ({ query }: Request) => {
      const filter = { tenant: TENANT };
      const store = index as VectorIndex;
      await Promise.all([
        clip
          .encodeTexts([query])
          .then(([vector]) => store.searchFrames(clip, vector as Float32Array, filter, HITS.frames)),
        store.searchPassages(query, filter, HITS.passages),
        text
          ?.encodeQueries([query])
          .then(([vector]) => store.searchPassagesByVector(text, vector as Float32Array, filter, HITS.meaning)),
      ]);
    };
    const sentenceOf = sentences('sentences');
    for (let i = 0; i < WARM_UP; i++) {
      const request = sentenceOf();
      await ask(request);
      await bare(request);
    }
    const whole: number[] = [];
    const floor: number[] = [];
    const over: number[] = [];
    const steps: Record<string, number[]> = {};
    for (let i = 0; i < effort.requests; i++) {
      if (i % 50 === 0) progress(`search: ${i} of ${effort.requests} requests`);
      const request = sentenceOf();
      let bareMs = 0;
      // In turns: whichever comes second finds the rows in the page cache.
      if (i % 2) bareMs = await timed(() => bare(request));
      const wholeMs = await timed(async () => {
        for (const [step, ms] of Object.entries((await ask(request)).steps)) steps[step] = [...(steps[step] ?? []), ms];
      });
      if (i % 2 === 0) bareMs = await timed(() => bare(request));
      whole.push(wholeMs);
      floor.push(bareMs);
      over.push(wholeMs - bareMs);
    }
    const some = Math.max(10, Math.round(effort.requests / 5));
    const times = async (what: string, request: () => Request): Promise<number[]> => {
      progress(`search: ${what}`);
      await ask(request());
      const all: number[] = [];
      for (let i = 0; i < some; i++) {
        const one = request();
        all.push(await timed(() => ask(one)));
      }
      return all;
    };
    const videos = videosOf(effort.frames);
    const listed = Array.from({ length: Math.min(1000, videos) }, (_, i) => videoId(i));
    const kinds: [what: string, times: number[]][] = [];
    for (const [what, request] of [
      ['short nouns, in six sentences each', sentences('nouns', 2)],
      ['within one video', withFilter({ videoIds: [videoId(Math.floor(videos / 2))] })],
      [`within ${listed.length} videos`, withFilter({ videoIds: listed })],
      ['by metadata, one half of the videos', withFilter({ filter: { metadata: { half: 'odd' } } })],
      ['by metadata, one tenth of the videos', withFilter({ filter: { metadata: { course: 'course 3' } } })],
      ['by time, a minute of each video', withFilter({ filter: { from: 60, to: 120 } })],
    ] as const)
      kinds.push([what, await times(what, request)]);

    const crowd = await together(running, dataDir, ask, effort.seconds);
    const part = 'search';
    const size0 = `${effort.frames} frames of ${clip.dimension}, ${effort.passages} passages${text ? ` of ${text.dimension}` : ' without vectors'}`;
    return [
      { part, measure: 'whole request, p50', value: median(whole), unit: 'ms', bar: { atMost: 30 }, note: size0 },
      {
        part,
        measure: 'whole request, p99',
        value: percentile(whole, 0.99),
        unit: 'ms',
        bar: { atMost: 100 },
        note: `${effort.requests} different ones`,
      },
      {
        part,
        measure: 'text encoding and the store alone, p50',
        value: median(floor),
        unit: 'ms',
        note: `the same queries, in turns; p99 ${percentile(floor, 0.99).toFixed(0)} ms`,
      },
      {
        part,
        measure: 'whole request over that, p50',
        value: median(over),
        unit: 'ms',
        bar: { atMost: 5 },
        note: 'HTTP, catalog, confidence, fusion',
      },
      ...Object.entries(steps).map(([step, all]): Row => {
        return { part, measure: `step ${step}, p50`, value: median(all), unit: 'ms', note: STEPS[step] };
      }),
      ...kinds.map(([what, all]): Row => {
        const note = `p99 ${percentile(all, 0.99).toFixed(0)} ms of ${all.length}`;
        return { part, measure: `${what}, p50`, value: median(all), unit: 'ms', note };
      }),
      ...(effort.frames > 0
        ? [
            {
              part,
              measure: 'recall at 20',
              value: recall,
              unit: '',
              bar: { atLeast: 0.98 },
              note: 'against exact search',
            },
          ]
        : []),
      ...crowd,
      {
        part,
        measure: 'api peak memory',
        value: await running.peakMb('api'),
        unit: 'MB',
        note: 'resident, files it maps included',
      },
      { part, measure: 'on disk', value: (await bytesOf(dir)) / 1e6, unit: 'MB', note: 'vectors, words and indexes' },
      {
        part,
        measure: 'writing frames',
        value: (effort.frames / made.frameWriteMs) * 1000,
        unit: 'rows/s',
        note: '1,024 at a time, when the library was made',
      },
      { part, measure: 'writing passages', value: (effort.passages / made.passageWriteMs) * 1000, unit: 'rows/s' },
      { part, measure: 'upkeep after writing', value: made.optimizeMs / 1000, unit: 's', note: 'merging, indexes' },
    ];
  } finally {
    await index?.close();
    await clip.close();
    await text?.close();
    await redis.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}

const STEPS: Record<string, string> = {
  text: 'CLIP',
  frames: 'nearest frames; then how sure they are',
  passages: 'by words, beside the frames',
  meaning: 'text encoder and nearest passages, beside the frames',
  fuse: 'moments',
};

/** Fifty ask as fast as they are answered while a video is being indexed. */
async function together(
  running: Running,
  dataDir: string,
  ask: (request: Request) => Promise<Answer>,
  seconds: number,
): Promise<Row[]> {
  const film = join(dataDir, 'film.mp4');
  await repeated(SAMPLE, film, 1800);
  const id = await running.upload(film, 'While they search');
  const status = async () => (await running.json<{ status: string }>(`/v1/videos/${id}`)).status;
  await waitFor('the video to be indexed', 60_000, async () => (await status()) === 'indexing' || undefined);
  progress(`search: ${SEARCHERS} at a time for ${seconds} s`);
  await running.apiLoopP99Ms();
  const times: number[] = [];
  const errors: string[] = [];
  const from = performance.now();
  const end = from + seconds * 1000;
  await Promise.all(
    Array.from({ length: SEARCHERS }, async (_, searcher) => {
      const request = sentences(`searcher ${searcher}`);
      while (performance.now() < end) {
        try {
          const one = request();
          times.push(await timed(() => ask(one)));
        } catch (error) {
          errors.push((error as Error).message);
          await sleep(100);
        }
      }
    }),
  );
  const took = (performance.now() - from) / 1000;
  const loopP99Ms = await running.apiLoopP99Ms();
  const note = (await status()) === 'indexing' ? 'a video was being indexed' : 'the video was ready before the end';
  await running.json(`/v1/videos/${id}`, { method: 'DELETE' });
  if (errors.length > 0) console.log(`search: ${errors.length} errors, the first: ${errors[0]}`);
  const [part, who] = ['search', `${SEARCHERS} at a time`];
  return [
    { part, measure: `${who}, errors`, value: errors.length, unit: '', bar: { atMost: 0 }, note },
    { part, measure: `${who}, requests/s`, value: times.length / took, unit: '/s' },
    {
      part,
      measure: `${who}, p50`,
      value: median(times),
      unit: 'ms',
      note: `p99 ${percentile(times, 0.99).toFixed(0)} ms`,
    },
    { part, measure: `${who}, event-loop delay of the api, p99`, value: loopP99Ms, unit: 'ms', bar: { atMost: 50 } },
  ];
}

/** Requests that differ from each other. Of four to eight words, or of so many as are given. */
function sentences(seed: string, words?: number): () => Request {
  const random = generator([...seed].reduce((sum, char) => Math.imul(sum, 31) + char.charCodeAt(0), 7));
  return () => ({ query: sentence(words ?? 4 + Math.floor(random() * 5), random) });
}
function withFilter(filter: Record<string, unknown>): () => Request {
  const request = sentences(JSON.stringify(filter));
  return () => ({ ...request(), ...filter });
}
async function timed(work: () => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await work();
  return performance.now() - from;
}
/** By the nearest rank. */
function percentile(values: number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}
const closing = (one: Catalog) => ({
  one,
  [Symbol.asyncDispose]: async () => {
    await one.close();
    one.redis.disconnect();
  },
});
