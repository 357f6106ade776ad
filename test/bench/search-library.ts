/** A large library in LanceDB without the videos: made once a machine and kept in the temporary folder, since a million frames take a while. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { link, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Catalog, openVectorIndex, type VectorIndex, type VectorModel, type Video } from '#store';
import { progress } from './report.ts';
import { clusteredFrames, clusteredPassages, VIDEO_FRAMES, VIDEO_PASSAGES, videoId } from './search-data.ts';

export interface LibrarySize {
  frames: number;
  passages: number;
  /** Whose vectors the library pretends to have. */
  clip: VectorModel;
  /** Left out: passages have no vectors. */
  text?: VectorModel;
}
/** What making it cost. */
export interface Made {
  frameWriteMs: number;
  passageWriteMs: number;
  optimizeMs: number;
}

export const TENANT = 'default';
/** Rows given to the index at a time. */
const ROWS = 1024;
/** Part of the name. Raised when the data or the store's indexes change, so that a folder from before is not taken for this one's. */
const VERSION = 4;

/** Folder with the library, and what it cost when it was made. */
export async function library(size: LibrarySize): Promise<{ dir: string; made: Made }> {
  const { frames, passages, clip, text } = size;
  const digest = createHash('sha256')
    .update(JSON.stringify([VERSION, clip, text]))
    .digest('hex')
    .slice(0, 8);
  const dir = join(tmpdir(), 'cuepoint-bench-cache', `library-${frames}-${passages}-${digest}`);
  const facts = join(dir, 'made.json');
  if (!existsSync(facts)) {
    await rm(dir, { recursive: true, force: true });
    const aside = `${dir}-${process.pid}`;
    try {
      const made = await make(join(aside, 'lance'), size);
      await writeFile(join(aside, 'made.json'), JSON.stringify(made));
      await rename(aside, dir);
    } catch (error) {
      await rm(aside, { recursive: true, force: true });
      throw error;
    }
  }
  return { dir: join(dir, 'lance'), made: JSON.parse(await readFile(facts, 'utf8')) };
}

async function make(lanceDir: string, { frames, passages, clip, text }: LibrarySize): Promise<Made> {
  // Nobody reads what the writing replaces.
  const index = await openVectorIndex({ lanceDir, lance: { keepVersionsMs: 0 } });
  try {
    const tenants = [TENANT];
    const frameRows = clusteredFrames({ count: frames, dimension: clip.dimension, tenants });
    const frameWriteMs = await write('frames', frames, frameRows, (rows) => index.upsertFrames(clip, rows));
    const dimension = text?.dimension ?? 1;
    const passageRows = clusteredPassages({ count: passages, dimension, tenants });
    const passageWriteMs = await write('passages', passages, passageRows, (rows) =>
      text ? index.upsertPassages(rows, text) : index.upsertPassages(rows.map(({ vector: _, ...row }) => row)),
    );
    progress('search: merging, and making the indexes');
    const from = performance.now();
    await index.optimize();
    return { frameWriteMs, passageWriteMs, optimizeMs: performance.now() - from };
  } finally {
    await index.close();
  }
}

/** Time spent in writing, without that of making up the rows. */
async function write<Row>(
  what: string,
  count: number,
  rows: Iterable<Row>,
  put: (rows: Row[]) => Promise<void>,
): Promise<number> {
  let ms = 0;
  let done = 0;
  let batch: Row[] = [];
  for (const row of rows) {
    batch.push(row);
    if (batch.length < ROWS && done + batch.length < count) continue;
    if (done % (32 * ROWS) === 0) progress(`search: making the library, ${done} of ${count} ${what}`);
    const from = performance.now();
    await put(batch);
    ms += performance.now() - from;
    done += batch.length;
    batch = [];
  }
  return ms;
}

/** The same files under another folder, which may then be written to: Lance writes new files and removes old ones, and changes none. */
export async function linked(source: string, target: string): Promise<void> {
  await mkdir(target, { recursive: true });
  for (const entry of await readdir(source, { withFileTypes: true })) {
    const [from, to] = [join(source, entry.name), join(target, entry.name)];
    await (entry.isDirectory() ? linked(from, to) : link(from, to));
  }
}

export const videosOf = (frames: number): number => Math.ceil(frames / VIDEO_FRAMES);
const CREATED_AT = Date.UTC(2026, 0, 1);

/** A record for each video, as its indexing would have left it. */
export async function fillCatalog(catalog: Catalog, { frames, passages }: LibrarySize): Promise<void> {
  const stage = { state: 'done', doneMs: VIDEO_FRAMES * 1000, totalMs: VIDEO_FRAMES * 1000 } as const;
  const count = videosOf(frames);
  for (let first = 0; first < count; first += 100) {
    progress(`search: ${first} of ${count} videos in the catalog`);
    const some = Array.from({ length: Math.min(100, count - first) }, (_, i) => first + i);
    await Promise.all(
      some.map((i) => {
        const video: Video = {
          id: videoId(i),
          tenant: TENANT,
          run: 1,
          status: 'ready',
          title: `Lecture ${i} of the course`,
          filename: `lecture-${i}.mp4`,
          metadata: { course: `course ${i % 10}`, half: i % 2 ? 'odd' : 'even' },
          source: {
            kind: 'upload',
            blobKey: `${TENANT}/${videoId(i)}/source`,
            sizeBytes: 1e8,
            contentType: 'video/mp4',
          },
          media: { container: 'mp4', durationMs: VIDEO_FRAMES * 1000, startMs: 0 },
          stages: { probe: stage, frames: stage, speech: stage, finalize: stage },
          warnings: [],
          counts: {
            frames: Math.min(VIDEO_FRAMES, frames - i * VIDEO_FRAMES),
            passages: Math.max(0, Math.min(VIDEO_PASSAGES, passages - i * VIDEO_PASSAGES)),
          },
          createdAt: CREATED_AT + i * 60_000,
          updatedAt: CREATED_AT + i * 60_000,
        };
        return catalog.createVideo(video);
      }),
    );
  }
}

/** Bytes of all files below a folder. */
export async function bytesOf(folder: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size;
  }
  return bytes;
}

/** Share of the nearest 20 frames of an exact search that a search by the index finds, over some queries. */
export async function recallAt20(
  found: VectorIndex,
  exact: VectorIndex,
  model: VectorModel,
  queries: Float32Array[],
): Promise<number> {
  let shared = 0;
  let all = 0;
  for (const query of queries) {
    const wanted = await exact.searchFrames(model, query, { tenant: TENANT }, 20);
    const ids = new Set((await found.searchFrames(model, query, { tenant: TENANT }, 20)).map((hit) => hit.id));
    shared += wanted.filter((hit) => ids.has(hit.id)).length;
    all += wanted.length;
  }
  return shared / all;
}
