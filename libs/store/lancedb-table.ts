import { Index, type Table } from '@lancedb/lancedb';
import type * as arrow from 'apache-arrow';
import { guard, isConflict, retryConflicts, storeError } from './lancedb-failures.ts';
import { HIT, hitSql } from './lancedb-rows.ts';

/** Rows of one commit. Bounds what is turned into Arrow in one go: 1,024 x 768 floats take a few ms of the event loop. */
const MAX_COMMIT_ROWS = 1024;
/** Rows of one partition of a vector index. */
const PARTITION_ROWS = 4096;
/** Bits of a vector's code, for each dimension. */
const CODE_BITS = 4;
/**
 * Partitions are cut anew when a table has grown so much since. Between that, rows that came go into small indexes of their own beside the large one, each of
 * which every search asks: a million frames in an index of 280,000 and three such took twice as long as in one. Making that one took 56 s.
 */
const RETRAIN_GROWTH = 2;
/** And when so much less is left: the index keeps the codes of rows that were removed, an eighth of what their vectors were. */
const RETRAIN_SHRINKAGE = 1.5;

/**
 * All writes of this process to one table, one after the other. Upserts that come while another is being written go in together, so that many
 * small ones are few commits; small fragments are merged once they are many.
 */
export class TableWriter {
  #table: Promise<Table> | undefined;
  #tail: Promise<unknown> = Promise.resolve();
  #group: { rows: Map<string, { id: string }>; done: Promise<void> } | undefined;
  #commits = 0;
  /** Set while an index is made beside the writes: what a compaction rewrote meanwhile would be for nothing, and lie about for days. */
  holdsCompaction = false;
  readonly resting: Resting = { sinceMs: 0 };

  constructor(
    readonly open: () => Promise<Table>,
    readonly keep: Keeping,
    readonly changed: () => void,
  ) {}

  /** From the next write on, with what `open` gives then. */
  reopen(): void {
    this.#table = undefined;
  }

  async upsert<Row extends { id: string }>(rows: Row[], toArrow: (rows: Row[]) => arrow.Table): Promise<void> {
    const groups = new Set<Promise<void>>();
    for (let at = 0; at < rows.length; at += MAX_COMMIT_ROWS) {
      const part = rows.slice(at, at + MAX_COMMIT_ROWS);
      if (!this.#group || this.#group.rows.size + part.length > MAX_COMMIT_ROWS) this.#group = this.#newGroup(toArrow);
      // Two rows of one id in a merge would both be inserted: the last one counts.
      for (const row of part) this.#group.rows.set(row.id, row);
      groups.add(this.#group.done);
    }
    await Promise.all(groups);
  }

  /** `attempts`: how often another process may commit first before it is given up. */
  exclusive<T>(task: (table: Table) => Promise<T>, attempts?: number): Promise<T> {
    this.#group = undefined;
    const run = this.#tail.then(async () => {
      this.#table ??= this.open();
      this.#table.catch(() => {
        this.#table = undefined;
      });
      const table = await guard(() => this.#table as Promise<Table>);
      const done = await retryConflicts(() => task(table), attempts);
      this.changed();
      return done;
    });
    this.#tail = run.catch(() => {});
    return run;
  }

  async idle(): Promise<void> {
    await this.#tail;
  }

  #newGroup<Row extends { id: string }>(toArrow: (rows: Row[]) => arrow.Table) {
    const rows = new Map<string, { id: string }>();
    const done = this.exclusive(async (table) => {
      if (this.#group?.rows === rows) this.#group = undefined;
      const batch = toArrow([...rows.values()] as Row[]);
      await table.mergeInsert('id').whenMatchedUpdateAll().whenNotMatchedInsertAll().execute(batch);
      if (++this.#commits % 32 === 0 && !this.holdsCompaction) this.#compactWhenFragmented();
    });
    // Where the table could not be opened, its turn never came: the rows that come next must not join what has failed.
    done.catch(() => {
      if (this.#group?.rows === rows) this.#group = undefined;
    });
    return { rows, done };
  }

  /** In its own turn, and never an upsert's failure. A compaction rewrites all small fragments, so a big table waits for more of them. */
  #compactWhenFragmented(): void {
    const group = this.#group;
    this.exclusive(async (table) => {
      if (this.holdsCompaction) return;
      const { numRows, fragmentStats } = await table.stats();
      if (fragmentStats.numSmallFragments > 64 + numRows / 5000) await compact(table, this.keep, this.resting);
    }, 1).catch(() => {});
    this.#group = group;
  }
}

/** How long what is of no use any more is left on disk, and in memory. */
export interface Keeping {
  /** Replaced versions, for a reader that began on one and is still at it. */
  keepVersionsMs: number;
  /** Files that no version names, from when this process saw the last write on: they may be of one that goes on, or of one that another process's commit or a crash ended. */
  keepUnknownMs: number;
  /** After so many changes of tables all of the folder is opened anew. */
  renewAfter: number;
}
export interface Upkeep {
  /** Files were replaced, so there is more to remove later. */
  isChanged: boolean;
  /** Nothing has been written for so long that files of no version were removed as well. */
  hasRested: boolean;
}

/** Since when a table has had one version, as this process has seen it: by `performance.now()`, since a clock that is set must not make a write look abandoned. */
export interface Resting {
  version?: number;
  sinceMs: number;
}

/** Merges small fragments, brings the indexes up to date, and drops what nobody reads any more. */
export async function compact(
  table: Table,
  { keepVersionsMs, keepUnknownMs }: Pick<Keeping, 'keepVersionsMs' | 'keepUnknownMs'>,
  resting: Resting,
): Promise<Upkeep> {
  const now = Date.now();
  const writtenAt = (await table.listVersions()).map(({ timestamp }) => timestamp.getTime());
  // A version's own age does not say when it was replaced: a table that rested for an hour has one of an hour, which others read until this moment.
  const replaced = Math.max(0, ...writtenAt.filter((time) => time <= now - keepVersionsMs));
  const { compaction } = await table.optimize({ cleanupOlderThan: new Date(replaced) });
  const isChanged = compaction.filesRemoved > 0;
  const version = await table.version();
  if (resting.version !== version) Object.assign(resting, { version, sinceMs: performance.now() });
  const hasRested = !isChanged && performance.now() - resting.sinceMs >= keepUnknownMs;
  // Of those Lance removes what is older than the oldest version. By itself it leaves them for seven days: a copy of the table for each compaction
  // that lost against a deletion.
  if (hasRested) await table.optimize({ cleanupOlderThan: new Date(replaced), deleteUnverified: true });
  return { isChanged, hasRested };
}

/**
 * Makes the search structures of a table that has outgrown exact search. Runs beside readers and writers, here and in other processes: until it is done
 * they read all rows, then the rows that came meanwhile. A compaction that commits first wins, and the next upkeep tries again.
 *
 * The index is IVF with RaBitQ codes (Gao & Long, "RaBitQ", SIGMOD 2024; of several bits: Gao et al., SIGMOD 2025), compared again with the full vectors
 * when searching. Side by side on two busy cores, 50,000 x 512: built in 4 s (of one bit; four take three times
 * as long) where a graph (HNSW) takes 77 s and product quantisation 460 s, searched as fast as both. With 1, 2 and 4 bits a dimension and three candidates for one that is wanted, 0.832, 0.976 and 0.9998 of the nearest 200 of 20,000 x 512
 * are found, in the same time. True where an index was made or removed.
 */
export async function ensureSearchIndexes(table: Table, indexRows: number): Promise<boolean> {
  try {
    return await makeSearchIndexes(table, indexRows);
  } catch (error) {
    if (isConflict(error)) return false;
    throw storeError(error);
  }
}
async function makeSearchIndexes(table: Table, indexRows: number): Promise<boolean> {
  const { numRows } = await table.stats();
  const indices = await table.listIndices();
  const vectorIndexes = indices.filter(({ columns }) => columns.includes('vector')).map(({ name }) => name);
  const isOutdated = (name: string) => {
    const trained = trainedRowsOf(name);
    return numRows > trained * RETRAIN_GROWTH || numRows * RETRAIN_SHRINKAGE < trained;
  };
  const keepOnly = async (kept: string | undefined) => {
    for (const name of vectorIndexes) if (name !== kept) await table.dropIndex(name);
  };
  const current = vectorIndexes.find((name) => !isOutdated(name));
  if (numRows < indexRows) {
    await keepOnly(current);
    return current === undefined && vectorIndexes.length > 0;
  }
  for (const column of ['tenant', 'video_id']) {
    if (!indices.some((index) => index.columns.includes(column))) {
      const config = column === 'tenant' ? Index.bitmap() : Index.btree();
      await table.createIndex(column, { config, replace: false });
    }
  }
  const { fields } = await table.schema();
  if (!fields.some((field) => field.name === 'vector')) return false;
  const name = current ?? VECTOR_INDEX + numRows;
  if (!current) {
    const numPartitions = partitionsOf(numRows);
    const config = Index.ivfRq({ distanceType: 'cosine', numPartitions, numBits: CODE_BITS });
    await table.createIndex('vector', { config, name, replace: false });
  }
  await keepOnly(name);
  return !current;
}

/** A vector index is named after the rows that its partitions were cut for. */
const VECTOR_INDEX = 'vector_';
const trainedRowsOf = (index: string): number => Number(index.slice(VECTOR_INDEX.length)) || 0;
const partitionsOf = (rows: number): number => Math.max(1, Math.round(rows / PARTITION_ROWS));

/** What a table's vector index holds. */
export interface Indexed {
  rows: number;
  partitions: number;
}
/** Undefined where there is none. */
export async function vectorIndexOf(table: Table): Promise<Indexed | undefined> {
  const index = (await table.listIndices()).find(({ columns }) => columns.includes('vector'));
  if (!index?.numIndexedRows) return undefined;
  return { rows: index.numIndexedRows, partitions: partitionsOf(trainedRowsOf(index.name)) };
}

/** What of a table does not change while its version stays the same. */
export interface Known {
  version: number;
  index: Promise<Indexed | undefined>;
  /** Rows that a filter leaves. Counting them takes 1 ms of 100,000, but 8 to 12 where the filter is on times or on many videos. */
  counts: Map<string | undefined, Promise<number>>;
}
/** Filters may name 500 videos: 2 MB. */
const MAX_COUNTS = 100;
export function countOf({ counts }: Known, table: Table, where?: string): Promise<number> {
  const known = counts.get(where);
  if (known) return known;
  if (counts.size >= MAX_COUNTS) counts.clear();
  const count = table.countRows(where);
  count.catch(() => counts.delete(where));
  counts.set(where, count);
  return count;
}

export async function ensureTextIndex(table: Table): Promise<void> {
  await retryConflicts(async () => {
    const indices = await table.listIndices();
    if (indices.some((index) => index.columns.includes('terms'))) return;
    // Words are cut and stemmed before (words.ts): an index knows one language, and rows are of many.
    const config = Index.fts({
      baseTokenizer: 'whitespace',
      lowercase: false,
      asciiFolding: false,
      stem: false,
      removeStopWords: false,
      withPosition: false,
    });
    await table.createIndex('terms', { config, replace: false });
  });
}

const OLD_PASSAGES = { kind: "'speech'", terms: 'lower(text)' };
/** A folder of an older version: all passages were heard, and their words are found as they are written until the video is indexed again. */
export async function addMissingColumns(table: Table, isOfPassages: boolean): Promise<void> {
  const add = (columns: (present: string[]) => { name: string; valueSql: string }[]) =>
    retryConflicts(async () => {
      const present = await columnsOf(table);
      const missing = columns(present).filter(({ name }) => !present.includes(name));
      if (missing.length > 0) await table.addColumns(missing);
    });
  if (isOfPassages) await add(() => Object.entries(OLD_PASSAGES).map(([name, valueSql]) => ({ name, valueSql })));
  await add((present) => [{ name: HIT, valueSql: hitSql(present) }]);
}

/** The same for rows that a process of an older version writes to such a folder beside us: their columns are empty. */
export async function fillMissingColumns(table: Table): Promise<void> {
  await retryConflicts(async () => {
    if ((await table.countRows(`${HIT} IS NULL`)) === 0) return;
    const present = await columnsOf(table);
    const old = Object.entries(OLD_PASSAGES).filter(([name]) => present.includes(name));
    const valuesSql = Object.fromEntries(old.map(([name, valueSql]) => [name, `coalesce(${name}, ${valueSql})`]));
    await table.update({ where: `${HIT} IS NULL`, valuesSql: { ...valuesSql, [HIT]: hitSql(present) } });
  });
}
const columnsOf = async (table: Table): Promise<string[]> => (await table.schema()).fields.map(({ name }) => name);
